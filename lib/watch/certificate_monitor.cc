#include "trestle/watch/certificate_monitor.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "lib/watch/chain_ends.h"
#include "lib/watch/monitor_entry.h"
#include "trestle/base/error.h"
#include "trestle/pki/chain_findings.h"
#include "trestle/watch/probe_findings.h"
#include "trestle/watch/start_tls.h"

namespace trestle {
namespace {

// A wall clock may be set while a timer runs, so none runs for longer.
constexpr absl::Duration kMaxSleep = absl::Hours(1);

// Chains of one entry whose events are not repeated.
constexpr size_t kMaxRemembered = 8;

std::string IdOf(CertificateSource source, Leg leg, absl::string_view name,
                 const Endpoint& endpoint) {
  return absl::StrCat(static_cast<int>(source), " ", static_cast<int>(leg), " ", name, " ",
                      endpoint.ToString());
}

// Probes of one server differ in what they send, so the ID has all of that.
std::string IdOf(const MonitorTargets::Probed& probed) {
  const LegProbeTarget& target = probed.target;
  return absl::StrCat(IdOf(CertificateSource::kProbe, probed.leg, probed.name, target.endpoint),
                      " ", target.server_name, " ", target.verify_name, " ",
                      absl::StrJoin(target.alpn, ","), " ", EnumName(target.start_tls), " ",
                      static_cast<int>(target.proxy_header));
}

// Returns the first name for which handshakes present the credential, else a name of its leaf.
std::string NameOf(const CertificateSet::Shown& shown) {
  return shown.names.empty() ? CertificateName(shown.credential->chain().front())
                             : shown.names.front();
}

bool IsPositive(absl::Duration duration) {
  return duration > absl::ZeroDuration() && duration < absl::InfiniteDuration();
}

}  // namespace

bool CertificateMonitor::Entry::Remember() {
  const CertificateInfo& leaf = status.chain.front();
  const absl::Time end = EndOf(status.failure);
  const auto known = std::find_if(
      known_chains.begin(), known_chains.end(),
      [&](const KnownChain& c) { return c.end == end && SameCertificate(c.leaf, leaf); });
  if (known != known_chains.end()) {
    std::rotate(known_chains.begin(), known, known + 1);
    return false;
  }
  if (known_chains.size() == kMaxRemembered) known_chains.pop_back();
  KnownChain chain;
  chain.leaf = leaf;
  chain.end = end;
  known_chains.insert(known_chains.begin(), std::move(chain));
  return true;
}

CertificateMonitor::CertificateMonitor(Scheduler& scheduler, Dialer& dialer,
                                       CertificateMonitorOptions options,
                                       CertificateListener* listener)
    : scheduler_(scheduler),
      options_(std::move(options)),
      listener_(listener),
      random_(options_.seed),
      prober_(scheduler, dialer, options_.max_concurrent_probes) {}

CertificateMonitor::~CertificateMonitor() = default;

absl::Status CertificateMonitor::Check(const MonitorTargets& targets) const {
  if (!IsPositive(options_.probe_interval) || !IsPositive(options_.first_probe_within) ||
      !IsPositive(options_.own_interval)) {
    return ConfigurationError("an interval of the certificate monitor must be above 0 and finite");
  }
  if (absl::Status alarms = options_.alarms.Check(); !alarms.ok()) return alarms;
  std::set<int> days;
  for (const int threshold : options_.threshold_days) {
    if (threshold <= 0 || !days.insert(threshold).second) {
      return ConfigurationError("thresholds must be above 0 days, and no two the same");
    }
  }
  for (const auto& store : targets.own) {
    if (store == nullptr) return ConfigurationError("a certificate store to watch is null");
  }
  for (const auto& client : targets.own_clients) {
    if (client == nullptr) return ConfigurationError("a client certificate to watch is null");
  }
  std::map<std::string, const LegProbeConfig*> configs;
  for (const MonitorTargets::Probed& probed : targets.probed) {
    if (probed.config == nullptr) return ConfigurationError("a leg to probe has no config");
    if (absl::Status s = probed.target.endpoint.CheckDialable(); !s.ok()) return s;
    const auto [known, added] = configs.emplace(IdOf(probed), probed.config.get());
    if (!added && known->second != probed.config.get()) {
      return ConfigurationError(absl::StrCat("the ", EnumName(probed.leg), " leg \"", probed.name,
                                             "\" at ", probed.target.endpoint.ToString(),
                                             " has two configs for its probes"));
    }
  }
  return absl::OkStatus();
}

absl::Status CertificateMonitor::Watch(MonitorTargets targets) {
  if (absl::Status checked = Check(targets); !checked.ok()) return checked;
  targets_ = std::move(targets);
  std::sort(targets_.seen.begin(), targets_.seen.end());
  DropUnwatched();
  WatchProbed(targets_.probed);
  CheckOwn();
  return absl::OkStatus();
}

void CertificateMonitor::DropUnwatched() {
  std::set<std::string> probed;
  for (const MonitorTargets::Probed& p : targets_.probed) {
    probed.insert(IdOf(p));
  }
  for (auto it = entries_.begin(); it != entries_.end();) {
    const CertificateStatus& status = it->second->status;
    const bool seen_still =
        std::binary_search(targets_.seen.begin(), targets_.seen.end(), status.name);
    // `CheckOwn` drops own credentials that are gone.
    const bool stays = status.source == CertificateSource::kOwn ||
                       (status.source == CertificateSource::kSeen && seen_still) ||
                       (status.source == CertificateSource::kProbe && probed.count(it->first) > 0);
    it = stays ? std::next(it) : entries_.erase(it);
  }
}

void CertificateMonitor::WatchProbed(std::vector<MonitorTargets::Probed> probed) {
  for (MonitorTargets::Probed& p : probed) {
    const std::string id = IdOf(p);
    Entry& entry = EntryFor(id, CertificateSource::kProbe, p.leg, p.name, p.target.endpoint);
    const bool changed = entry.config != p.config;
    entry.config = std::move(p.config);
    entry.target = std::move(p.target);
    // With new CAs the verdict may change: probes again soon.
    if (changed) ScheduleProbe(entry, options_.first_probe_within * Chance());
  }
}

CertificateMonitor::Entry& CertificateMonitor::EntryFor(const std::string& id,
                                                        CertificateSource source, Leg leg,
                                                        absl::string_view name,
                                                        const Endpoint& endpoint) {
  std::unique_ptr<Entry>& entry = entries_[id];
  if (entry == nullptr) {
    entry = std::make_unique<Entry>();
    entry->id = id;
    entry->incarnation = next_incarnation_++;
    entry->status.source = source;
    entry->status.leg = leg;
    entry->status.name = std::string(name);
    entry->status.endpoint = endpoint;
  }
  return *entry;
}

void CertificateMonitor::ScheduleProbe(Entry& entry, absl::Duration delay) {
  entry.next_probe = scheduler_.RunAfter(delay, [this, id = entry.id] { StartProbe(id); });
}

void CertificateMonitor::StartProbe(const std::string& id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  Entry& entry = *found->second;
  // If many servers don't answer, an earlier probe may still wait for its turn.
  if (entry.probing) return;
  entry.probing = true;
  prober_.Probe(
      entry.config, entry.target,
      [this, id, incarnation = entry.incarnation, config = entry.config](
          const ProbeReport& report) { OnReport(id, incarnation, config.get(), report); });
}

void CertificateMonitor::OnReport(const std::string& id, uint64_t incarnation,
                                  const LegProbeConfig* config, const ProbeReport& report) {
  const auto found = entries_.find(id);
  if (found == entries_.end() || found->second->incarnation != incarnation) return;
  Entry& entry = *found->second;
  entry.probing = false;
  if (listener_ != nullptr) listener_->OnProbe(report);
  // A reload came in between: a verdict by the old CAs no longer counts.
  if (entry.config.get() != config) return ScheduleProbe(entry, absl::ZeroDuration());
  const absl::Duration spent = scheduler_.MonotonicNow() - report.started_moment;
  const absl::Duration wait = options_.probe_interval * (0.9 + 0.1 * Chance()) - spent;
  ScheduleProbe(entry, std::max(wait, absl::ZeroDuration()));

  Observation observation;
  observation.when = scheduler_.Now();
  observation.status = report.status;
  if (report.chain.has_value()) {
    if (observation.status.ok()) observation.status = report.chain->verdict;
    if (observation.status.ok()) observation.status = report.ech_inner;
    observation.chain = report.chain->path;
    observation.renewal_id = report.chain->renewal_id;
    observation.findings = StandingFindingsOf(*report.chain);
    observation.failure = report.chain->first_certificate_failure;
    // A rejected chain has no forecast. Its dates still show whether it has expired.
    if (!report.chain->verdict.ok()) {
      observation.failure = EndOfPath(observation.chain, report.chain->trusted);
    }
  }
  Update(entry, std::move(observation));
  if (report.good()) CorrectSeen(report);
  WakeForThresholds();
}

void CertificateMonitor::CorrectSeen(const ProbeReport& report) {
  const LegProbeTarget& target = report.target;
  const std::string name =
      target.server_name.empty() ? target.endpoint.ToString() : target.server_name;
  const auto found =
      entries_.find(IdOf(CertificateSource::kSeen, Leg::kBack, name, target.endpoint));
  if (found == entries_.end()) return;
  const absl::Time updated = found->second->status.updated;
  if (updated == report.started || IsNewerThan(*found->second, report.started)) return;
  Observation observation;
  observation.when = scheduler_.Now();
  observation.chain = report.chain->path;
  // Connections see the chain without the root.
  if (observation.chain.size() > 1) observation.chain.pop_back();
  const std::vector<CertificateInfo>& seen = found->second->status.chain;
  const size_t common = std::min(observation.chain.size(), seen.size());
  // Connections may reject the same chain for other reasons.
  if (common == observation.chain.size() &&
      std::equal(seen.begin(), seen.begin() + static_cast<std::ptrdiff_t>(common),
                 observation.chain.begin(), SameCertificate)) {
    return;
  }
  observation.failure = EndOfPath(report.chain->path, report.chain->trusted);
  Update(*found->second, std::move(observation));
}

void CertificateMonitor::OnSighting(const CertificateSighting& sighting) {
  if (!std::binary_search(targets_.seen.begin(), targets_.seen.end(), sighting.name)) return;
  const std::string id =
      IdOf(CertificateSource::kSeen, Leg::kBack, sighting.name, sighting.endpoint);
  const auto known = entries_.find(id);
  // Another thread, or a probe, may have reported a later one already.
  if (known != entries_.end() && IsNewerThan(*known->second, sighting.when)) return;
  if (known == entries_.end()) {
    size_t endpoints = 0;
    for (const auto& [unused, entry] : entries_) {
      endpoints +=
          entry->status.source == CertificateSource::kSeen && entry->status.name == sighting.name;
    }
    if (endpoints >= options_.max_endpoints_per_name) return;
  }
  Observation observation;
  observation.when = sighting.when;
  if (sighting.error.has_value()) observation.status = MakeError(*sighting.error);
  observation.chain.assign(sighting.chain.begin(), sighting.chain.end());
  observation.failure = EndOfSeen(sighting.chain);
  Update(EntryFor(id, CertificateSource::kSeen, Leg::kBack, sighting.name, sighting.endpoint),
         std::move(observation));
  WakeForThresholds();
}

void CertificateMonitor::CheckOwn() {
  std::map<std::string, const Credential*> present;
  for (const auto& store : targets_.own) {
    for (const CertificateSet::Shown& shown : store->current()->ShownAt(scheduler_.Now())) {
      UpdateOwn(shown, Leg::kFront, present);
    }
  }
  for (const auto& client : targets_.own_clients) {
    UpdateOwn({client, /*names=*/{}}, Leg::kBack, present);
  }
  for (auto it = entries_.begin(); it != entries_.end();) {
    const bool gone =
        it->second->status.source == CertificateSource::kOwn && present.count(it->first) == 0;
    it = gone ? entries_.erase(it) : std::next(it);
  }
  ScheduleOwn();
  WakeForThresholds();
}

void CertificateMonitor::UpdateOwn(const CertificateSet::Shown& shown, Leg leg,
                                   std::map<std::string, const Credential*>& present) {
  const std::string name = NameOf(shown);
  // An ECDSA and an RSA credential may be for one name, and so may those of two stores.
  std::string id = absl::StrCat(IdOf(CertificateSource::kOwn, leg, name, Endpoint()), " ",
                                static_cast<int>(shown.credential->key_type()));
  while (present.count(id) > 0 && present[id] != shown.credential.get()) id += " again";
  if (!present.emplace(id, shown.credential.get()).second) return;
  const ChainInfo& chain = shown.credential->chain();
  Entry& entry = EntryFor(id, CertificateSource::kOwn, leg, name, Endpoint());
  entry.status.names = shown.names;
  JudgeOwn(shown.credential, entry);
  Observation observation;
  observation.when = scheduler_.Now();
  observation.status = NotYetValidStatus(chain.front(), leg, scheduler_.Now());
  observation.chain = {chain.begin(), chain.end()};
  observation.failure = EndOfOwn(observation.chain);
  observation.renewal_id = entry.own_renewal_id;
  observation.findings = entry.own_findings;
  Update(entry, std::move(observation));
}

// Checks signatures, so once for each credential.
void CertificateMonitor::JudgeOwn(const std::shared_ptr<const Credential>& credential,
                                  Entry& entry) const {
  if (entry.own == credential) return;
  entry.own = credential;
  const ServedChain served = credential->served();
  ChainFindingOptions options;
  options.use = entry.status.leg == Leg::kFront ? ChainUse::kServer : ChainUse::kClient;
  options.public_roots = options_.public_roots.get();
  options.dropped_roots = options_.dropped_roots.get();
  entry.own_findings = FindingsOfChain(served, options, scheduler_.Now());
  entry.own_renewal_id = RenewalIdOf(served.certificates.front()).value_or("");
}

void CertificateMonitor::ScheduleOwn() {
  own_timer_.reset();
  if (targets_.own.empty() && targets_.own_clients.empty()) return;
  own_timer_ = scheduler_.RunAfter(options_.own_interval, [this] { CheckOwn(); });
}

void CertificateMonitor::Update(Entry& entry, Observation observation) {
  const CertificateStatus before = entry.status;
  CertificateStatus& now = entry.status;
  now.updated = observation.when;
  now.status = std::move(observation.status);
  if (!now.status.ok()) {
    now.last_error_time = now.updated;
    now.last_error = now.status;
  }
  const bool shown = !observation.chain.empty();
  if (shown) {
    now.chain = std::move(observation.chain);
    now.failure.reset();
    if (observation.failure.has_value()) now.failure.emplace(*observation.failure);
    SetAlarms(entry);
    now.renewal_id = std::move(observation.renewal_id);
    now.findings = std::move(observation.findings);
  }
  if (options_.renewal_info != nullptr) {
    now.renewal =
        now.renewal_id.empty() ? std::nullopt : options_.renewal_info->Find(now.renewal_id);
  }
  const bool replaced = shown && entry.Remember() && !before.chain.empty();
  ReportHealth(entry, before.status);
  if (replaced) ReportReplaced(entry, before);
  ReportDue(entry);
}

// A status dated in the future is from before the clock was set back.
bool CertificateMonitor::IsNewerThan(const Entry& entry, absl::Time when) const {
  return entry.status.updated > when && entry.status.updated <= scheduler_.Now();
}

void CertificateMonitor::WakeForThresholds() {
  absl::Time next = scheduler_.Now() + kMaxSleep;
  bool any = false;
  for (const auto& [id, entry] : entries_) {
    // Includes entries without a next tier: the system's clock may be set back.
    any |= entry->status.failure.has_value();
    next = std::min(next, NextTierOf(*entry));
    const std::optional<RenewalInfo>& advice = entry->status.renewal;
    if (advice.has_value() && advice->end > scheduler_.Now()) next = std::min(next, advice->end);
  }
  threshold_timer_.reset();
  if (!any) return;
  threshold_timer_ = scheduler_.RunAfter(next - scheduler_.Now(), [this] {
    for (const auto& [id, entry] : entries_) ReportDue(*entry);
    WakeForThresholds();
  });
}

double CertificateMonitor::Chance() {
  return std::uniform_real_distribution<double>(0, 1)(random_);
}

std::vector<CertificateStatus> CertificateMonitor::Snapshot() const {
  std::vector<CertificateStatus> all;
  for (const auto& [id, entry] : entries_) all.push_back(entry->status);
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::tie(a.source, a.leg, a.name) < std::tie(b.source, b.leg, b.name);
  });
  return all;
}

}  // namespace trestle
