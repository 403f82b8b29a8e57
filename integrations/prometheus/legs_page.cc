#include "integrations/prometheus/legs_page.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "nlohmann/json.hpp"
#include "trestle/base/error.h"
#include "trestle/watch/probe_findings.h"

namespace trestle {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kHead[] = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Trestle legs</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em; color: #1b1f24; background: #fff; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .5em .8em; border-bottom: 1px solid #d0d7de; }
th { background: #f6f8fa; }
ol { margin: 0; padding-left: 1.2em; }
.fine { background: #dafbe1; } .warning { background: #fff8c5; } .critical { background: #ffebe9; }
.state { font-weight: 600; }
</style></head><body>
<h1>Legs</h1>
)";

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

std::string Date(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d", time, absl::UTCTimeZone());
}

Json JsonTime(absl::Time time) {
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) return nullptr;
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::string FailureText(const absl::Status& status) {
  const std::optional<TlsError> error = GetTlsError(status);
  if (!error.has_value()) return std::string(status.message());
  return absl::StrCat(ErrorCodeName(error->code), ": ", error->detail);
}

// As the colours of the page.
Severity SeverityOf(const CertificateStatus& status, absl::Time now) {
  if (!status.status.ok()) return Severity::kCritical;
  if (!status.failure.has_value()) return Severity::kFine;
  if (status.failure->when <= now) return Severity::kCritical;
  return status.failure->when - now <= FindingOptions().warn_within ? Severity::kWarning
                                                                    : Severity::kFine;
}

std::string StateText(const CertificateStatus& status, absl::Time now) {
  if (status.updated == absl::InfinitePast()) return "not looked at yet";
  if (!status.status.ok()) return "failing";
  if (!status.failure.has_value()) return "good";
  return absl::StrCat(TimeLeftText(status.failure->when, now),
                      status.failure->when > now ? " left" : "");
}

std::string ChainHtml(const CertificateStatus& status, absl::Time now) {
  if (status.chain.empty()) return "–";
  std::string html = "<ol>";
  for (const CertificateInfo& certificate : status.chain) {
    absl::StrAppend(&html, "<li>", Escaped(certificate.subject), "<br><small>",
                    Escaped(certificate.key), ", until ", Date(certificate.not_after), " (",
                    TimeLeftText(certificate.not_after, now), ")</small></li>");
  }
  return absl::StrCat(html, "</ol>");
}

std::string RowHtml(const CertificateStatus& status, absl::Time now) {
  std::string what = status.failure.has_value() ? Escaped(status.failure->detail) : "–";
  if (!status.status.ok()) what = absl::StrCat("<b>", Escaped(FailureText(status.status)), "</b>");
  return absl::StrCat(
      "<tr class=\"", SeverityName(SeverityOf(status, now)), "\"><td>", LegName(status.leg),
      "</td><td>", Escaped(status.name), "<br><small>", CertificateSourceName(status.source),
      status.endpoint == Endpoint() ? "" : absl::StrCat(", ", status.endpoint.ToString()),
      "</small></td><td class=\"state\">", StateText(status, now), "</td><td>", what, "</td><td>",
      ChainHtml(status, now), "</td></tr>\n");
}

absl::Time EndOf(const CertificateStatus& status) {
  if (!status.status.ok()) return absl::InfinitePast();
  return status.failure.has_value() ? status.failure->when : absl::InfiniteFuture();
}

Json LegJson(const CertificateStatus& status, absl::Time now) {
  Json chain = Json::array();
  for (const CertificateInfo& certificate : status.chain) {
    chain.push_back({{"subject", certificate.subject},
                     {"issuer", certificate.issuer},
                     {"key", certificate.key},
                     {"not_before", JsonTime(certificate.not_before)},
                     {"not_after", JsonTime(certificate.not_after)}});
  }
  Json failure = nullptr;
  if (status.failure.has_value()) {
    failure = {{"when", JsonTime(status.failure->when)},
               {"seconds_left", absl::ToDoubleSeconds(status.failure->when - now)},
               {"part", std::string(ChainPartName(status.failure->part))},
               {"subject", status.failure->subject},
               {"detail", status.failure->detail}};
  }
  Json error = nullptr;
  if (!status.status.ok()) error = FailureText(status.status);
  Json endpoint = nullptr;
  if (status.endpoint != Endpoint()) endpoint = status.endpoint.ToString();
  return {{"leg", std::string(LegName(status.leg))},
          {"name", status.name},
          {"source", std::string(CertificateSourceName(status.source))},
          {"endpoint", endpoint},
          {"severity", std::string(SeverityName(SeverityOf(status, now)))},
          {"updated", JsonTime(status.updated)},
          {"error", error},
          {"first_failure", failure},
          {"chain", chain}};
}

}  // namespace

std::string LegsPage(const std::vector<CertificateStatus>& certificates, absl::Time now) {
  std::vector<const CertificateStatus*> ordered;
  for (const CertificateStatus& status : certificates) ordered.push_back(&status);
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const auto* a, const auto* b) { return EndOf(*a) < EndOf(*b); });
  std::string rows;
  for (const CertificateStatus* status : ordered) rows += RowHtml(*status, now);
  if (rows.empty()) rows = "<tr><td colspan=\"5\">No certificates are watched.</td></tr>\n";
  return absl::StrCat(
      kHead, "<p>", absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", now, absl::UTCTimeZone()),
      "; <a href=\"/legs\">JSON</a>, <a href=\"/metrics\">metrics</a></p>\n<table>\n",
      "<tr><th>Leg</th><th>Name</th><th>State</th><th>Verification fails</th><th>Chain</th></tr>\n",
      rows, "</table></body></html>\n");
}

std::string LegsJson(const std::vector<CertificateStatus>& certificates, absl::Time now) {
  Json legs = Json::array();
  for (const CertificateStatus& status : certificates) legs.push_back(LegJson(status, now));
  const Json document = {{"time", JsonTime(now)}, {"legs", legs}};
  return document.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
}

}  // namespace trestle
