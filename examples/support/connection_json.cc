#include "examples/support/connection_json.h"

#include <optional>

#include "examples/support/json_values.h"
#include "trestle/base/error.h"

namespace trestle::examples {
namespace {

Json AddressOf(const Endpoint& endpoint) {
  if (endpoint == Endpoint()) return nullptr;
  return endpoint.ToString();
}

Json FailureOf(const absl::Status& status) {
  Json failure = ErrorOf(status);
  const std::optional<TlsError> error = GetTlsError(status);
  if (failure.is_null()) return failure;
  failure["leg"] = nullptr;
  if (error.has_value() && error->leg.has_value()) failure["leg"] = Text(LegName(*error->leg));
  return failure;
}

// Null where a leg didn't get as far as to agree on anything.
Json TlsOf(const TlsInfo* tls, absl::Time now) {
  if (tls == nullptr) return nullptr;
  Json shown = nullptr;
  if (!tls->local_chain.empty()) shown = CertificateOf(tls->local_chain.front(), now);
  Json peer = Json::array();
  for (const CertificateInfo& certificate : tls->peer_chain) {
    peer.push_back(CertificateOf(certificate, now));
  }
  return {{"version", Text(tls->version)},
          {"cipher", Text(tls->cipher)},
          {"group", Text(tls->group)},
          {"alpn", tls->alpn},
          {"server_name", tls->server_name},
          {"resumed", tls->resumed},
          {"hello_retried", tls->hello_retried},
          {"own_certificate", shown},
          {"peer_chain", peer}};
}

Json LegOf(const LegReport& leg, absl::Time now) {
  return {{"local", AddressOf(leg.local)},      {"peer", AddressOf(leg.peer)},
          {"via", AddressOf(leg.via)},          {"bytes_read", leg.bytes_read},
          {"bytes_written", leg.bytes_written}, {"bytes_spliced", leg.bytes_spliced},
          {"tls", TlsOf(leg.tls.get(), now)}};
}

Json HelloOf(const std::optional<HelloReport>& hello) {
  if (!hello.has_value()) return nullptr;
  return {{"alpn", hello->alpn},
          {"bytes", hello->bytes},
          {"records", hello->records},
          {"segments", hello->segments},
          {"ja4", hello->ja4}};
}

const char* OutcomeOf(const ConnectionReport& report) {
  if (report.handed_over) return "handed_over";
  if (!report.status.ok()) return "failed";
  return report.front.tls != nullptr && report.front.tls->acme_challenge ? "acme_challenge" : "ok";
}

}  // namespace

std::string ConnectionAsJson(const ConnectionReport& whole_report, absl::Time now) {
  const ConnectionReport report = WithoutHiddenNames(whole_report);
  Json failed_tries = Json::array();
  for (const FailedTry& failed : report.failed_tries) {
    failed_tries.push_back(
        {{"backend", AddressOf(failed.backend)}, {"error", FailureOf(failed.status)}});
  }
  const Json document = {
      {"schema", "trestle.connection.v1"},
      {"time", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", now, absl::UTCTimeZone())},
      {"id", report.id},
      {"mode", Text(ProxyModeName(report.mode))},
      {"outcome", OutcomeOf(report)},
      {"error", FailureOf(report.status)},
      {"duration_ms", absl::ToDoubleMilliseconds(report.duration)},
      {"server_name", report.server_name},
      {"route", report.route},
      {"hello", HelloOf(report.hello)},
      {"front", LegOf(report.front, now)},
      {"back", LegOf(report.back, now)},
      {"failed_tries", failed_tries},
      {"times_ms",
       {{"front", absl::ToDoubleMilliseconds(report.times.front)},
        {"dial", absl::ToDoubleMilliseconds(report.times.dial)},
        {"back", absl::ToDoubleMilliseconds(report.times.back)},
        {"relay", absl::ToDoubleMilliseconds(report.times.relay)}}}};
  return Dump(document, /*one_line=*/true);
}

}  // namespace trestle::examples
