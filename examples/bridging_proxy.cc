// Bridges TLS: terminates the client's TLS, and opens a new TLS session to the backend. The
// backend's certificate must chain to a trusted CA and match the expected name.

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "examples/support/admin.h"
#include "examples/support/back_tls.h"
#include "examples/support/backend_checks.h"
#include "examples/support/capture.h"
#include "examples/support/check_flag.h"
#include "examples/support/config_check.h"
#include "examples/support/front_options.h"
#include "examples/support/front_tls.h"
#include "examples/support/program.h"
#include "examples/support/proxy_base.h"
#include "examples/support/proxy_host.h"
#include "examples/support/spiffe_agent.h"
#include "examples/support/tls_legs.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/tls_bridge.h"

ABSL_FLAG(bool, eager_alpn, false,
          "lets the backend choose among --alpn: the answer to the client's hello waits for it");
ABSL_FLAG(
    std::string, backend, "",
    "IP:PORT, HOST:PORT, unix:PATH, or a service (_https._tcp.api.internal), that speaks TLS. "
    "Several, joined by +, are used in turn; if one fails, the next is "
    "tried. A name is each of its addresses (docs/backends.md)");
ABSL_FLAG(std::string, backend_name, "",
          "name to send to the backend as SNI, which its certificate must match. Backends by name "
          "need none: theirs is the default");
ABSL_FLAG(bool, copy_server_name, false,
          "sends the client's server name instead of --backend_name, which is then for clients "
          "without one");
ABSL_FLAG(std::string, backend_verify_name, "",
          "DNS name, IP address or URI (SPIFFE ID) that the backend's certificate must match "
          "instead of the name sent");

namespace {

constexpr char kUsage[] =
    "Terminates clients' TLS and opens a new TLS session to a verified backend. Files are\n"
    "loaded again when they change and on SIGHUP; SIGTERM and SIGINT let open connections finish,\n"
    "a second one cuts them.\n\n"
    "  bridging_proxy --listen=127.0.0.1:8443 --cert=chain.pem --key=key.pem \\\n"
    "      --backend=127.0.0.1:9443 --backend_ca=ca.pem --backend_name=api.internal.example";

// Returns the bridge's options from the flags. Called for each thread.
trestle::TlsBridgeOptions OptionsFromFlags() {
  using namespace trestle::examples;
  trestle::TlsBridgeOptions options;
  options.copy_server_name = absl::GetFlag(FLAGS_copy_server_name);
  options.backend_name = absl::GetFlag(FLAGS_backend_name);
  options.backend_verify_name = absl::GetFlag(FLAGS_backend_verify_name);
  options.eager_alpn.enabled = absl::GetFlag(FLAGS_eager_alpn);
  if (!BackTls::Resumes()) options.back_sessions.max_sessions = 0;
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace trestle;
  using namespace trestle::examples;
  ParseCommandLine(argc, argv, kUsage);
  ProxyBase base;
  ProxyHost& host = base.host;
  const std::string backend_name = absl::GetFlag(FLAGS_backend_name);
  const std::string verify_name = absl::GetFlag(FLAGS_backend_verify_name);
  const bool by_client = absl::GetFlag(FLAGS_copy_server_name);
  const CheckedLeg leg = {ProxyMode::kBridge, backend_name, verify_name,
                          by_client && backend_name.empty()};
  const Backends backend = OrExit(base.checks->Parse("backend", absl::GetFlag(FLAGS_backend), leg));
  const std::vector<BackRoute> routes = {{"", backend, ""}};
  if (!by_client) OrExit(CheckBackNames(routes, backend_name));

  const std::unique_ptr<SpiffeAgent> spiffe = OrExit(SpiffeAgent::FromFlags(*base.loop));
  const std::unique_ptr<FrontTls> front = OrExit(FrontTls::FromFlags(*base.names, spiffe.get()));
  const std::unique_ptr<BackTls> back = OrExit(BackTls::FromFlags(spiffe.get()));
  base.checks->UseBridgeTls([&back] { return back->config(); });

  const auto watched = [&]() -> absl::StatusOr<Watched> {
    Watched watched;
    WatchFront(*front, watched);
    const absl::Status added = WatchBridges(routes, base.connection.proxy_protocol_to_backend,
                                            {backend_name, verify_name, by_client}, *back, watched);
    if (!added.ok()) return added;
    return watched;
  };
  const std::unique_ptr<Admin> admin = OrExit(Admin::FromFlags(watched, *base.names, *base.checks));

  const std::unique_ptr<Capture> capture = OrExit(CaptureFromFlags());
  host.SetWatcher(admin.get());
  ServeTls(host, *front, back.get(), 1);
  base.names->WaitForAnswers();
  OrExit(host.Run([&](Scheduler& scheduler, Dialer& dialer,
                      ConnectionObserver* observer) -> absl::StatusOr<Blocks> {
    const auto leads_to = [&](const Endpoint& listener) { return LeadsTo(backend, listener); };
    if (absl::Status loop = host.RefuseLoop(leads_to); !loop.ok()) return loop;
    TlsBridgeOptions options = OptionsFromFlags();
    options.front_tls = front->config();
    options.back_tls = back->config();
    options.backend = backend;
    AddCapture(capture.get(), scheduler, options.new_inspector);
    options.connection = base.connection;
    options.dangerous_unread_http2 = UnreadHttp2Allowed();
    return Alone(TlsBridge::Create(scheduler, dialer, std::move(options), observer));
  }));
  if (!CheckOnly()) return EXIT_SUCCESS;
  return ReportCheck(base.host_options.ListenText(), OrExit(watched()), *base.names);
}
