#include "examples/support/connection_flags.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "examples/support/program.h"
#include "trestle/base/ip_range.h"

ABSL_FLAG(absl::Duration, hello_timeout, trestle::ConnectionOptions().hello_timeout,
          "time limit for a complete ClientHello");
ABSL_FLAG(absl::Duration, handshake_timeout, trestle::ConnectionOptions().handshake_timeout,
          "time limit for a TLS handshake");
ABSL_FLAG(absl::Duration, idle_timeout, trestle::RelayOptions().idle_timeout,
          "closes a connection after this time without any byte");
ABSL_FLAG(absl::Duration, after_certificate_expiry,
          trestle::ConnectionOptions().after_certificate_expiry,
          "how long a connection may continue after the expiry of the certificate that its client "
          "received");
ABSL_FLAG(std::string, proxy_protocol, "",
          "out:v1 or out:v2 sends backends a PROXY header. in:RANGE trusts the header of these "
          "peers, which must send one. A RANGE is an IP address or CIDR range, or unix: for all "
          "clients of a Unix-domain socket. Comma-separated, as in out:v2,in:127.0.0.1/8");
ABSL_FLAG(
    bool, answer_plain_http, false,
    "answers clients that speak HTTP without TLS with a page of status 400; false: sends nothing");
ABSL_FLAG(int, max_connections, 0,
          "maximum number of open connections; further ones are reset at once. 0: no limit. All "
          "threads share this limit and the next three");
ABSL_FLAG(
    int, max_full_handshakes, 0,
    "maximum number of concurrent full TLS handshakes with clients; resumed ones do not count");
ABSL_FLAG(double, max_handshakes_per_second, 0,
          "maximum rate of full TLS handshakes with clients; resumed ones do not count");
ABSL_FLAG(double, max_handshakes_per_second_per_client, 0,
          "the same per client: an IPv4 address, or 64 bits of an IPv6 address");

namespace trestle::examples {
namespace {

// Parses "out:v2,in:127.0.0.1/8,in:::1".
absl::Status ApplyProxyProtocol(absl::string_view text, ConnectionOptions& options) {
  std::vector<absl::string_view> trusted;
  for (absl::string_view item : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    if (item == "out:v1") {
      options.proxy_protocol_to_backend = ProxyProtocolOut::kV1;
    } else if (item == "out:v2") {
      options.proxy_protocol_to_backend = ProxyProtocolOut::kV2;
    } else if (absl::ConsumePrefix(&item, "in:")) {
      trusted.push_back(item);
    } else {
      return FlagError("proxy_protocol",
                       absl::StrCat("has \"", item, "\"; write out:v1, out:v2 or in:RANGE"));
    }
  }
  if (trusted.empty()) return absl::OkStatus();
  absl::StatusOr<TrustedPeers> peers = TrustedPeers::Parse(absl::StrJoin(trusted, ","));
  if (!peers.ok()) {
    return FlagError("proxy_protocol", absl::StrCat("is wrong: ", Sentence(peers.status())));
  }
  options.proxy_protocol_from = *std::move(peers);
  return absl::OkStatus();
}

// Shared by all threads and blocks.
absl::StatusOr<std::shared_ptr<ConnectionLimiter>> LimiterFromFlags() {
  const int connections = absl::GetFlag(FLAGS_max_connections);
  const int handshakes = absl::GetFlag(FLAGS_max_full_handshakes);
  const double rate = absl::GetFlag(FLAGS_max_handshakes_per_second);
  const double client_rate = absl::GetFlag(FLAGS_max_handshakes_per_second_per_client);
  if (connections < 0) return FlagError("max_connections", "must not be negative");
  if (handshakes < 0) return FlagError("max_full_handshakes", "must not be negative");
  if (!(rate >= 0)) return FlagError("max_handshakes_per_second", "must not be negative");
  if (!(client_rate >= 0)) {
    return FlagError("max_handshakes_per_second_per_client", "must not be negative");
  }
  ConnectionLimits limits;
  limits.connections = static_cast<size_t>(connections);
  limits.full_handshakes = static_cast<size_t>(handshakes);
  limits.full_handshakes_per_second = rate;
  limits.full_handshakes_per_second_per_client = client_rate;
  return ConnectionLimiter::Create(limits);
}

}  // namespace

absl::StatusOr<ConnectionOptions> ConnectionOptionsFromFlags() {
  ConnectionOptions options;
  options.hello_timeout = absl::GetFlag(FLAGS_hello_timeout);
  options.handshake_timeout = absl::GetFlag(FLAGS_handshake_timeout);
  options.relay.idle_timeout = absl::GetFlag(FLAGS_idle_timeout);
  options.after_certificate_expiry = absl::GetFlag(FLAGS_after_certificate_expiry);
  absl::StatusOr<std::shared_ptr<ConnectionLimiter>> limiter = LimiterFromFlags();
  if (!limiter.ok()) return limiter.status();
  options.limiter = *std::move(limiter);
  const std::string proxy_protocol = absl::GetFlag(FLAGS_proxy_protocol);
  if (absl::Status s = ApplyProxyProtocol(proxy_protocol, options); !s.ok()) return s;
  return options;
}

bool AnswerPlainHttp() { return absl::GetFlag(FLAGS_answer_plain_http); }

}  // namespace trestle::examples
