// GatewayRoutes: selects the route of a request by host, path prefix, method and fields, divides
// requests among routes by weight, and parses routes.
#ifndef TRESTLE_INTEGRATIONS_HTTP_GATEWAY_ROUTES_H_
#define TRESTLE_INTEGRATIONS_HTTP_GATEWAY_ROUTES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "integrations/http/backend_pool.h"
#include "integrations/http/http_fields.h"
#include "integrations/http/response_fields.h"
#include "integrations/http1/host_path_index.h"
#include "integrations/http1/http_message.h"
#include "trestle/base/endpoint.h"
#include "trestle/proxy/backends.h"

namespace trestle {

/// A field that a request must have.
struct FieldCondition {
  std::string name;  ///< In lower case.
  /// The value of any of its lines, compared byte for byte. Empty: any value.
  std::optional<std::string> value;
};

/// An answer of the gateway that leads the client elsewhere.
struct GatewayRedirect {
  /// As `CheckLocation` (route_target.h) takes it: "https://{host}{target}".
  std::string location;
  int status = 308;  ///< 301, 302, 303, 307 or 308.
};

/// What becomes of the requests of a host and a path prefix: backends, or a redirect.
struct GatewayRoute {
  /// As in `HostPathIndex::Entry`.
  std::string host;
  std::string path = "/";
  std::vector<std::string> methods;        ///< One of them; empty: any.
  std::vector<FieldCondition> conditions;  ///< All of them.
  /// The part of this route, where several have the same host, path, methods and conditions. 0: no
  /// new clients, only those with a sticky cookie of this route.
  std::optional<uint32_t> weight;
  std::string label;  ///< Its name in reports; empty: HOST/PATH.

  BackendScheme scheme = BackendScheme::kHttp;
  Backends backends;
  /// With BackendScheme::kHttps: the name in the backends' certificates. Required.
  std::string backend_name;
  /// With BackendScheme::kHttps: the DNS name, IP address or URI (SPIFFE ID) that the backends'
  /// certificates must have instead. `backend_name` is then only sent. Empty: `backend_name`.
  std::string verify_name;
  /// Replaces `path` in the target, by whole segments. Paths that `PlainPath` refuses then get 400.
  std::optional<std::string> rewrite;
  /// The name of a cookie that leads a client to its earlier backend; empty: none.
  std::string sticky_cookie;

  std::optional<GatewayRedirect> redirect;  ///< Instead of backends.
  ResponseFieldRules response_fields;       ///< Come after those of the gateway.

  /// Returns the name of the route in reports.
  std::string name() const { return label.empty() ? HostPathName(host, path) : label; }

  /// Returns whether all GET requests of the host and path come here, so that a cache may keep the
  /// responses.
  bool is_only_one() const { return conditions.empty() && !weight.has_value(); }
};

/// What selects the route of a request.
struct RouteQuery {
  absl::string_view host;
  absl::string_view path;
  absl::string_view method;
  const HttpFields& fields;
  uint64_t random;         ///< Chooses by weight.
  const Endpoint& client;  ///< The same, for routes with Balance::kClientAddress.
};

/// Immutable, so threads may share it.
class GatewayRoutes {
 public:
  /// Checks and indexes `routes`. Fails with ErrorCode::kConfiguration for a route that `Check`
  /// refuses, an empty list, and routes for the same requests without weights.
  static absl::StatusOr<std::shared_ptr<const GatewayRoutes>> Create(
      std::vector<GatewayRoute> routes);

  /// Checks one route: host, path, methods, conditions; and a redirect, or backends with a name if
  /// they are kHttps. Fails with ErrorCode::kConfiguration.
  static absl::Status Check(const GatewayRoute& route);

  /// Finds the most specific host, then the longest path with a route for the request's method and
  /// fields. Of several such routes, the one with the most conditions counts, then the first. Null
  /// on rejection; sets `refusal`, as `HostPathIndex::Find` does.
  std::shared_ptr<const GatewayRoute> Find(const RouteQuery& query, HttpRefusal& refusal) const;

  const std::vector<std::shared_ptr<const GatewayRoute>>& routes() const { return list_; }

  /// Returns whether any route needs TLS towards its backends.
  bool needs_tls() const;

 private:
  // Routes for the same requests.
  struct Rule {
    std::vector<std::shared_ptr<const GatewayRoute>> routes;
    uint64_t weight = 0;  // The sum.
  };

  absl::Status Add(const std::shared_ptr<const GatewayRoute>& route, std::vector<Rule>& rules);
  static absl::Status Order(std::vector<Rule>& rules);
  static std::shared_ptr<const GatewayRoute> Choose(const Rule& rule, const RouteQuery& query);

  HostPathIndex index_;
  std::vector<std::vector<Rule>> rules_;  // By host and path; the most conditions first.
  std::vector<std::shared_ptr<const GatewayRoute>> list_;
};

/// Returns the same text for routes that match the same requests.
std::string RequestsOf(const GatewayRoute& route);

/// Reads "HOST/PATH=BACKENDS". BACKENDS is SCHEME://IP:PORT, or several joined by "+", which are
/// used in turn; only the first needs a scheme: http, https or h2c. Unix-domain sockets are
/// unix:PATH. With https, "@NAME" at the end is the name in the backends' certificates. The host
/// "default" is all other hosts. "redirect:LOCATION" in place of BACKENDS is a redirect. Fails with
/// ErrorCode::kConfiguration, quoting the invalid item.
absl::StatusOr<GatewayRoute> ParseGatewayRoute(absl::string_view text);

/// Reads routes as of `ParseGatewayRoute`, comma-separated.
absl::StatusOr<std::vector<GatewayRoute>> ParseGatewayRoutes(absl::string_view text);

/// Reads a routes file: one route as of `ParseGatewayRoute` a line, then options after white space,
/// as docs/http.md lists them. "#" begins a comment. Text in double quotes may have white space and
/// "#". Fails with ErrorCode::kConfiguration, naming the line.
absl::StatusOr<std::vector<GatewayRoute>> ParseGatewayRoutesFile(absl::string_view text);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_GATEWAY_ROUTES_H_
