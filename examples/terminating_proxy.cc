// Terminates TLS (offload): terminates the client's TLS, and sends clear text to a backend.

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/statusor.h"
#include "examples/support/admin.h"
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
#include "trestle/proxy/tls_terminator.h"

ABSL_FLAG(std::string, backend, "",
          "IP:PORT, HOST:PORT, unix:PATH, or a service (_http._tcp.app.internal), that receives "
          "the clear "
          "text; several, joined by +, are used in turn. A name is each of its addresses "
          "(docs/backends.md)");

namespace {

constexpr char kUsage[] =
    "Terminates clients' TLS and sends clear text to a backend. Files are loaded again when they\n"
    "change and on SIGHUP; SIGTERM and SIGINT let open connections finish, a second one cuts\n"
    "them.\n\n"
    "  terminating_proxy --listen=127.0.0.1:8443 --cert=chain.pem --key=key.pem \\\n"
    "      --backend=127.0.0.1:8080";

}  // namespace

int main(int argc, char** argv) {
  using namespace trestle;
  using namespace trestle::examples;
  ParseCommandLine(argc, argv, kUsage);
  ProxyBase base;
  ProxyHost& host = base.host;
  const Backends backend =
      OrExit(base.checks->Parse("backend", absl::GetFlag(FLAGS_backend), {ProxyMode::kOffload}));

  if (SpiffeVerifiesBackends()) {
    OrExit(FlagError("spiffe_backends", "has no use here: backends get the clear text"));
  }
  const std::unique_ptr<SpiffeAgent> spiffe = OrExit(SpiffeAgent::FromFlags(*base.loop));
  const std::unique_ptr<FrontTls> front = OrExit(FrontTls::FromFlags(*base.names, spiffe.get()));

  const auto watched = [&]() -> absl::StatusOr<Watched> {
    Watched watched;
    WatchFront(*front, watched);
    watched.routes = LegsOf({{"", backend, ""}}, ProxyMode::kOffload);
    return watched;
  };
  const std::unique_ptr<Admin> admin = OrExit(Admin::FromFlags(watched, *base.names, *base.checks));

  const std::unique_ptr<Capture> capture = OrExit(CaptureFromFlags());
  host.SetWatcher(admin.get());
  ServeTls(host, *front);
  base.names->WaitForAnswers();
  OrExit(host.Run([&](Scheduler& scheduler, Dialer& dialer,
                      ConnectionObserver* observer) -> absl::StatusOr<Blocks> {
    const auto leads_to = [&](const Endpoint& listener) { return LeadsTo(backend, listener); };
    if (absl::Status loop = host.RefuseLoop(leads_to); !loop.ok()) return loop;
    TlsTerminatorOptions options;
    options.front_tls = front->config();
    options.backend = backend;
    AddCapture(capture.get(), scheduler, options.new_inspector);
    options.connection = base.connection;
    options.dangerous_unread_http2 = UnreadHttp2Allowed();
    return Alone(TlsTerminator::Create(scheduler, dialer, std::move(options), observer));
  }));
  if (!CheckOnly()) return EXIT_SUCCESS;
  return ReportCheck(base.host_options.ListenText(), OrExit(watched()), *base.names);
}
