// A bridge with a web application firewall. libmodsecurity with the OWASP Core Rule Set inspects
// the decrypted requests, which are then encrypted again for the backend. Read bridging_proxy.cc
// first.

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "examples/support/admin.h"
#include "examples/support/back_tls.h"
#include "examples/support/backend_checks.h"
#include "examples/support/backend_names.h"
#include "examples/support/capture.h"
#include "examples/support/check_flag.h"
#include "examples/support/config_check.h"
#include "examples/support/connection_flags.h"
#include "examples/support/front_tls.h"
#include "examples/support/http_flags.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "examples/support/proxy_flags.h"
#include "examples/support/proxy_host.h"
#include "examples/support/tls_legs.h"
#include "examples/support/waf_flags.h"
#include "integrations/modsecurity/modsecurity_guard.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/proxy/tls_bridge.h"

ABSL_FLAG(
    std::string, backend, "",
    "IP:PORT, HOST:PORT, unix:PATH, or a service (_https._tcp.api.internal), that speaks TLS; "
    "or give --http_routes. A name is each of its addresses (docs/backends.md)");
ABSL_FLAG(std::string, backend_name, "",
          "name to send to the backend as SNI, which its certificate must match. Backends by name "
          "need none: theirs is the default");
ABSL_FLAG(uint32_t, max_body, 128 * 1024,
          "bytes of a request's body to buffer until the verdict; longer ones are rejected");

namespace {

constexpr char kUsage[] =
    "Terminates clients' TLS, inspects each request with a web application firewall, and opens a\n"
    "new TLS session to a verified backend for the accepted requests. HTTP/1.1 only.\n"
    "Logs the rules that match. All files are loaded again when they change and on SIGHUP; open\n"
    "connections keep their rules. SIGTERM and SIGINT let open connections finish, a second one\n"
    "cuts them.\n"
    "Requests over these limits are rejected: --max_body, --max_arguments, --max_value,\n"
    "--judging_time, 400,000 bytes of names of values in JSON, 200 cookies, 256 '<' in a value,\n"
    "64 levels of JSON, 20,000 steps of a regular expression. The Core Rule Set also rejects\n"
    "bodies without Content-Type, with Content-Encoding, and of types other than forms, JSON and\n"
    "XML.\n\n"
    "  waf_bridge --listen=127.0.0.1:8443 --cert=chain.pem --key=key.pem --threads=4 \\\n"
    "      --backend=127.0.0.1:9443 --backend_ca=ca.pem --backend_name=api.internal.example";

}  // namespace

int main(int argc, char** argv) {
  using namespace trestle;
  using namespace trestle::examples;
  ParseCommandLine(argc, argv, kUsage);
  const ProxyHostOptions host_options = OrExit(HostOptionsFromFlags());
  const std::unique_ptr<EpollLoop> loop = OrExit(EpollLoop::Create());
  ProxyHost host(host_options, *loop);
  const std::unique_ptr<BackendNames> names =
      OrExit(BackendNames::FromFlags(*loop, host_options.check_only));
  names->Refuse([&host](const Endpoint& address) { return host.IsItself(address); });
  const ConnectionOptions connection_options = OrExit(ConnectionOptionsFromFlags());
  const std::unique_ptr<BackendChecks> checks =
      OrExit(BackendChecks::FromFlags(*loop, *names, connection_options.proxy_protocol_to_backend));
  const std::string backend_name = absl::GetFlag(FLAGS_backend_name);
  const CheckedLeg leg = {ProxyMode::kBridge, backend_name};
  HttpFlags http = OrExit(HttpFromFlags(*checks, leg));
  if (http.http2 || http.unread_http2) {
    OrExit(absl::InvalidArgumentError("--http2 would pass by the rules"));
  }
  http.inspect = true;
  const std::vector<HttpRoute> routes =
      OrExit(BackRoutes(http, absl::GetFlag(FLAGS_backend), *checks, leg));
  OrExit(CheckBackNames(routes, backend_name));

  const std::unique_ptr<WafLog> listener = OrExit(WafLog::FromFlags());
  const auto rules = std::make_shared<ModSecurityRulesInUse>(OrExit(LoadRules(*listener)));
  LogLine(DescribeRules(*rules->current()));

  const std::unique_ptr<FrontTls> front = OrExit(FrontTls::FromFlags(*names));
  for (const std::string& protocol : front->config()->options().alpn) {
    if (protocol != "http/1.1") {
      OrExit(FlagError("alpn", absl::StrCat("has ", protocol, ": the rules are for http/1.1")));
    }
  }
  const std::unique_ptr<BackTls> back = OrExit(BackTls::FromFlags());
  checks->UseBridgeTls([&back] { return back->config(); });

  const auto watched = [&]() -> absl::StatusOr<Watched> {
    Watched watched;
    WatchFront(*front, watched);
    const absl::Status added =
        WatchBridges(routes, *checks, connection_options.proxy_protocol_to_backend, {backend_name},
                     *back, watched);
    if (!added.ok()) return added;
    return watched;
  };
  const std::unique_ptr<Admin> admin = OrExit(Admin::FromFlags(watched, *names, *checks));

  const std::unique_ptr<Capture> capture = OrExit(CaptureFromFlags());
  host.SetWatcher(admin.get());
  ServeTls(host, *front, back.get(), 1, ReloadRules(*listener, *rules));
  names->WaitForAnswers();
  OrExit(host.Run([&](Scheduler& scheduler, Dialer& dialer,
                      ConnectionObserver* observer) -> absl::StatusOr<Blocks> {
    const auto leads_to = [&](const Endpoint& listener) { return LeadsTo(routes, listener); };
    if (absl::Status loop = host.RefuseLoop(leads_to); !loop.ok()) return loop;
    TlsBridgeOptions options;
    options.front_tls = front->config();
    options.back_tls = back->config();
    if (http.routes == nullptr) options.backend = routes.front().backends;
    options.backend_name = backend_name;
    options.connection = connection_options;
    Http1Options with_waf;
    with_waf.guarded_body_bytes = absl::GetFlag(FLAGS_max_body);
    with_waf.guards.push_back(
        NewModSecurityGuardFactory(std::shared_ptr<const ModSecurityRulesInUse>(rules)));
    const absl::Status applied =
        ApplyHttp(http, scheduler, options.new_inspector, options.content, std::move(with_waf));
    if (!applied.ok()) return applied;
    AddCapture(capture.get(), scheduler, options.new_inspector);
    return Alone(TlsBridge::Create(scheduler, dialer, std::move(options), observer));
  }));
  if (!CheckOnly()) return EXIT_SUCCESS;
  return ReportCheck(host_options.ListenText(), OrExit(watched()), *names);
}
