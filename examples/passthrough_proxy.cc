// Routes TLS connections by the server name in their ClientHello, without decryption. The backends
// own the certificates. The proxy has no key but that of encrypted ClientHellos, if it opens them.

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "examples/support/admin.h"
#include "examples/support/backend_checks.h"
#include "examples/support/check_flag.h"
#include "examples/support/config_check.h"
#include "examples/support/connection_flags.h"
#include "examples/support/ech_backends.h"
#include "examples/support/ech_keys_file.h"
#include "examples/support/program.h"
#include "examples/support/proxy_base.h"
#include "examples/support/proxy_host.h"
#include "examples/support/quic_part.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/file.h"
#include "trestle/proxy/quic_passthrough_router.h"
#include "trestle/proxy/route_table.h"
#include "trestle/proxy/route_text.h"
#include "trestle/proxy/sni_passthrough_router.h"

ABSL_FLAG(std::string, routes, "",
          "NAME=IP:PORT, comma-separated; *.NAME matches one more label, **.NAME one or more; "
          "several backends are used in turn: NAME=IP:PORT+IP:PORT. HOST:PORT and services "
          "(_https._tcp.api.internal) are each of their addresses (docs/backends.md)");
ABSL_FLAG(std::string, routes_file, "",
          "file with one route per line: NAME IP:PORT[+IP:PORT...] [balance=...] [tries=N] "
          "[alpn=...]; loaded again on SIGHUP and when it changes");
ABSL_FLAG(std::string, default_backend, "",
          "backends, as in --routes, for all other names, and for clients without a name; without "
          "it they "
          "are rejected");
ABSL_FLAG(std::string, no_name, "default",
          "action for clients that send no name: default (the default backend), alert "
          "(unrecognized_name) or close (without an alert)");
ABSL_FLAG(std::string, probe_ca, "",
          "PEM file, or directory of PEM files, with the backends' CAs: with --admin, probes check "
          "the backends' certificates");
ABSL_FLAG(std::string, unknown_name, "default",
          "action for clients with a name that has no route: default, alert or close");

namespace {

// A million routes of the usual length.
constexpr size_t kMaxRoutesFileBytes = 128 << 20;

constexpr char kUsage[] =
    "Routes TLS connections by the client's server name, without decrypting them; with --quic\n"
    "also QUIC (HTTP/3).\n"
    "SIGHUP loads the files again; SIGTERM and SIGINT let open connections finish, a second\n"
    "one cuts them.\n\n"
    "  passthrough_proxy --listen=127.0.0.1:8443 \\\n"
    "      --routes=a.example=127.0.0.1:9001,*.b.example=127.0.0.1:9002";

using namespace trestle;
using namespace trestle::examples;

absl::StatusOr<Unrouted> UnroutedFromFlag(absl::string_view flag, absl::string_view value) {
  if (value == "default") return Unrouted::kDefaultRoute;
  if (value == "alert") return Unrouted::kAlert;
  if (value == "close") return Unrouted::kClose;
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, " has \"", value, "\"; write default, alert or close"));
}

// The routes that are in use, or those of a reload.
struct Routes {
  std::vector<Route> list = {};
  std::shared_ptr<const RouteTable> table;
};

// Returns all routes of the command line and the file.
absl::StatusOr<std::vector<Route>> ReadRoutes(BackendChecks& checks) {
  absl::StatusOr<std::vector<Route>> routes = ParseRouteList(absl::GetFlag(FLAGS_routes));
  if (!routes.ok()) return routes.status();
  if (const std::string backend = absl::GetFlag(FLAGS_default_backend); !backend.empty()) {
    absl::StatusOr<Backends> backends =
        checks.Parse("default_backend", backend, {ProxyMode::kPassthrough});
    if (!backends.ok()) return backends.status();
    routes->push_back({"", *std::move(backends)});
  }
  if (const std::string path = absl::GetFlag(FLAGS_routes_file); !path.empty()) {
    const absl::StatusOr<std::string> text = ReadFile(path, kMaxRoutesFileBytes);
    if (!text.ok()) return text.status();
    const absl::StatusOr<std::vector<Route>> more = ParseRoutesFile(*text);
    if (!more.ok()) return absl::InvalidArgumentError(path + ": " + Sentence(more.status()));
    routes->insert(routes->end(), more->begin(), more->end());
  }
  return routes;
}

// Returns the same routes with their checked table. `checks` follows their backends.
absl::StatusOr<Routes> LoadRoutes(BackendChecks& checks) {
  absl::StatusOr<std::vector<Route>> list = ReadRoutes(checks);
  if (!list.ok()) return list.status();
  const absl::Status followed = checks.Follow(absl::MakeSpan(*list), ProxyMode::kPassthrough);
  if (!followed.ok()) return followed;
  absl::StatusOr<std::shared_ptr<const RouteTable>> table = RouteTable::Create(*list);
  if (!table.ok()) return table.status();
  return Routes{*std::move(list), *std::move(table)};
}

// Shows all routes, and probes their backends if --probe_ca is set.
absl::StatusOr<Watched> WatchedOf(const std::vector<Route>& routes, ProxyProtocolOut proxy_header,
                                  const EchKeys* ech_keys) {
  Watched watched;
  AddRoutes(routes, ProxyMode::kPassthrough, watched);
  const std::string ca = absl::GetFlag(FLAGS_probe_ca);
  if (ca.empty()) return watched;
  const absl::StatusOr<std::shared_ptr<const LegProbeConfig>> config = LoadProbeConfig(ca);
  if (!config.ok()) return config.status();
  AddProbes(routes, *config, proxy_header, ech_keys, watched.targets);
  return watched;
}

// Returns the routes that the page and the probes look at.
std::vector<Route> ShownOf(std::vector<Route> list) {
  constexpr size_t kMost = 10'000;
  std::vector<Route> shown;
  size_t single = 0;  // Those with a name to request.
  for (Route& route : list) {
    const bool is_single = !route.pattern.empty() && route.pattern.front() != '*';
    if (shown.size() < kMost || (is_single && single < kMost)) shown.push_back(std::move(route));
    if (is_single) ++single;
  }
  return shown;
}

absl::Status RefuseLoop(const ProxyHost& host, const RouteTable& table) {
  return host.RefuseLoop([&](const Endpoint& listener) { return table.LeadsTo(listener); });
}

void WarnOfPublicNames(const EchKeys& keys, const RouteTable& table) {
  examples::WarnOfPublicNames(
      keys, [&](const std::string& name) { return table.Find(name).has_value(); });
}

// Hands the routes to all routers. These have the same options: all accept the routes or none.
absl::Status ReplaceRoutes(ProxyHost& host, const std::shared_ptr<const RouteTable>& table) {
  absl::Mutex mutex;
  absl::Status replaced;
  host.ForEachThread([&](Blocks& blocks) {
    absl::Status status = static_cast<SniPassthroughRouter&>(*blocks.back()).ReplaceRoutes(table);
    absl::MutexLock lock(&mutex);
    replaced.Update(std::move(status));
  });
  if (!replaced.ok()) return replaced;
  host.ForEachPart([&](WorkerPart& part) {
    replaced.Update(static_cast<QuicPart&>(part).router().ReplaceRoutes(table));
  });
  return replaced;
}

// Uses the loaded routes, and loads and uses ECH keys (`ech` may be null): both or neither. They
// apply to new connections; open ones continue.
absl::StatusOr<std::string> Reload(ProxyHost& host, EchKeysFile* ech,
                                   const std::shared_ptr<const RouteTable>& table) {
  if (absl::Status loop = RefuseLoop(host, *table); !loop.ok()) return loop;
  if (ech != nullptr) {
    if (absl::Status prepared = ech->Prepare(); !prepared.ok()) return prepared;
  }
  if (absl::Status replaced = ReplaceRoutes(host, table); !replaced.ok()) return replaced;
  std::string line = absl::StrCat(table->size(), " routes");
  if (ech == nullptr) return line;
  ech->Commit();
  WarnOfPublicNames(*ech->keys(), *table);
  return absl::StrCat(line, "; ", DescribeEchKeys(*ech->keys()));
}

std::vector<std::string> WatchedFiles() {
  std::vector<std::string> files;
  for (std::string path : {absl::GetFlag(FLAGS_routes_file), EchKeysPath()}) {
    if (!path.empty()) files.push_back(std::move(path));
  }
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  ParseCommandLine(argc, argv, kUsage);
  ProxyBase base;
  ProxyHost& host = base.host;
  SniPassthroughRouterOptions options;
  options.connection = base.connection;
  const ProxyProtocolOut proxy_header = options.connection.proxy_protocol_to_backend;
  OrExit(base.checks->UsePassCas(absl::GetFlag(FLAGS_probe_ca)));
  absl::StatusOr<Routes> routes = OrExit(LoadRoutes(*base.checks));
  options.routes = routes->table;
  options.no_name = OrExit(UnroutedFromFlag("no_name", absl::GetFlag(FLAGS_no_name)));
  options.unknown_name =
      OrExit(UnroutedFromFlag("unknown_name", absl::GetFlag(FLAGS_unknown_name)));
  options.answer_plain_http = AnswerPlainHttp();
  const std::unique_ptr<EchKeysFile> ech = OrExit(EchKeysFile::FromFlag());
  base.names->WaitForAnswers();
  std::shared_ptr<EchKeyOpener> opener;
  std::shared_ptr<UnconfirmedBackends> unconfirmed;
  if (ech != nullptr) {
    opener = OrExit(EchOpenerFromFlags(ech->keys()));
    unconfirmed = NewUnconfirmedBackends();
    WarnOfPublicNames(*ech->keys(), *options.routes);
    OrExit(CheckEchBackends(routes->list, *ech->keys(), proxy_header));
  }
  options.ech = opener;
  options.unconfirmed = unconfirmed;
  std::vector<Route> shown = ShownOf(std::move(routes->list));
  const auto watched = [&] {
    auto watched = WatchedOf(shown, proxy_header, ech != nullptr ? ech->keys().get() : nullptr);
    if (!watched.ok()) return watched;
    watched->ech = opener;
    watched->unconfirmed = unconfirmed;
    return watched;
  };
  const std::unique_ptr<Admin> admin = OrExit(Admin::FromFlags(watched, *base.names, *base.checks));

  QuicPassthroughRouterOptions quic = OrExit(QuicPart::OptionsFromFlags());
  quic.routes = options.routes;
  quic.no_name = options.no_name;
  quic.unknown_name = options.unknown_name;
  quic.limiter = options.connection.limiter;
  host.SetWatcher(admin.get());
  if (const std::vector<std::string> files = WatchedFiles(); !files.empty()) {
    // New names have their addresses before the routes are used.
    host.BeforeReload([&](absl::AnyInvocable<void()> go) {
      routes = LoadRoutes(*base.checks);
      base.names->WhenAnswered(std::move(go));
    });
    const auto reload = [&]() -> absl::StatusOr<std::string> {
      if (!routes.ok()) return routes.status();
      absl::StatusOr<std::string> line = Reload(host, ech.get(), routes->table);
      if (!line.ok()) return line;
      // Nothing has the earlier names any longer.
      options.routes = quic.routes = routes->table;
      shown = ShownOf(std::move(routes->list));
      return line;
    };
    host.OnReload(reload, files);
  }
  if (QuicPart::IsWanted()) {
    host.SetWorkerPart(
        [&](EpollLoop& loop, const WorkerAddress& address, ConnectionObserver* observer) {
          return QuicPart::Create(loop, address, quic, observer);
        });
  }
  OrExit(host.Run([&](Scheduler& scheduler, Dialer& dialer,
                      ConnectionObserver* observer) -> absl::StatusOr<Blocks> {
    if (absl::Status loop = RefuseLoop(host, *options.routes); !loop.ok()) return loop;
    return Alone(SniPassthroughRouter::Create(scheduler, dialer, options, observer));
  }));
  if (!CheckOnly()) return EXIT_SUCCESS;
  return ReportCheck(base.host_options.ListenText(), OrExit(watched()), *base.names);
}
