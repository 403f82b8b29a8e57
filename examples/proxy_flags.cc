#include "examples/proxy_flags.h"

#include <errno.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "examples/connection_log.h"
#include "trestle/base/error.h"
#include "trestle/base/ip_range.h"

ABSL_FLAG(std::string, listen, "", "IP:PORT to accept clients on; port 0 picks a free one");
ABSL_FLAG(bool, join, false,
          "listens beside processes of this user that listen on the address already: start the "
          "successor with it, then end the predecessor with SIGTERM, and no connection is lost");
ABSL_FLAG(int, threads, 1, "threads that carry connections");
ABSL_FLAG(absl::Duration, hello_timeout, absl::Seconds(5), "limit for a complete ClientHello");
ABSL_FLAG(absl::Duration, handshake_timeout, absl::Seconds(10), "limit for a TLS handshake");
ABSL_FLAG(absl::Duration, idle_timeout, absl::Minutes(5),
          "closes a connection on which no byte moved for so long");
ABSL_FLAG(absl::Duration, drain_timeout, absl::Seconds(30),
          "time for open connections to finish after SIGTERM or SIGINT");
ABSL_FLAG(absl::Duration, drain_on_reload, absl::InfiniteDuration(),
          "time for connections to finish that began with certificates from before a reload");
ABSL_FLAG(absl::Duration, after_certificate_expiry, absl::InfiniteDuration(),
          "how long a connection may go on after the certificate that its client was shown has "
          "expired");
ABSL_FLAG(
    std::string, proxy_protocol, "",
    "out:v1 or out:v2 sends backends a PROXY header; in:RANGE believes that of peers in RANGE "
    "(an IP address or CIDR range), who must send one; comma-separated, as in "
    "out:v2,in:127.0.0.1/8");
ABSL_FLAG(int, max_connections, 0,
          "connections open at a time; more are reset at once. 0: no limit, as for the next three, "
          "which all threads share");
ABSL_FLAG(int, max_full_handshakes, 0,
          "full TLS handshakes with clients under way at a time; what resumes is not counted");
ABSL_FLAG(double, max_handshakes_per_second, 0,
          "full TLS handshakes with clients a second; what resumes is not counted");
ABSL_FLAG(double, max_handshakes_per_second_per_client, 0,
          "the same for each client: an IPv4 address, or 64 bits of an IPv6 address");
ABSL_FLAG(trestle::examples::ConnectionLogFormat, log_connections,
          trestle::examples::ConnectionLogFormat::kNone,
          "text or json: writes one line about each finished connection to standard error");

namespace trestle::examples {
namespace {

constexpr int kMaxThreads = 1024;

// Abseil's own --help leaves out the flags of other files than main's, and exits with status 1.
[[noreturn]] void PrintHelpAndExit(absl::string_view usage) {
  std::map<std::string, const absl::CommandLineFlag*> flags;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (absl::StrContains(flag->Filename(), "examples/")) flags.emplace(name, flag);
  }
  absl::PrintF("%s\n\nFlags:\n", usage);
  for (const auto& [name, flag] : flags) {
    const std::string value = flag->DefaultValue();
    absl::PrintF("  --%-18s %s%s\n", name, flag->Help(),
                 value.empty() || value == "false" ? "" : absl::StrCat("; default ", value));
  }
  std::exit(EXIT_SUCCESS);
}

// Reads "out:v2,in:127.0.0.1/8,in:::1".
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

// Each thread gets its share: the system spreads connections evenly.
absl::StatusOr<ConnectionLimits> LimitsFromFlags() {
  const int threads = std::max(absl::GetFlag(FLAGS_threads), 1);
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
  limits.connections = static_cast<size_t>((connections + threads - 1) / threads);
  limits.full_handshakes = static_cast<size_t>((handshakes + threads - 1) / threads);
  limits.full_handshakes_per_second = rate / threads;
  limits.full_handshakes_per_second_per_client = client_rate / threads;
  return limits;
}

}  // namespace

absl::Status FlagError(absl::string_view flag, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, " ", what));
}

void ParseCommandLine(int argc, char** argv, absl::string_view usage) {
  absl::SetProgramUsageMessage(usage);
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    if (argument == "--help" || argument == "-help" || argument == "-h") PrintHelpAndExit(usage);
  }
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);
  if (arguments.size() == 1) return;
  OrExit(absl::InvalidArgumentError(
      absl::StrCat("\"", arguments[1], "\" is no flag; see --help for what there is")));
}

absl::StatusOr<ProxyHostOptions> HostOptionsFromFlags() {
  const absl::StatusOr<Endpoint> listen = EndpointFromFlag("listen", absl::GetFlag(FLAGS_listen));
  if (!listen.ok()) return listen.status();
  ProxyHostOptions options;
  options.listen = *listen;
  if (absl::GetFlag(FLAGS_join)) options.port_use = PortUse::kJoin;
  options.threads = absl::GetFlag(FLAGS_threads);
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return FlagError("threads", absl::StrCat("must be from 1 to ", kMaxThreads));
  }
  options.drain_timeout = absl::GetFlag(FLAGS_drain_timeout);
  if (options.drain_timeout < absl::ZeroDuration() ||
      options.drain_timeout == absl::InfiniteDuration()) {
    return FlagError("drain_timeout", "must be neither negative nor infinite");
  }
  options.drain_on_reload = absl::GetFlag(FLAGS_drain_on_reload);
  if (options.drain_on_reload < absl::ZeroDuration()) {
    return FlagError("drain_on_reload", "must not be negative");
  }
  options.log_connections = absl::GetFlag(FLAGS_log_connections);
  return options;
}

absl::StatusOr<ConnectionOptions> ConnectionOptionsFromFlags() {
  ConnectionOptions options;
  options.hello_timeout = absl::GetFlag(FLAGS_hello_timeout);
  options.handshake_timeout = absl::GetFlag(FLAGS_handshake_timeout);
  options.relay.idle_timeout = absl::GetFlag(FLAGS_idle_timeout);
  options.after_certificate_expiry = absl::GetFlag(FLAGS_after_certificate_expiry);
  absl::StatusOr<ConnectionLimits> limits = LimitsFromFlags();
  if (!limits.ok()) return limits.status();
  options.limits = *limits;
  const std::string proxy_protocol = absl::GetFlag(FLAGS_proxy_protocol);
  if (absl::Status s = ApplyProxyProtocol(proxy_protocol, options); !s.ok()) return s;
  return options;
}

absl::StatusOr<Endpoint> EndpointFromFlag(absl::string_view flag, absl::string_view value) {
  if (value.empty()) return FlagError(flag, "is required, as IP:PORT");
  absl::StatusOr<Endpoint> endpoint = Endpoint::Parse(value);
  if (endpoint.ok()) return endpoint;
  return FlagError(flag, absl::StrCat("is wrong: ", Sentence(endpoint.status())));
}

absl::StatusOr<std::string> RequiredFlag(absl::string_view flag, std::string value) {
  if (value.empty()) return FlagError(flag, "is required and must not be empty");
  return value;
}

std::string Sentence(const absl::Status& status) {
  const std::optional<TlsError> error = GetTlsError(status);
  return error.has_value() ? error->detail : std::string(status.message());
}

void OrExit(const absl::Status& status) {
  if (status.ok()) return;
  absl::FPrintF(stderr, "%s: %s\n", program_invocation_short_name, Sentence(status));
  std::exit(EXIT_FAILURE);
}

}  // namespace trestle::examples
