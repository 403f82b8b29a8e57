#include "examples/support/connection_json.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "examples/support/json_values.h"
#include "trestle/base/error.h"
#include "trestle/watch/probe_findings.h"
#include "trestle/wire/quic_packet.h"

namespace trestle::examples {
namespace {

// Peers control the contents and size of hellos and certificates, so their texts are bounded.
constexpr size_t kMaxTextBytes = 256;
constexpr size_t kMaxDetailBytes = 512;
constexpr size_t kMaxListBytes = 1024;
constexpr size_t kMaxChain = 8;
constexpr size_t kMaxTries = 16;

std::string Bounded(absl::string_view text, size_t max_bytes = kMaxTextBytes) {
  if (text.size() <= max_bytes) return Text(text);
  return absl::StrCat(text.substr(0, max_bytes), "…(", text.size(), " bytes)");
}

// The last element has the number of omitted ones.
Json Bounded(const std::vector<std::string>& list) {
  Json shown = Json::array();
  size_t bytes = 0;
  for (const std::string& text : list) {
    bytes += std::min(text.size(), kMaxTextBytes) + 1;
    if (bytes > kMaxListBytes) {
      shown.push_back(absl::StrCat("…(", list.size() - shown.size(), " more)"));
      break;
    }
    shown.push_back(Bounded(text));
  }
  return shown;
}

Json BoundedCertificate(const CertificateInfo& certificate, absl::Time now) {
  CertificateInfo without_names;
  without_names.subject = Bounded(certificate.subject);
  without_names.issuer = Bounded(certificate.issuer);
  without_names.serial = Bounded(certificate.serial);
  without_names.key = certificate.key;
  without_names.signature = certificate.signature;
  without_names.not_before = certificate.not_before;
  without_names.not_after = certificate.not_after;
  without_names.spki_sha256 = certificate.spki_sha256;
  Json document = CertificateOf(without_names, now);
  document["names"] = Bounded(NamesOf(certificate));
  return document;
}

Json AddressOf(const Endpoint& endpoint) {
  if (endpoint == Endpoint()) return nullptr;
  return endpoint.ToString();
}

Json FailureOf(const std::optional<Error>& error) {
  if (!error.has_value()) return nullptr;
  Json failure = ErrorOf(error);
  failure["detail"] = Bounded(failure["detail"].get<std::string>(), kMaxDetailBytes);
  failure["leg"] = nullptr;
  if (error->leg.has_value()) failure["leg"] = Text(EnumName(*error->leg));
  return failure;
}

// Null if the leg negotiated nothing.
Json TlsOf(const TlsInfo* tls, absl::Time now) {
  if (tls == nullptr) return nullptr;
  Json shown = nullptr;
  if (!tls->local_chain.empty()) {
    shown = BoundedCertificate(tls->local_chain.front(), now);
  }
  Json peer = Json::array();
  for (size_t i = 0; i < std::min(tls->peer_chain.size(), kMaxChain); ++i) {
    peer.push_back(BoundedCertificate(tls->peer_chain[i], now));
  }
  return {{"version", Text(tls->version)},
          {"cipher", Text(tls->cipher)},
          {"group", Text(tls->group)},
          {"alpn", tls->alpn},
          {"server_name", tls->server_name},
          {"resumed", tls->resumed},
          {"hello_retried", tls->hello_retried},
          {"own_certificate", shown},
          {"peer_chain", peer},
          {"peer_chain_left_out", tls->peer_chain.size() - peer.size()}};
}

Json LegOf(const LegReport& leg, absl::Time now) {
  return {{"local", AddressOf(leg.local)},      {"peer", AddressOf(leg.peer)},
          {"via", AddressOf(leg.via)},          {"bytes_read", leg.bytes_read},
          {"bytes_written", leg.bytes_written}, {"bytes_spliced", leg.bytes_spliced},
          {"left_unmarked", leg.left_unmarked}, {"tls", TlsOf(leg.tls.get(), now)}};
}

Json HelloOf(const std::optional<HelloReport>& hello) {
  if (!hello.has_value()) return nullptr;
  return {{"alpn", Bounded(hello->alpn)},
          {"bytes", hello->bytes},
          {"records", hello->records},
          {"segments", hello->segments},
          {"ja4", hello->ja4}};
}

Json QuicVersionOf(const ConnectionReport& report) {
  if (report.quic_version == 0) return nullptr;
  return report.quic_version == kQuicV2 ? "2" : "1";
}

const char* OutcomeOf(const ConnectionReport& report) {
  if (report.handed_over) return "handed_over";
  if (!report.ok()) return "failed";
  return report.front.tls != nullptr && report.front.tls->acme_challenge ? "acme_challenge" : "ok";
}

}  // namespace

std::string ConnectionAsJson(const ConnectionReport& whole_report, absl::Time now) {
  const ConnectionReport report = WithoutHiddenNames(whole_report);
  Json failed_tries = Json::array();
  for (size_t i = 0; i < std::min(report.failed_tries.size(), kMaxTries); ++i) {
    const FailedTry& failed = report.failed_tries[i];
    failed_tries.push_back(
        {{"backend", AddressOf(failed.backend)}, {"error", FailureOf(failed.error)}});
  }
  const Json document = {
      {"schema", "trestle.connection.v1"},
      {"time", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", now, absl::UTCTimeZone())},
      {"id", report.id},
      {"mode", Text(EnumName(report.mode))},
      {"outcome", OutcomeOf(report)},
      {"error", FailureOf(report.error)},
      {"duration_ms", absl::ToDoubleMilliseconds(report.duration)},
      {"quic_version", QuicVersionOf(report)},
      {"server_name", report.server_name},
      {"route", report.route},
      {"hello", HelloOf(report.hello)},
      {"front", LegOf(report.front, now)},
      {"back", LegOf(report.back, now)},
      {"failed_tries", failed_tries},
      {"failed_tries_left_out", report.failed_tries.size() - failed_tries.size()},
      {"times_ms",
       {{"front", absl::ToDoubleMilliseconds(report.times.front)},
        {"dial", absl::ToDoubleMilliseconds(report.times.dial)},
        {"back", absl::ToDoubleMilliseconds(report.times.back)},
        {"relay", absl::ToDoubleMilliseconds(report.times.relay)}}}};
  return Dump(document, /*one_line=*/true);
}

}  // namespace trestle::examples
