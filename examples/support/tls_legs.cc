#include "examples/support/tls_legs.h"

#include <errno.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "examples/support/back_tls.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/tls/tls_config.h"

namespace trestle::examples {
namespace {

void WarnOfBackTls() {
  const std::string warning = BackTlsWarning();
  if (warning.empty()) return;
  absl::FPrintF(stderr, "%s: warning: %s\n", program_invocation_short_name, warning);
}

absl::StatusOr<std::string> Reload(ProxyHost& host, FrontTls& front, size_t bridges,
                                   AlsoReloaded& more) {
  absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> back_tls = nullptr;
  if (bridges > 0) back_tls = BackTlsFromFlags();
  if (!back_tls.ok()) return back_tls.status();
  if (more.load) {
    if (absl::Status loaded = more.load(); !loaded.ok()) return loaded;
  }
  absl::StatusOr<std::string> reloaded = front.Reload();
  if (!reloaded.ok()) return reloaded;
  // All are valid. New connections use them from now on; open ones continue.
  if (bridges > 0) {
    WarnOfBackTls();
    host.ForEachThread([&](Blocks& blocks) {
      for (size_t i = 0; i < bridges; ++i) {
        static_cast<TlsBridge&>(*blocks[i]).ReplaceBackTls(*back_tls);
      }
    });
  }
  if (more.use) absl::StrAppend(&*reloaded, "; ", more.use());
  host.DrainOlderCertificates(front.certificates()->current()->generation());
  return reloaded;
}

}  // namespace

void ServeTls(ProxyHost& host, FrontTls& front, size_t bridges, AlsoReloaded more) {
  std::vector<std::string> files = front.files();
  files.insert(files.end(), more.files.begin(), more.files.end());
  if (bridges > 0) {
    WarnOfBackTls();
    for (std::string& file : BackTlsFiles()) files.push_back(std::move(file));
  }
  host.OnReload([&host, &front, bridges,
                 more = std::move(more)]() mutable { return Reload(host, front, bridges, more); },
                files);
  host.AddPart(front.main_loop_part());
}

void WatchFront(const FrontTls& front, Watched& watched) {
  watched.targets.own = {front.certificates()};
  watched.ticket_keys = front.config()->options().ticket_keys;
}

std::vector<RouteLegs> LegsOf(absl::Span<const HttpRoute> routes, ProxyMode mode) {
  std::vector<RouteLegs> legs;
  for (const HttpRoute& route : routes) {
    legs.push_back({route.host, mode, route.backends.endpoints, route.backend_name});
  }
  return legs;
}

absl::Status WatchBridges(absl::Span<const RouteLegs> routes, ProxyProtocolOut proxy_header,
                          const BackNames& own, Watched& watched) {
  const absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> tls = BackTlsFromFlags();
  if (!tls.ok()) return tls.status();
  const auto probe = ProbeConfigFor((*tls)->options());
  if (!probe.ok()) return probe.status();
  for (const RouteLegs& route : routes) {
    RouteLegs& shown = watched.routes.emplace_back(route);
    const bool has_own_name = shown.back_name.empty();
    if (has_own_name) shown.back_name = own.backend_name;
    // A name that depends on the client cannot be probed.
    if (shown.back_name.empty()) continue;
    watched.targets.seen.push_back(shown.back_name);
    for (const Endpoint& endpoint : shown.backends) {
      MonitorTargets::Probed& probed = watched.targets.probed.emplace_back();
      probed.name = shown.back_name;
      probed.config = *probe;
      probed.target.endpoint = endpoint;
      probed.target.server_name = shown.back_name;
      probed.target.proxy_header = proxy_header;
      if (has_own_name) probed.target.verify_name = own.verify_name;
    }
  }
  return absl::OkStatus();
}

}  // namespace trestle::examples
