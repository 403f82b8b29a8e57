#include "examples/support/proxy_flags.h"

#include <string>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "examples/support/check_flag.h"
#include "examples/support/connection_log.h"
#include "examples/support/program.h"

ABSL_FLAG(
    std::string, listen, "",
    "IP:PORT or unix:PATH to accept clients on; port 0 selects a free one; or fd:NAME for the "
    "sockets that a service manager passes (FileDescriptorName= in a .socket unit)");
ABSL_FLAG(bool, join, false,
          "shares the address with running processes of this user. Start the new process with it, "
          "then end the old one with SIGTERM, and no connection is lost");
ABSL_FLAG(int, threads, 1, "number of threads that serve connections");
ABSL_FLAG(absl::Duration, tcp_keepalive, absl::Minutes(3),
          "probes peers that were silent for this time (TCP keepalive), and closes the connection "
          "if they do not answer within the same time again. Used if --idle_timeout is longer "
          "than both together. 0: off");
ABSL_DECLARE_FLAG(absl::Duration, idle_timeout);  // connection_flags.cc
ABSL_FLAG(
    absl::Duration, drain_timeout, absl::Seconds(30),
    "time for open connections to finish after SIGTERM or SIGINT, including the time to close "
    "those that do not");
ABSL_FLAG(absl::Duration, drain_on_reload, absl::InfiniteDuration(),
          "time for connections with certificates from before a reload to finish");
ABSL_FLAG(trestle::examples::ConnectionLogFormat, log_connections,
          trestle::examples::ConnectionLogFormat::kNone,
          "text or json: writes one line about each finished connection to standard error");

namespace trestle::examples {
namespace {

constexpr int kMaxThreads = 1024;

absl::Status ReadListen(ProxyHostOptions& options) {
  const std::string text = absl::GetFlag(FLAGS_listen);
  if (absl::GetFlag(FLAGS_join)) options.port_use = PortUse::kJoin;
  absl::string_view name = text;
  if (absl::ConsumePrefix(&name, "fd:")) {
    if (name.empty()) return FlagError("listen", "has no name after fd:");
    if (options.port_use == PortUse::kJoin) {
      return FlagError("join", "has no use with --listen=fd:NAME: processes share these sockets");
    }
    options.passed_sockets = std::string(name);
    return absl::OkStatus();
  }
  const absl::StatusOr<Endpoint> listen = EndpointFromFlag("listen", text);
  if (listen.ok()) options.listen = *listen;
  return listen.status();
}

}  // namespace

absl::StatusOr<ProxyHostOptions> HostOptionsFromFlags() {
  ProxyHostOptions options;
  if (absl::Status listen = ReadListen(options); !listen.ok()) return listen;
  options.threads = absl::GetFlag(FLAGS_threads);
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return FlagError("threads", absl::StrCat("must be from 1 to ", kMaxThreads));
  }
  const absl::Duration keepalive = absl::GetFlag(FLAGS_tcp_keepalive);
  if (keepalive < absl::ZeroDuration() || keepalive > absl::Hours(9) ||
      (keepalive > absl::ZeroDuration() && keepalive < absl::Seconds(4))) {
    return FlagError("tcp_keepalive", "must be 0, or from 4s to 9h");
  }
  if (2 * keepalive < absl::GetFlag(FLAGS_idle_timeout)) options.tcp_keepalive = keepalive;
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
  options.check_only = CheckOnly();
  return options;
}

}  // namespace trestle::examples
