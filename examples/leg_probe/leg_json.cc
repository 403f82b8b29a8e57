#include "examples/leg_probe/leg_json.h"

#include <algorithm>
#include <optional>

#include "examples/support/json_values.h"

namespace trestle::examples {
namespace {

Json FailureOf(const std::optional<FutureFailure>& failure) {
  if (!failure.has_value()) return nullptr;
  return {{"when", TimeOf(failure->when)},
          {"part", Text(EnumName(failure->part))},
          {"subject", failure->subject},
          {"detail", failure->detail}};
}

Json ServedOf(const ChainReport& chain, absl::Time now) {
  Json served = Json::array();
  for (size_t i = 0; i < chain.served.size(); ++i) {
    Json one = CertificateOf(chain.served[i], now);
    one["role"] = i < chain.roles.size() ? Json(Text(EnumName(chain.roles[i]))) : Json();
    served.push_back(std::move(one));
  }
  return served;
}

Json ChainOf(const ChainReport& chain, absl::Time now) {
  Json path = Json::array();
  for (const CertificateInfo& certificate : chain.path) {
    path.push_back(CertificateOf(certificate, now));
  }
  Json missing = Json::array();
  for (const MissingCertificate& certificate : chain.missing) {
    missing.push_back({{"subject", certificate.subject}, {"known", certificate.known}});
  }
  return {{"good", chain.verdict.ok()},
          {"error", ErrorOf(ToError(chain.verdict))},
          {"trusted", chain.trusted},
          {"first_failure", FailureOf(chain.first_failure)},
          {"first_certificate_failure", FailureOf(chain.first_certificate_failure)},
          {"served", ServedOf(chain, now)},
          {"path", path},
          {"missing", missing},
          {"out_of_order", chain.out_of_order},
          {"must_staple", chain.must_staple},
          {"renewal_id", chain.renewal_id.empty() ? Json() : Json(chain.renewal_id)},
          {"staple",
           {{"state", Text(EnumName(chain.staple.state))},
            {"detail", chain.staple.detail},
            {"this_update", TimeOf(chain.staple.this_update)},
            {"next_update", TimeOf(chain.staple.next_update)}}}};
}

Json TlsOf(const ProbeReport& report) {
  if (report.tls.version.empty()) return nullptr;
  return {{"version", Text(report.tls.version)},
          {"cipher", Text(report.tls.cipher)},
          {"group", Text(report.tls.group)},
          {"post_quantum", report.post_quantum},
          {"alpn", report.tls.alpn},
          {"resumption_offered", report.resumption_offered}};
}

Json LegOf(const ProbedLeg& probed, absl::Time now) {
  const ProbeReport& report = probed.report;
  Json findings = Json::array();
  for (const Finding& finding : probed.findings) {
    findings.push_back({{"severity", Text(EnumName(finding.severity))},
                        {"code", finding.code},
                        {"text", finding.text},
                        {"advice", finding.advice}});
  }
  Json chain = nullptr;
  if (report.chain.has_value()) chain = ChainOf(*report.chain, now);
  return {{"route", probed.route},
          {"leg", Text(EnumName(probed.leg))},
          {"address", report.target.endpoint.ToString()},
          {"resolved_from", probed.name.empty() ? Json() : Json(probed.name)},
          {"server_name", report.target.server_name},
          {"expected_name", report.target.expected_name()},
          {"start_tls", Text(EnumName(report.target.start_tls))},
          {"good", report.good()},
          {"severity", Text(EnumName(WorstOf(probed.findings)))},
          {"error", ErrorOf(ToError(report.status))},
          {"times_ms",
           {{"dial", absl::ToDoubleMilliseconds(report.times.dial)},
            {"start_tls", absl::ToDoubleMilliseconds(report.times.start_tls)},
            {"handshake", absl::ToDoubleMilliseconds(report.times.handshake)}}},
          {"tls", TlsOf(report)},
          {"chain", chain},
          {"findings", findings}};
}

}  // namespace

std::string LegsAsJson(const std::vector<ProbedLeg>& legs, absl::Time now, bool one_line) {
  Severity worst = Severity::kFine;
  Json list = Json::array();
  for (const ProbedLeg& leg : legs) {
    worst = std::max(worst, WorstOf(leg.findings));
    list.push_back(LegOf(leg, now));
  }
  const Json document = {{"schema", "trestle.leg_probe.v1"},
                         {"time", TimeOf(now)},
                         {"severity", Text(EnumName(worst))},
                         {"legs", list}};
  return Dump(document, one_line);
}

}  // namespace trestle::examples
