// GatewayRoutes: selects backends of requests by host and path prefix, and parses routes.
#ifndef TRESTLE_INTEGRATIONS_HTTP_GATEWAY_ROUTES_H_
#define TRESTLE_INTEGRATIONS_HTTP_GATEWAY_ROUTES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "integrations/http/backend_pool.h"
#include "integrations/http1/http_message.h"
#include "integrations/http1/http_routes.h"
#include "trestle/proxy/backends.h"

namespace trestle {

/// The backends for the requests of a host and a path prefix.
struct GatewayRoute {
  /// As in `HttpRoute`: a name pattern, or "" for all other hosts; a path prefix in whole segments.
  std::string host;
  std::string path = "/";
  BackendScheme scheme = BackendScheme::kHttp;
  Backends backends;
  /// With BackendScheme::kHttps: the name in the backends' certificates. Required.
  std::string backend_name;

  /// Returns "HOST/PATH", the name of the route in reports.
  std::string name() const;
};

/// Immutable, so threads may share it.
class GatewayRoutes {
 public:
  /// Checks and indexes `routes`; see `HttpRoutes::Create`. Also fails for a kHttps route without
  /// `backend_name`, and for a name on any other route.
  static absl::StatusOr<std::shared_ptr<const GatewayRoutes>> Create(
      std::vector<GatewayRoute> routes);

  /// Finds the route of a request as `HttpRoutes::Find` does. Null on rejection; sets `refusal`.
  std::shared_ptr<const GatewayRoute> Find(absl::string_view host, absl::string_view path,
                                           HttpRefusal& refusal) const;

  const std::vector<std::shared_ptr<const GatewayRoute>>& routes() const { return list_; }

  /// Returns whether any route needs TLS towards its backends.
  bool needs_tls() const;

 private:
  std::shared_ptr<const HttpRoutes> index_;
  std::vector<std::shared_ptr<const GatewayRoute>> list_;
  absl::flat_hash_map<std::string, std::shared_ptr<const GatewayRoute>> by_name_;
};

/// Reads "HOST/PATH=BACKENDS". BACKENDS is SCHEME://IP:PORT, or several joined by "+", which are
/// used in turn; only the first needs a scheme: http, https or h2c. Unix-domain sockets are
/// unix:PATH. With https, "@NAME" at the end is the name in the backends' certificates. The host
/// "default" is all other hosts. Fails with ErrorCode::kConfiguration, quoting the invalid item.
absl::StatusOr<GatewayRoute> ParseGatewayRoute(absl::string_view text);

/// Reads routes as of `ParseGatewayRoute`, comma-separated.
absl::StatusOr<std::vector<GatewayRoute>> ParseGatewayRoutes(absl::string_view text);

/// Reads a routes file: one route as of `ParseGatewayRoute` a line, then options after white space:
/// balance=round_robin or balance=client_address, tries=1…255. "#" begins a comment. Fails with
/// ErrorCode::kConfiguration, naming the line.
absl::StatusOr<std::vector<GatewayRoute>> ParseGatewayRoutesFile(absl::string_view text);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_GATEWAY_ROUTES_H_
