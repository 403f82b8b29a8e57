#include "examples/support/ech_backends.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/flags/flag.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "examples/support/check_flag.h"
#include "examples/support/ech_keys_file.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/watch/leg_probe.h"
#include "trestle/watch/probe_queue.h"

ABSL_FLAG(
    bool, dangerous_unconfirmed_ech, false,
    "with --ech_keys_file: starts although a backend doesn't confirm inner hellos, and goes on "
    "sending it inner hellos, so that clients which hide its name fail");

namespace trestle::examples {
namespace {

// Returns the names to request, by backend.
std::map<std::string, LegProbeTarget> TargetsOf(absl::Span<const Route> routes, const EchKeys& keys,
                                                ProxyProtocolOut proxy_header) {
  constexpr size_t kMaxBackends = 1000;
  std::map<std::string, LegProbeTarget> targets;
  for (const Route& route : routes) {
    const Backends* const backends = std::get_if<Backends>(&route.target);
    if (backends == nullptr || route.pattern.empty() || IsPublicName(keys, route.pattern)) continue;
    absl::string_view base = route.pattern;
    const bool wild = absl::ConsumePrefix(&base, "**.") || absl::ConsumePrefix(&base, "*.");
    for (const Endpoint& endpoint : EndpointsNow(*backends)) {
      if (targets.size() == kMaxBackends) return targets;
      LegProbeTarget target;
      target.endpoint = endpoint;
      target.server_name = absl::StrCat(wild ? "ech-probe." : "", base);
      target.proxy_header = proxy_header;
      target.ech_inner = true;
      targets.emplace(endpoint.ToString(), std::move(target));
    }
  }
  return targets;
}

}  // namespace

std::shared_ptr<UnconfirmedBackends> NewUnconfirmedBackends() {
  if (absl::GetFlag(FLAGS_dangerous_unconfirmed_ech)) return nullptr;
  return std::make_shared<UnconfirmedBackends>();
}

absl::Status CheckEchBackends(absl::Span<const Route> routes, const EchKeys& keys,
                              ProxyProtocolOut proxy_header) {
  if (CheckOnly()) return absl::OkStatus();
  const std::map<std::string, LegProbeTarget> targets = TargetsOf(routes, keys, proxy_header);
  if (targets.empty()) return absl::OkStatus();
  LegProbeOptions options;
  options.only_ech_inner = true;
  options.dial_timeout = absl::Seconds(3);
  options.handshake_timeout = absl::Seconds(3);
  const auto config = LegProbeConfig::Create(std::move(options));
  if (!config.ok()) return config.status();
  auto loop = EpollLoop::Create();
  if (!loop.ok()) return loop.status();
  TcpDialer dialer(**loop);
  ProbeQueue probes(**loop, dialer, /*max_concurrent=*/64);
  absl::Status refusal;
  size_t left = targets.size();
  for (const auto& [address, target] : targets) {
    probes.Probe(*config, target, [&, address = address](const ProbeReport& report) {
      if (!report.ech_inner.ok()) {
        const std::string sentence =
            absl::StrCat("backend ", address, " of ", report.target.server_name, ": ",
                         Sentence(report.ech_inner));
        const bool refuse =
            report.denies_inner_hello() && !absl::GetFlag(FLAGS_dangerous_unconfirmed_ech);
        if (refuse) {
          refusal.Update(absl::InvalidArgumentError(
              absl::StrCat(sentence, " (--dangerous_unconfirmed_ech starts all the same)")));
        } else {
          LogWarning(sentence);
        }
      }
      if (--left == 0) (*loop)->Stop();
    });
  }
  (*loop)->Run();
  return refusal;
}

}  // namespace trestle::examples
