// Handles TLS in all three ways on one port. The server name in the ClientHello selects one: some
// names pass through untouched, some are decrypted here, and some are decrypted and encrypted
// again. Shows how to nest blocks: the router owns the port and passes connections to the other
// blocks.

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "examples/support/admin.h"
#include "examples/support/back_tls.h"
#include "examples/support/backend_checks.h"
#include "examples/support/backend_names.h"
#include "examples/support/check_flag.h"
#include "examples/support/config_check.h"
#include "examples/support/connection_flags.h"
#include "examples/support/ech_backends.h"
#include "examples/support/ech_keys_file.h"
#include "examples/support/front_options.h"
#include "examples/support/front_tls.h"
#include "examples/support/program.h"
#include "examples/support/proxy_base.h"
#include "examples/support/proxy_host.h"
#include "examples/support/spiffe_agent.h"
#include "examples/support/tls_legs.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/route_table.h"
#include "trestle/proxy/route_text.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/proxy/tls_terminator.h"

ABSL_FLAG(std::string, pass, "",
          "NAME=IP:PORT, comma-separated: backends that receive the TLS bytes unchanged; *.NAME "
          "matches one more label, **.NAME one or more; several backends: NAME=IP:PORT+IP:PORT. "
          "HOST:PORT and services (_https._tcp.api.internal) are each of their addresses "
          "(docs/backends.md)");
ABSL_FLAG(std::string, offload, "", "NAME=IP:PORT, likewise: backends that receive the clear text");
ABSL_FLAG(
    std::string, bridge, "",
    "NAME=IP:PORT, likewise: backends with a new TLS session, whose certificates must match NAME");
ABSL_FLAG(std::string, probe_ca, "",
          "PEM file, or directory of PEM files, with the CAs of the backends of --pass: with "
          "--admin, probes check their certificates");

namespace {

using namespace trestle;
using namespace trestle::examples;

constexpr char kUsage[] =
    "Passes, terminates and bridges TLS on one port, by the client's server name. Rejects other\n"
    "names. Files are loaded again when they change and on SIGHUP; SIGTERM and SIGINT let open\n"
    "connections finish, a second one cuts them.\n\n"
    "  one_port --listen=127.0.0.1:8443 --pass=legacy.example=127.0.0.1:9443 \\\n"
    "      --offload=www.example=127.0.0.1:8080 --bridge=api.example=127.0.0.1:9444 \\\n"
    "      --cert=chain.pem --key=key.pem --backend_ca=ca.pem";

// The objects that all threads share.
struct Settings {
  std::vector<Route> pass;
  std::vector<Route> offload;
  std::vector<Route> bridge;
  ConnectionOptions connection;
  std::unique_ptr<SpiffeAgent> spiffe;       // Null without one.
  std::unique_ptr<FrontTls> front;           // Null if no route decrypts.
  std::unique_ptr<BackTls> back;             // Null without bridges.
  std::unique_ptr<EchKeysFile> own_ech;      // Set if no route decrypts; null without ECH.
  std::shared_ptr<EchKeys> ech_keys;         // Null without ECH.
  std::shared_ptr<EchKeyOpener> ech_opener;  // Null without ECH.
  std::shared_ptr<UnconfirmedBackends> unconfirmed;

  // Returns whether a route leads to a name.
  bool HasRoute(const std::string& name) const {
    std::vector<Route> routes = pass;
    routes.insert(routes.end(), offload.begin(), offload.end());
    routes.insert(routes.end(), bridge.begin(), bridge.end());
    const absl::StatusOr<std::shared_ptr<const RouteTable>> table = RouteTable::Create(routes);
    return table.ok() && (*table)->Find(name).has_value();
  }

  bool LeadTo(const Endpoint& listener) const {
    const auto leads = [&](const Route& route) {
      return LeadsTo(std::get<Backends>(route.target), listener);
    };
    return std::any_of(pass.begin(), pass.end(), leads) ||
           std::any_of(offload.begin(), offload.end(), leads) ||
           std::any_of(bridge.begin(), bridge.end(), leads);
  }
};

Settings SettingsFromFlags(EpollLoop& loop, BackendNames& names, BackendChecks& checks,
                           const ConnectionOptions& connection) {
  Settings settings;
  settings.connection = connection;
  settings.pass = OrExit(ParseRouteList(absl::GetFlag(FLAGS_pass)));
  settings.offload = OrExit(ParseRouteList(absl::GetFlag(FLAGS_offload)));
  settings.bridge = OrExit(ParseRouteList(absl::GetFlag(FLAGS_bridge)));
  OrExit(checks.UsePassCas(absl::GetFlag(FLAGS_probe_ca)));
  OrExit(checks.Follow(absl::MakeSpan(settings.pass), ProxyMode::kPassthrough));
  OrExit(checks.Follow(absl::MakeSpan(settings.offload), ProxyMode::kOffload));
  OrExit(checks.Follow(absl::MakeSpan(settings.bridge), ProxyMode::kBridge));
  if (settings.bridge.empty() && SpiffeVerifiesBackends()) {
    OrExit(FlagError("spiffe_backends", "has no use here: there is no --bridge"));
  }
  if (settings.offload.empty() && settings.bridge.empty()) {
    OrExit(RefuseSpiffe("has no use here: no route decrypts"));
    settings.own_ech = OrExit(EchKeysFile::FromFlag());
    if (settings.own_ech != nullptr) settings.ech_keys = settings.own_ech->keys();
  } else {
    settings.spiffe = OrExit(SpiffeAgent::FromFlags(loop));
    settings.front = OrExit(FrontTls::FromFlags(names, settings.spiffe.get()));
    settings.ech_keys = settings.front->ech_keys();
  }
  if (!settings.bridge.empty()) settings.back = OrExit(BackTls::FromFlags(settings.spiffe.get()));
  return settings;
}

// Call it when the backends' names were answered.
void OpenEch(Settings& settings) {
  if (settings.ech_keys == nullptr) return;
  settings.ech_opener = OrExit(EchOpenerFromFlags(settings.ech_keys));
  settings.unconfirmed = NewUnconfirmedBackends();
  WarnOfPublicNames(*settings.ech_keys,
                    [&](const std::string& name) { return settings.HasRoute(name); });
  OrExit(CheckEchBackends(settings.pass, *settings.ech_keys,
                          settings.connection.proxy_protocol_to_backend));
}

// The parts of a reload besides the certificates.
AlsoReloaded EchReload(const Settings& settings) {
  AlsoReloaded reloaded;
  if (settings.ech_keys == nullptr) return reloaded;
  reloaded.use = [&settings] {
    WarnOfPublicNames(*settings.ech_keys,
                      [&](const std::string& name) { return settings.HasRoute(name); });
    return DescribeEchKeys(*settings.ech_keys);
  };
  return reloaded;
}

absl::StatusOr<std::string> ReloadOwnEch(const Settings& settings) {
  if (absl::Status prepared = settings.own_ech->Prepare(); !prepared.ok()) return prepared;
  settings.own_ech->Commit();
  return EchReload(settings).use();
}

// One thread's blocks, and the routes that lead to them.
class BlockSet {
 public:
  BlockSet(Scheduler& scheduler, Dialer& dialer, ConnectionObserver* observer,
           const Settings& settings)
      : scheduler_(scheduler), dialer_(dialer), observer_(observer), settings_(settings) {}

  absl::Status AddBridge(const Route& route) {
    if (absl::StartsWith(route.pattern, "*")) {
      return absl::InvalidArgumentError(
          absl::StrCat("--bridge has \"", route.pattern,
                       "\": a backend's certificate is checked for one name, not a wildcard"));
    }
    TlsBridgeOptions options;
    options.front_tls = settings_.front->config();
    options.back_tls = settings_.back->config();
    options.backend = std::get<Backends>(route.target);
    options.backend_name = route.pattern;
    options.connection = settings_.connection;
    options.dangerous_unread_http2 = UnreadHttp2Allowed();
    return Add(route, TlsBridge::Create(scheduler_, dialer_, std::move(options), observer_));
  }

  absl::Status AddTerminator(const Route& route) {
    TlsTerminatorOptions options;
    options.front_tls = settings_.front->config();
    options.backend = std::get<Backends>(route.target);
    options.connection = settings_.connection;
    options.dangerous_unread_http2 = UnreadHttp2Allowed();
    return Add(route, TlsTerminator::Create(scheduler_, dialer_, std::move(options), observer_));
  }

  absl::StatusOr<Blocks> FinishWithRouter() {
    routes_.insert(routes_.end(), settings_.pass.begin(), settings_.pass.end());
    absl::StatusOr<std::shared_ptr<const RouteTable>> table = RouteTable::Create(routes_);
    if (!table.ok()) return table.status();
    SniPassthroughRouterOptions options;
    options.routes = *std::move(table);
    options.answer_plain_http = AnswerPlainHttp();
    options.ech = settings_.ech_opener;
    options.unconfirmed = settings_.unconfirmed;
    options.connection = settings_.connection;
    auto router = SniPassthroughRouter::Create(scheduler_, dialer_, std::move(options), observer_);
    if (!router.ok()) return router.status();
    blocks_.push_back(*std::move(router));
    return std::move(blocks_);
  }

 private:
  template <typename Block>
  absl::Status Add(const Route& route, absl::StatusOr<std::unique_ptr<Block>> block) {
    if (!block.ok()) return block.status();
    routes_.push_back({route.pattern, block->get()});
    blocks_.push_back(*std::move(block));
    return absl::OkStatus();
  }

  Scheduler& scheduler_;
  Dialer& dialer_;
  ConnectionObserver* const observer_;
  const Settings& settings_;
  std::vector<Route> routes_;
  Blocks blocks_;
};

// The bridges come first, because a reload gives them new CAs.
absl::StatusOr<Blocks> MakeBlocks(Scheduler& scheduler, Dialer& dialer,
                                  ConnectionObserver* observer, const Settings& settings) {
  BlockSet set(scheduler, dialer, observer, settings);
  for (const Route& route : settings.bridge) {
    if (absl::Status added = set.AddBridge(route); !added.ok()) return added;
  }
  for (const Route& route : settings.offload) {
    if (absl::Status added = set.AddTerminator(route); !added.ok()) return added;
  }
  return set.FinishWithRouter();
}

absl::StatusOr<Watched> WatchedOf(const Settings& settings) {
  Watched watched;
  const ProxyProtocolOut proxy_header = settings.connection.proxy_protocol_to_backend;
  watched.ech = settings.ech_opener;
  watched.unconfirmed = settings.unconfirmed;
  if (settings.front != nullptr) WatchFront(*settings.front, watched);
  std::vector<BackRoute> bridges;
  for (const Route& route : settings.bridge) {
    bridges.push_back({route.pattern, std::get<Backends>(route.target), route.pattern});
  }
  if (!bridges.empty()) {
    const absl::Status added = WatchBridges(bridges, proxy_header, {}, *settings.back, watched);
    if (!added.ok()) return added;
  }
  AddRoutes(settings.offload, ProxyMode::kOffload, watched);
  AddRoutes(settings.pass, ProxyMode::kPassthrough, watched);
  const std::string ca = absl::GetFlag(FLAGS_probe_ca);
  if (settings.pass.empty() || ca.empty()) return watched;
  const absl::StatusOr<std::shared_ptr<const LegProbeConfig>> config = LoadProbeConfig(ca);
  if (!config.ok()) return config.status();
  AddProbes(settings.pass, *config, proxy_header, settings.ech_keys.get(), watched.targets);
  return watched;
}

}  // namespace

int main(int argc, char** argv) {
  ParseCommandLine(argc, argv, kUsage);
  ProxyBase base;
  ProxyHost& host = base.host;
  Settings settings = SettingsFromFlags(*base.loop, *base.names, *base.checks, base.connection);
  base.checks->UseBridgeTls([&settings] { return settings.back->config(); });
  base.names->WaitForAnswers();
  OpenEch(settings);
  const auto watched = [&] { return WatchedOf(settings); };
  const std::unique_ptr<Admin> admin = OrExit(Admin::FromFlags(watched, *base.names, *base.checks));
  host.SetWatcher(admin.get());
  if (settings.front != nullptr) {
    ServeTls(host, *settings.front, settings.back.get(), settings.bridge.size(),
             EchReload(settings));
  } else if (settings.own_ech != nullptr) {
    host.OnReload([&] { return ReloadOwnEch(settings); }, {EchKeysPath()});
  }
  OrExit(host.Run([&](Scheduler& scheduler, Dialer& dialer,
                      ConnectionObserver* observer) -> absl::StatusOr<Blocks> {
    const auto leads_to = [&](const Endpoint& listener) { return settings.LeadTo(listener); };
    if (absl::Status loop = host.RefuseLoop(leads_to); !loop.ok()) return loop;
    return MakeBlocks(scheduler, dialer, observer, settings);
  }));
  if (!CheckOnly()) return EXIT_SUCCESS;
  return ReportCheck(base.host_options.ListenText(), OrExit(watched()), *base.names);
}
