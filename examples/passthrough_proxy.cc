// Routes TLS connections by the server name in their ClientHello, without decrypting anything: the
// backends own the certificates, and the proxy has no key.

#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/statusor.h"
#include "examples/proxy_flags.h"
#include "examples/proxy_host.h"
#include "trestle/proxy/route_table.h"
#include "trestle/proxy/route_text.h"
#include "trestle/proxy/sni_passthrough_router.h"

ABSL_FLAG(std::string, routes, "",
          "NAME=IP:PORT, comma-separated; *.NAME covers one more label, **.NAME one or more");
ABSL_FLAG(
    std::string, default_backend, "",
    "IP:PORT for all other names, and for clients that send none; without it they are refused");

namespace {

constexpr char kUsage[] =
    "Routes TLS connections by the name that the client asks for, without decrypting them.\n"
    "SIGTERM and SIGINT let open connections finish, a second one cuts them.\n\n"
    "  passthrough_proxy --listen=127.0.0.1:8443 \\\n"
    "      --routes=a.example=127.0.0.1:9001,*.b.example=127.0.0.1:9002";

}  // namespace

int main(int argc, char** argv) {
  using namespace trestle;
  using namespace trestle::examples;
  ParseCommandLine(argc, argv, kUsage);
  const ProxyHostOptions host_options = OrExit(HostOptionsFromFlags());
  std::vector<Route> routes = OrExit(ParseRouteList(absl::GetFlag(FLAGS_routes)));
  if (const std::string backend = absl::GetFlag(FLAGS_default_backend); !backend.empty()) {
    routes.push_back({"", OrExit(EndpointFromFlag("default_backend", backend))});
  }
  const std::shared_ptr<const RouteTable> table = OrExit(RouteTable::Create(routes));

  ProxyHost host(host_options);
  OrExit(host.Run([&](Scheduler& scheduler, Dialer& dialer, ConnectionObserver* observer) {
    SniPassthroughRouterOptions options;
    options.routes = table;
    options.connection = ConnectionOptionsFromFlags();
    return SniPassthroughRouter::Create(scheduler, dialer, std::move(options), observer);
  }));
}
