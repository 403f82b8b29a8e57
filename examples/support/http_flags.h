// The example proxies' flags for HTTP inside the client's TLS.
#ifndef TRESTLE_EXAMPLES_SUPPORT_HTTP_FLAGS_H_
#define TRESTLE_EXAMPLES_SUPPORT_HTTP_FLAGS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "examples/support/backend_checks.h"
#include "integrations/http1/forwarded_fields.h"
#include "integrations/http1/http1_inspector.h"
#include "integrations/http1/http_routes.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/content_routing.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle::examples {

/// The values of the flags. Threads may share it.
struct HttpFlags {
  bool inspect = false;
  bool http2 = false;                        ///< Offered to clients; passes unread.
  bool unread_http2 = false;                 ///< Allowed together with reading HTTP/1.1.
  std::shared_ptr<const HttpRoutes> routes;  ///< Null: the backend is fixed.
  std::vector<std::string> upgrades;         ///< Protocols that requests may change to.
  ForwardingOptions forwarding;              ///< The fields that describe the client.
};

/// Reads --http, --http2, --dangerous_unread_http2, --http_routes, whose backends `checks` follows,
/// and the flags of forwarding_flags.h. The name of a route comes before that of `leg`.
absl::StatusOr<HttpFlags> HttpFromFlags(BackendChecks& checks, const CheckedLeg& leg);

/// Fails if `front` offers HTTP/2, which passes unread, with flags that read HTTP, unless
/// --dangerous_unread_http2 is set. Also fails if --http2 has no effect.
absl::Status CheckHttp2(const HttpFlags& flags, const ServerTlsOptions& front);

/// Returns the application protocols to offer to clients without --alpn.
std::vector<std::string> FrontProtocols(const HttpFlags& flags);

/// Returns the routes or, without any, one route to `backend` (--backend: one, or several joined by
/// +), which `checks` follows. Fails if both or neither are given.
absl::StatusOr<std::vector<HttpRoute>> BackRoutes(const HttpFlags& flags, absl::string_view backend,
                                                  BackendChecks& checks, const CheckedLeg& leg);

/// Sets the HTTP options of a block on the loop of `scheduler`, if any flag is set. Guards in
/// `http` come after the routes.
absl::Status ApplyHttp(const HttpFlags& flags, Scheduler& scheduler,
                       InspectorFactory& new_inspector, ContentRouting& content,
                       Http1Options http = {});

/// Returns whether any of `routes` leads back to `listener`; see `LeadsTo` in backends.h.
bool LeadsTo(const std::vector<HttpRoute>& routes, const Endpoint& listener);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_HTTP_FLAGS_H_
