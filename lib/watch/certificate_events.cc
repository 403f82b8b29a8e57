// The events of CertificateMonitor: what became due or changed since the last look.
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/watch/monitor_entry.h"
#include "trestle/base/error.h"
#include "trestle/watch/certificate_monitor.h"
#include "trestle/watch/expiry_alarms.h"

namespace trestle {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);

std::string DetailOf(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  return error.has_value() ? error->detail : std::string(status.message());
}

std::string MinuteText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M UTC", time, absl::UTCTimeZone());
}

}  // namespace

// Reports what has become due since the last call.
void CertificateMonitor::ReportDue(Entry& entry) {
  if (entry.known_chains.empty()) return;
  ReportThreshold(entry);
  ReportRenewal(entry);
  ReportFindings(entry);
}

void CertificateMonitor::ReportHealth(const Entry& entry, const absl::Status& before) {
  const absl::Status& now = entry.status.status;
  if (before.ok() == now.ok()) return;
  using Kind = CertificateEvent::Kind;
  if (now.ok()) return Report(entry, Kind::kRecovered, Severity::kNote, "all is well again");
  Report(entry, Kind::kFailing, Severity::kCritical, DetailOf(now));
}

void CertificateMonitor::ReportReplaced(const Entry& entry, const CertificateStatus& before) {
  using Kind = CertificateEvent::Kind;
  const CertificateStatus& now = entry.status;
  const CertificateInfo& old_leaf = before.chain.front();
  const CertificateInfo& leaf = now.chain.front();
  if (leaf.issuer != old_leaf.issuer) {
    Report(entry, Kind::kIssuerChanged, Severity::kNote,
           absl::StrCat("issued by \"", leaf.issuer, "\", formerly by \"", old_leaf.issuer, "\""));
  }
  if (leaf.spki_sha256 != old_leaf.spki_sha256) {
    Report(entry, Kind::kKeyChanged, Severity::kNote,
           absl::StrCat("\"", leaf.subject, "\" has another key"));
  }
  // A rejected chain is no renewal, whatever its dates are.
  if (!now.status.ok() || EndOf(now.failure) <= EndOf(before.failure)) return;
  const absl::Duration left = before.failure->when - now.updated;
  const bool overdue = before.renewal.has_value() && now.updated > before.renewal->end;
  const bool late = overdue || now.updated >= before.critical_time;
  Report(entry, late ? Kind::kRenewedLate : Kind::kRenewed,
         late ? Severity::kWarning : Severity::kNote,
         left < absl::ZeroDuration()
             ? absl::StrCat("renewed after it had expired: ", before.failure->detail)
             : absl::StrCat("renewed ", TimeLeftText(before.failure->when, now.updated),
                            " before it would have failed: ", before.failure->detail,
                            overdue ? absl::StrCat("; the CA advised to renew before ",
                                                   MinuteText(before.renewal->end))
                                    : ""));
}

void CertificateMonitor::SetAlarms(Entry& entry) const {
  CertificateStatus& status = entry.status;
  entry.thresholds.clear();
  status.warning_time = status.critical_time = absl::InfiniteFuture();
  if (!status.failure.has_value()) return;
  const ExpiryAlarms& alarms = options_.alarms;
  const absl::Duration lifetime = LifetimeOf(*status.failure, status.chain);
  status.warning_time = status.failure->when - alarms.WarningTime(lifetime);
  status.critical_time = status.failure->when - alarms.CriticalTime(lifetime);
  std::set<absl::Duration> times = {alarms.WarningTime(lifetime), alarms.CriticalTime(lifetime)};
  for (const int days : options_.threshold_days) {
    ExpiryAlarms threshold = alarms;
    threshold.warn_within = days * kDay;
    times.insert(threshold.WarningTime(lifetime));
  }
  // At the end itself comes another event.
  times.erase(absl::ZeroDuration());
  entry.thresholds.assign(times.rbegin(), times.rend());
}

int CertificateMonitor::TierOf(const Entry& entry) const {
  if (!entry.status.failure.has_value()) return kFarAway;
  const absl::Duration left = entry.status.failure->when - scheduler_.Now();
  int tier = kFarAway;
  for (const absl::Duration threshold : entry.thresholds) tier += left <= threshold;
  return left <= absl::ZeroDuration() ? static_cast<int>(entry.thresholds.size()) + 1 : tier;
}

absl::Time CertificateMonitor::NextTierOf(const Entry& entry) const {
  if (!entry.status.failure.has_value()) return absl::InfiniteFuture();
  const absl::Time now = scheduler_.Now();
  for (const absl::Duration threshold : entry.thresholds) {
    const absl::Time when = entry.status.failure->when - threshold;
    if (when > now) return when;
  }
  return entry.status.failure->when > now ? entry.status.failure->when : absl::InfiniteFuture();
}

void CertificateMonitor::ReportThreshold(Entry& entry) {
  const int tier = TierOf(entry);
  int& reported_tier = entry.known_chains.front().reported_tier;
  // In a lower tier than before, the system's clock had been wrong: later tiers are reported again.
  const bool next = tier > std::exchange(reported_tier, tier);
  if (!next) return;
  const CertificateStatus& status = entry.status;
  const absl::Time now = scheduler_.Now();
  if (tier > static_cast<int>(entry.thresholds.size())) {
    return Report(entry, CertificateEvent::Kind::kExpired, Severity::kCritical,
                  absl::StrCat("verification fails: ", status.failure->detail));
  }
  const absl::Duration passed = entry.thresholds[static_cast<size_t>(tier) - 1];
  const Severity severity = status.critical_time <= now  ? Severity::kCritical
                            : status.warning_time <= now ? Severity::kWarning
                                                         : Severity::kNote;
  Report(entry, CertificateEvent::Kind::kWillFail, severity,
         absl::StrCat("verification will fail in ", TimeLeftText(status.failure->when, now), ": ",
                      status.failure->detail),
         static_cast<int>(absl::Ceil(passed, kDay) / kDay));
}

void CertificateMonitor::ReportFindings(Entry& entry) {
  for (const Finding& finding : entry.status.findings) {
    if (finding.severity < Severity::kWarning) continue;
    std::set<std::string>& reported = entry.known_chains.front().reported_findings;
    const std::string text = absl::StrCat(finding.code, ": ", finding.text);
    if (!reported.insert(text).second) continue;
    Report(entry, CertificateEvent::Kind::kFinding, finding.severity, text);
  }
}

void CertificateMonitor::ReportRenewal(Entry& entry) {
  const std::optional<RenewalInfo>& advice = entry.status.renewal;
  Entry::KnownChain& chain = entry.known_chains.front();
  if (!advice.has_value()) return;
  const bool overdue = scheduler_.Now() >= advice->end;
  if (chain.reported_advice == advice->end && chain.reported_overdue == overdue) return;
  chain.reported_advice = advice->end;
  chain.reported_overdue = overdue;
  const std::string text = absl::StrCat(
      "the CA advises to renew between ", MinuteText(advice->start), " and ",
      MinuteText(advice->end),
      advice->explanation_url.empty() ? "" : absl::StrCat(", see ", advice->explanation_url));
  if (!overdue) {
    return Report(entry, CertificateEvent::Kind::kRenewalAdvised, Severity::kNote, text);
  }
  Report(entry, CertificateEvent::Kind::kRenewalOverdue, Severity::kWarning,
         absl::StrCat("the renewal is late: ", text));
}

void CertificateMonitor::Report(const Entry& entry, CertificateEvent::Kind kind, Severity severity,
                                std::string detail, int days) {
  if (listener_ == nullptr) return;
  CertificateEvent event;
  event.kind = kind;
  event.severity = severity;
  event.days = days;
  event.when = scheduler_.Now();
  event.detail = std::move(detail);
  event.status = entry.status;
  listener_->OnCertificateEvent(event);
}

}  // namespace trestle
