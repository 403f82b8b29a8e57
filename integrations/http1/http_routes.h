// HttpRoutes: selects the backend of a request by its host and path prefix, and content routing by
// a connection's first request.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_HTTP_ROUTES_H_
#define TRESTLE_INTEGRATIONS_HTTP1_HTTP_ROUTES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "integrations/http1/host_path_index.h"
#include "integrations/http1/http1_inspector.h"
#include "integrations/http1/http_message.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/content_routing.h"

namespace trestle {

struct HttpRoute {
  /// As in `HostPathIndex::Entry`.
  std::string host;
  std::string path = "/";
  Backends backends;
  /// For a bridge: the name that the backends' certificates must match. Empty: the bridge's own.
  std::string backend_name;
};

class HttpRoutes {
 public:
  /// Checks and indexes `routes`, in any order. Fails with ErrorCode::kConfiguration for an invalid
  /// pattern or name, a route without backends, a duplicate, or an empty list. Also fails for a
  /// path that does not begin with "/", or that readers could interpret differently.
  static absl::StatusOr<std::shared_ptr<const HttpRoutes>> Create(std::vector<HttpRoute> routes);

  /// Finds the route of a request: the most specific pattern for the host, then the longest path.
  /// Paths are compared without percent-decoding. Unless the host has one route for all paths, a
  /// path that backends may interpret differently ("/a/../b", "//", "%2f", "\") is rejected with
  /// 400. No matching pattern: 421. No matching path: 404. On rejection the result is null and
  /// `refusal` is set.
  std::shared_ptr<const ContentTarget> Find(absl::string_view host, absl::string_view path,
                                            HttpRefusal& refusal) const;

  /// Finds the only route of a host whose routes do not depend on the path. Null otherwise.
  std::shared_ptr<const ContentTarget> FindOnly(absl::string_view host) const;

  /// Returns the names (`ContentTarget::route`) of routes whose hosts have several routes. Requests
  /// of one connection may then need different routes.
  absl::flat_hash_set<std::string> SplitRoutes() const;

  const std::vector<HttpRoute>& routes() const { return routes_; }

 private:
  std::vector<HttpRoute> routes_;
  std::vector<std::shared_ptr<const ContentTarget>> targets_;  // In the order of routes_.
  HostPathIndex index_;
};

/// Parses "HOST/PATH=BACKENDS,HOST/PATH=BACKENDS,…". BACKENDS is "IP:PORT", or several joined by
/// "+", which are used in turn. It may end in "@NAME", the backends' certificate name. The host
/// "default" is all other hosts. Fails with ErrorCode::kConfiguration, quoting the invalid item.
absl::StatusOr<std::vector<HttpRoute>> ParseHttpRoutes(absl::string_view text);

/// Creates content routing by the first HTTP/1.1 request. HTTP/2 connections are rejected: do not
/// offer `h2`, or use http2_routes.h.
ContentReaderFactory NewHttpRouteReaderFactory(std::shared_ptr<const HttpRoutes> routes,
                                               const Http1Limits& limits = {});

/// Makes inspectors reject, with 421, requests for another backend than that of the connection's
/// first request. If a host's paths lead to different backends, each connection carries one
/// request, so clients open another one for the next. Inserts a guard at the front of `guards`, and
/// extends `one_request`.
void KeepToRoutes(std::shared_ptr<const HttpRoutes> routes, Http1Options& options);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_HTTP_ROUTES_H_
