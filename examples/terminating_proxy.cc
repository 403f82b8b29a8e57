// Terminates TLS (offload): speaks TLS with clients and hands clear text to a backend.

#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "examples/acme_tokens_dir.h"
#include "examples/admin.h"
#include "examples/http_flags.h"
#include "examples/pem_files.h"
#include "examples/proxy_flags.h"
#include "examples/proxy_host.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/tls_config.h"

ABSL_FLAG(std::string, cert, "", "PEM file with the certificate chain for clients, leaf first");
ABSL_FLAG(std::string, key, "", "PEM file with the certificate's private key");
ABSL_FLAG(std::string, backend, "", "IP:PORT that gets the clear text");

namespace {

constexpr char kUsage[] =
    "Speaks TLS with clients and hands clear text to a backend. SIGHUP loads the certificate\n"
    "again; SIGTERM and SIGINT let open connections finish, a second one cuts them.\n\n"
    "  terminating_proxy --listen=127.0.0.1:8443 --cert=chain.pem --key=key.pem \\\n"
    "      --backend=127.0.0.1:8080";

}  // namespace

int main(int argc, char** argv) {
  using namespace trestle;
  using namespace trestle::examples;
  ParseCommandLine(argc, argv, kUsage);
  const ProxyHostOptions host_options = OrExit(HostOptionsFromFlags());
  const ConnectionOptions connection_options = OrExit(ConnectionOptionsFromFlags());
  const std::string cert = OrExit(RequiredFlag("cert", absl::GetFlag(FLAGS_cert)));
  const std::string key = OrExit(RequiredFlag("key", absl::GetFlag(FLAGS_key)));
  const HttpFlags http = OrExit(HttpFromFlags());
  const std::vector<HttpRoute> routes = OrExit(BackRoutes(http, absl::GetFlag(FLAGS_backend), ""));

  // The store is the one object that all threads share and that changes; configs never do.
  const std::shared_ptr<CertificateStore> certificates =
      OrExit(CertificateStore::Create({OrExit(LoadCredential(cert, key))}, absl::Now()));
  ServerTlsOptions front_options;
  front_options.certificates = certificates;
  front_options.acme_tokens = OrExit(AcmeTokensFromFlags());
  const std::shared_ptr<const ServerTlsConfig> front_tls =
      OrExit(ServerTlsConfig::Create(front_options));

  const std::unique_ptr<Admin> admin = OrExit(Admin::FromFlags([&]() -> absl::StatusOr<Watched> {
    Watched watched;
    watched.targets.own = {certificates};
    for (const HttpRoute& route : routes) {
      watched.routes.push_back({route.host, ProxyMode::kOffload, route.backends.endpoints, ""});
    }
    return watched;
  }));

  ProxyHost host(host_options);
  host.SetWatcher(admin.get());
  host.OnReload([&]() -> absl::StatusOr<std::string> {
    const absl::StatusOr<std::shared_ptr<const Credential>> loaded = LoadCredential(cert, key);
    if (!loaded.ok()) return loaded.status();
    // New connections get the new certificate. Open ones, and session tickets, go on.
    if (absl::Status s = certificates->Replace({*loaded}, absl::Now()); !s.ok()) return s;
    return DescribeCredential(**loaded);
  });
  OrExit(host.Run([&](Scheduler& scheduler, Dialer& dialer,
                      ConnectionObserver* observer) -> absl::StatusOr<Blocks> {
    const auto leads_to = [&](const Endpoint& listener) { return LeadsTo(routes, listener); };
    if (absl::Status loop = host.RefuseLoop(leads_to); !loop.ok()) return loop;
    TlsTerminatorOptions options;
    options.front_tls = front_tls;
    if (http.routes == nullptr) options.backend = routes.front().backends;
    const absl::Status with_http =
        ApplyHttp(http, scheduler, options.new_inspector, options.content);
    if (!with_http.ok()) return with_http;
    options.connection = connection_options;
    return Alone(TlsTerminator::Create(scheduler, dialer, std::move(options), observer));
  }));
}
