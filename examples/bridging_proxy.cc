// Bridges TLS: speaks TLS with clients, and opens a new TLS session to the backend, whose
// certificate must lead to a CA of ours and be for the name that we expect.

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
#include "trestle/proxy/tls_bridge.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/tls_config.h"

ABSL_FLAG(std::string, cert, "", "PEM file with the certificate chain for clients, leaf first");
ABSL_FLAG(std::string, key, "", "PEM file with the certificate's private key");
ABSL_FLAG(std::string, backend, "",
          "IP:PORT of the backend, which speaks TLS; or give --http_routes");
ABSL_FLAG(std::string, backend_ca, "",
          "PEM file with the CAs that the backend may be certified by");
ABSL_FLAG(std::string, backend_name, "",
          "name that the backend's certificate must be for; also sent to it as SNI");
ABSL_FLAG(bool, backend_resumption, true,
          "resumes TLS sessions with the backend; false: every connection makes a full handshake");

namespace {

constexpr char kUsage[] =
    "Speaks TLS with clients and, in a session of its own, with a verified backend. SIGHUP loads\n"
    "the certificate and the backend's CAs again; SIGTERM and SIGINT let open connections finish,\n"
    "a second one cuts them.\n\n"
    "  bridging_proxy --listen=127.0.0.1:8443 --cert=chain.pem --key=key.pem \\\n"
    "      --backend=127.0.0.1:9443 --backend_ca=ca.pem --backend_name=api.internal.example";

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
  const std::string ca = OrExit(RequiredFlag("backend_ca", absl::GetFlag(FLAGS_backend_ca)));
  const std::string backend_name =
      OrExit(RequiredFlag("backend_name", absl::GetFlag(FLAGS_backend_name)));
  const std::vector<HttpRoute> routes =
      OrExit(BackRoutes(http, absl::GetFlag(FLAGS_backend), backend_name));

  // The store is the one object that all threads share and that changes; configs never do.
  const std::shared_ptr<CertificateStore> certificates =
      OrExit(CertificateStore::Create({OrExit(LoadCredential(cert, key))}, absl::Now()));
  ServerTlsOptions front_options;
  front_options.certificates = certificates;
  front_options.alpn = FrontProtocols(http);
  front_options.acme_tokens = OrExit(AcmeTokensFromFlags());
  const std::shared_ptr<const ServerTlsConfig> front_tls =
      OrExit(ServerTlsConfig::Create(front_options));
  const std::shared_ptr<const ClientTlsConfig> back_tls = OrExit(LoadClientTls(ca));

  // Beside its own certificate, the backends': as connections meet them, and by probes.
  const std::unique_ptr<Admin> admin = OrExit(Admin::FromFlags([&]() -> absl::StatusOr<Watched> {
    absl::StatusOr<std::shared_ptr<const LegProbeConfig>> probe = LoadProbeConfig(ca);
    if (!probe.ok()) return probe.status();
    Watched watched;
    watched.targets.own = {certificates};
    watched.ticket_keys = front_tls->options().ticket_keys;
    for (const HttpRoute& route : routes) {
      watched.routes.push_back(
          {route.host, ProxyMode::kBridge, route.backends.endpoints, route.backend_name});
      watched.targets.seen.push_back(route.backend_name);
      for (const Endpoint& endpoint : route.backends.endpoints) {
        MonitorTargets::Probed& back = watched.targets.probed.emplace_back();
        back.name = route.backend_name;
        back.config = *probe;
        back.target.endpoint = endpoint;
        back.target.server_name = route.backend_name;
        back.target.proxy_header = connection_options.proxy_protocol_to_backend;
      }
    }
    return watched;
  }));

  ProxyHost host(host_options);
  host.SetWatcher(admin.get());
  host.OnReload([&]() -> absl::StatusOr<std::string> {
    const absl::StatusOr<std::shared_ptr<const Credential>> loaded = LoadCredential(cert, key);
    if (!loaded.ok()) return loaded.status();
    const absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> new_tls = LoadClientTls(ca);
    if (!new_tls.ok()) return new_tls.status();
    // Both are good. New connections use them from here on; open ones go on.
    if (absl::Status s = certificates->Replace({*loaded}, absl::Now()); !s.ok()) return s;
    host.ForEachThread([&new_tls](Blocks& blocks) {
      static_cast<TlsBridge&>(*blocks.back()).ReplaceBackTls(*new_tls);
    });
    host.DrainOlderCertificates(certificates->current()->generation());
    return DescribeCredential(**loaded);
  });
  OrExit(host.Run([&](Scheduler& scheduler, Dialer& dialer,
                      ConnectionObserver* observer) -> absl::StatusOr<Blocks> {
    const auto leads_to = [&](const Endpoint& listener) { return LeadsTo(routes, listener); };
    if (absl::Status loop = host.RefuseLoop(leads_to); !loop.ok()) return loop;
    TlsBridgeOptions options;
    options.front_tls = front_tls;
    options.back_tls = back_tls;
    if (http.routes == nullptr) options.backend = routes.front().backends;
    options.backend_name = backend_name;
    const absl::Status with_http =
        ApplyHttp(http, scheduler, options.new_inspector, options.content);
    if (!with_http.ok()) return with_http;
    if (!absl::GetFlag(FLAGS_backend_resumption)) options.back_sessions.max_sessions = 0;
    options.connection = connection_options;
    return Alone(TlsBridge::Create(scheduler, dialer, std::move(options), observer));
  }));
}
