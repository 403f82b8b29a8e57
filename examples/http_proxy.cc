// An HTTP gateway: terminates clients' TLS and reads each request of HTTP/1.1 and HTTP/2. It sends
// the request to the backend of its host and path, in clear text (offload) or over TLS (bridging).

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "examples/support/admin.h"
#include "examples/support/back_tls.h"
#include "examples/support/backend_checks.h"
#include "examples/support/capture.h"
#include "examples/support/check_flag.h"
#include "examples/support/config_check.h"
#include "examples/support/front_options.h"
#include "examples/support/front_tls.h"
#include "examples/support/gateway_flags.h"
#include "examples/support/program.h"
#include "examples/support/proxy_base.h"
#include "examples/support/proxy_host.h"
#include "examples/support/redirect_part.h"
#include "examples/support/request_log.h"
#include "examples/support/spiffe_agent.h"
#include "examples/support/tls_legs.h"
#include "examples/support/waf_flags.h"
#include "integrations/http/gateway_routes.h"
#include "integrations/http/http_gateway.h"
#include "integrations/http/request_judge.h"
#include "integrations/modsecurity/modsecurity_guard.h"
#include "integrations/prometheus/gateway_metrics.h"
#include "trestle/io/scheduler.h"
#include "trestle/linux/thread_pool.h"
#include "trestle/proxy/connection_handler.h"
#include "trestle/proxy/tls_terminator.h"

ABSL_FLAG(bool, waf, false,
          "judges each request by a web application firewall, on threads of its own; denied ones "
          "never reach a backend");
ABSL_FLAG(int, waf_threads, 2, "number of threads for --waf");

namespace {

using trestle::GatewayRoute;
using trestle::GatewayRoutes;
using trestle::HttpGateway;

constexpr char kUsage[] =
    "Terminates clients' TLS, reads each request of HTTP/1.1 and HTTP/2, and sends it to the\n"
    "backend of its host and path, on connections that are kept: http:// in clear text, https://\n"
    "over TLS with a verified certificate, h2c:// HTTP/2 in clear text. Files are\n"
    "loaded again when they change and on SIGHUP; SIGTERM and SIGINT let requests in progress\n"
    "finish, a second one cuts them.\n\n"
    "  http_proxy --listen=127.0.0.1:8443 --cert=chain.pem --key=key.pem --backend_ca=ca.pem \\\n"
    "      --routes='app.test/=http://127.0.0.1:8080,"
    "app.test/api=https://127.0.0.1:9443@api.internal'";

// How old the pools on the admin page may be.
constexpr absl::Duration kPoolsInterval = absl::Seconds(1);

// The gateway of one thread.
struct ThreadGateway final : public trestle::examples::ThreadPart {
  void BeginDrain() override { gateway->BeginDrain(); }

  // Tells `metrics` of the pool, from time to time.
  void TellPools(trestle::Scheduler& loop, trestle::GatewayMetrics& metrics, size_t thread) {
    metrics.SetPools(thread, gateway->pool_targets());
    pools_ = loop.RunAfter(kPoolsInterval,
                           [this, &loop, &metrics, thread] { TellPools(loop, metrics, thread); });
  }

  std::unique_ptr<trestle::HttpObserver> observer;
  std::unique_ptr<trestle::RequestJudge> judge;  // Null without --waf.
  std::unique_ptr<HttpGateway> gateway;
  std::unique_ptr<trestle::ConnectionHandler> capture;  // Before the gateway; null without one.

 private:
  trestle::Timer pools_;
};

// The web application firewall of --waf.
class Waf {
 public:
  // Null without --waf.
  static absl::StatusOr<std::unique_ptr<Waf>> FromFlags() {
    using namespace trestle::examples;
    if (!absl::GetFlag(FLAGS_waf)) return nullptr;
    auto waf = std::make_unique<Waf>();
    auto log = WafLog::FromFlags();
    if (!log.ok()) return log.status();
    waf->log_ = *std::move(log);
    auto rules = LoadRules(*waf->log_);
    if (!rules.ok()) return rules.status();
    LogLine(DescribeRules(**rules));
    waf->rules_ = std::make_shared<trestle::ModSecurityRulesInUse>(*std::move(rules));
    trestle::ThreadPoolOptions options;
    options.threads = absl::GetFlag(FLAGS_waf_threads);
    auto threads = trestle::ThreadPool::Create(options);
    if (!threads.ok()) return FlagError("waf_threads", Sentence(threads.status()));
    waf->threads_ = *std::move(threads);
    return waf;
  }

  std::unique_ptr<trestle::RequestJudge> NewJudge(trestle::Scheduler& loop, size_t body_bytes) {
    trestle::ResponseJudging responses;
    responses.bytes = trestle::examples::JudgedResponseBytes();
    responses.wants_type =
        std::make_shared<const absl::AnyInvocable<bool(absl::string_view) const>>(
            [rules = rules_](absl::string_view type) {
              return rules->current()->ReadsResponseBody(type);
            });
    const auto parts = responses.bytes > 0 ? trestle::JudgedParts::kRequestAndResponse
                                           : trestle::JudgedParts::kRequest;
    auto new_guard = [rules = rules_, parts](const trestle::ConnectionReport& connection) {
      return rules->current()->NewGuard(connection, parts);
    };
    return trestle::NewGuardJudge(loop, *threads_,
                                  std::make_shared<const trestle::GuardMaker>(std::move(new_guard)),
                                  body_bytes, std::move(responses));
  }

  trestle::examples::AlsoReloaded Reload() { return ReloadRules(*log_, *rules_); }

 private:
  std::unique_ptr<trestle::examples::WafLog> log_;
  std::shared_ptr<trestle::ModSecurityRulesInUse> rules_;
  std::unique_ptr<trestle::ThreadPool> threads_;
};

// The gateways of all threads, and what reloads change in them.
class Gateways {
 public:
  void Add(trestle::Scheduler& loop, HttpGateway& gateway) {
    gateways_.push_back({&loop, &gateway});
  }

  size_t size() const { return gateways_.size(); }

  void Use(const std::shared_ptr<const GatewayRoutes>& routes,
           const std::shared_ptr<const trestle::ClientTlsConfig>& back_tls) {
    for (const auto& [loop, gateway] : gateways_) {
      loop->PostFromAnyThread([gateway = gateway, routes, back_tls] {
        gateway->UseBackTls(back_tls);
        gateway->UseRoutes(routes).IgnoreError();  // Checked when it was loaded.
      });
    }
  }

 private:
  std::vector<std::pair<trestle::Scheduler*, HttpGateway*>> gateways_;
};

absl::StatusOr<std::shared_ptr<const GatewayRoutes>> LoadRoutes(
    bool has_back_tls, trestle::examples::BackendChecks& checks) {
  auto routes = trestle::examples::GatewayRoutesFromFlags(checks);
  if (routes.ok() && (*routes)->needs_tls() && !has_back_tls) {
    return trestle::examples::FlagError("backend_ca", "is required for https:// backends");
  }
  return routes;
}

// Shows the backends of `routes`, and watches those with TLS like those of a bridge.
absl::Status WatchRoutes(const GatewayRoutes& routes, const trestle::examples::BackTls* back,
                         trestle::examples::Watched& watched) {
  using namespace trestle::examples;
  std::vector<BackRoute> bridges;
  for (const std::shared_ptr<const GatewayRoute>& route : routes.routes()) {
    if (route->redirect.has_value()) continue;
    if (route->scheme == trestle::BackendScheme::kHttps) {
      bridges.push_back({route->host, route->backends, route->backend_name, route->verify_name});
    } else {
      watched.routes.push_back(
          LegsTo(route->host, trestle::ProxyMode::kOffload, route->backends, ""));
    }
  }
  if (back == nullptr) return absl::OkStatus();
  return WatchBridges(bridges, trestle::ProxyProtocolOut::kNone, {}, *back, watched);
}

bool LeadsToAny(const GatewayRoutes& routes, const trestle::Endpoint& listener) {
  for (const std::shared_ptr<const GatewayRoute>& route : routes.routes()) {
    if (trestle::LeadsTo(route->backends, listener)) return true;
  }
  return false;
}

absl::StatusOr<std::unique_ptr<trestle::examples::BackTls>> OptionalBackTls(
    trestle::examples::SpiffeAgent* spiffe) {
  if (!trestle::examples::HasBackTls()) return nullptr;
  return trestle::examples::BackTls::FromFlags(spiffe);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace trestle;
  using namespace trestle::examples;
  ParseCommandLine(argc, argv, kUsage);
  ProxyBase base;
  ProxyHost& host = base.host;
  const GatewayFlags flags = OrExit(GatewayFromFlags(base.host_options.threads));
  if (UnreadHttp2Allowed()) {
    OrExit(FlagError("dangerous_unread_http2", "has no use here: all requests are read"));
  }
  const std::unique_ptr<SpiffeAgent> spiffe = OrExit(SpiffeAgent::FromFlags(*base.loop));
  const std::unique_ptr<FrontTls> front =
      OrExit(FrontTls::FromFlags(*base.names, spiffe.get(), {"h2", "http/1.1"}));
  const auto& clients = front->config()->options().client_authentication;
  const bool differs = clients != nullptr && clients->differs_by_name();
  const std::unique_ptr<BackTls> back = OrExit(OptionalBackTls(spiffe.get()));
  base.checks->UseBridgeTls([&back] { return back->config(); });
  auto routes = OrExit(LoadRoutes(back != nullptr, *base.checks));
  const auto back_config = [&]() -> std::shared_ptr<const ClientTlsConfig> {
    return back != nullptr ? back->config() : nullptr;
  };

  const auto watched = [&]() -> absl::StatusOr<Watched> {
    Watched watched;
    WatchFront(*front, watched);
    if (absl::Status added = WatchRoutes(*routes, back.get(), watched); !added.ok()) {
      return added;
    }
    return watched;
  };
  const std::unique_ptr<Admin> admin = OrExit(Admin::FromFlags(watched, *base.names, *base.checks));

  const std::unique_ptr<Waf> waf = OrExit(Waf::FromFlags());
  AlsoReloaded rules;
  if (waf != nullptr) rules = waf->Reload();

  const std::unique_ptr<Capture> capture = OrExit(CaptureFromFlags());
  RequestLog log;
  HttpObserver* const requests = flags.log_requests ? &log : nullptr;
  const auto metrics = std::make_shared<GatewayMetrics>();
  if (admin != nullptr) admin->Add(metrics, [metrics] { return metrics->pools(); });
  Gateways gateways;
  AlsoReloaded reload;
  absl::StatusOr<std::shared_ptr<const GatewayRoutes>> loaded = routes;
  reload.files = RoutesFiles();
  reload.files.insert(reload.files.end(), rules.files.begin(), rules.files.end());
  // New names have their addresses before the routes are used.
  reload.prepare = [&](absl::AnyInvocable<void()> go) {
    loaded = LoadRoutes(back != nullptr, *base.checks);
    base.names->WhenAnswered(std::move(go));
  };
  reload.load = [&] {
    if (!loaded.ok()) return loaded.status();
    return rules.load ? rules.load() : absl::OkStatus();
  };
  reload.use = [&] {
    routes = *loaded;
    gateways.Use(routes, back_config());
    return absl::StrCat(routes->routes().size(), " routes", rules.use ? "; " : "",
                        rules.use ? rules.use() : "");
  };

  host.SetWatcher(admin.get());
  WorkerPartFactory redirect =
      OrExit(RedirectPart::FactoryFromFlags(base.connection.limiter, requests));
  if (redirect) host.SetWorkerPart(std::move(redirect));
  ServeTls(host, *front, back.get(), 0, std::move(reload));
  base.names->WaitForAnswers();
  OrExit(host.Run([&](Scheduler& scheduler, Dialer& dialer,
                      ConnectionObserver* observer) -> absl::StatusOr<Blocks> {
    const auto leads_to = [&](const Endpoint& listener) { return LeadsToAny(*routes, listener); };
    if (absl::Status loop = host.RefuseLoop(leads_to); !loop.ok()) return loop;
    HttpGatewayOptions options = flags.options;
    options.routes = routes;
    options.back_tls = back_config();
    if (!BackTls::Resumes()) options.pool.sessions.max_sessions = 0;
    if (differs) options.hosts = GatewayHosts::kServerName;
    auto part = std::make_unique<ThreadGateway>();
    if (waf != nullptr) part->judge = waf->NewJudge(scheduler, flags.judged_bytes);
    options.judge = part->judge.get();
    if (admin != nullptr) part->observer = metrics->NewObserver(requests);
    auto gateway = HttpGateway::Create(scheduler, dialer, std::move(options),
                                       admin != nullptr ? part->observer.get() : requests);
    if (!gateway.ok()) return gateway.status();
    part->gateway = *std::move(gateway);
    if (admin != nullptr) part->TellPools(scheduler, *metrics, gateways.size());
    gateways.Add(scheduler, *part->gateway);
    TlsTerminatorOptions terminator;
    terminator.front_tls = front->config();
    terminator.connection = base.connection;
    terminator.handler = part->gateway.get();
    if (capture != nullptr) {
      part->capture = NewCaptureHandler(*capture, scheduler, *part->gateway);
      terminator.handler = part->capture.get();
    }
    terminator.dangerous_unread_http2 = true;  // The gateway reads it.
    host.Keep(std::move(part));
    return Alone(TlsTerminator::Create(scheduler, dialer, std::move(terminator), observer));
  }));
  if (!CheckOnly()) return EXIT_SUCCESS;
  return ReportCheck(base.host_options.ListenText(), OrExit(watched()), *base.names);
}
