// HttpRoutes: which backend a request is for, by its host and the beginning of its path; and
// content routing by the first request of a connection.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_HTTP_ROUTES_H_
#define TRESTLE_INTEGRATIONS_HTTP1_HTTP_ROUTES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "integrations/http1/http1_inspector.h"
#include "integrations/http1/http_message.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/content_routing.h"

namespace trestle {

struct HttpRoute {
  /// A name pattern as in wire/server_name.h ("a.test", "*.a.test"), or "" for any other host.
  std::string host;
  /// What the path begins with, whole segments: "/api" covers "/api" and "/api/x", not "/apix".
  std::string path = "/";
  Backends backends;
  /// Behind a bridge: the name that the backends' certificates must be for. Empty: the bridge's
  /// own.
  std::string backend_name;
};

class HttpRoutes {
 public:
  /// Checks and indexes `routes`; their order doesn't matter. Fails with ErrorCode::kConfiguration
  /// for an invalid pattern or name, a path that doesn't begin with "/" or that readers could take
  /// for another one, a route without backends, one that is there twice, or none at all.
  static absl::StatusOr<std::shared_ptr<const HttpRoutes>> Create(std::vector<HttpRoute> routes);

  /// Finds the route of a request: the most specific pattern that covers the host, and of its
  /// routes the one with the longest path. Unless the host has one route for all paths, they are
  /// compared without percent-encoding, and those that backends may read in another way ("/a/../b",
  /// "//", "%2f", "\") are refused with 400. No pattern: 421. No path: 404. The result is null
  /// then, and `refusal` set.
  std::shared_ptr<const ContentTarget> Find(absl::string_view host, absl::string_view path,
                                            HttpRefusal& refusal) const;

  /// Finds the only route of a host whose routes make no difference by path. Null otherwise.
  std::shared_ptr<const ContentTarget> FindOnly(absl::string_view host) const;

  /// The names of the routes (`ContentTarget::route`) whose hosts have several: requests of one
  /// connection may be for different ones of them.
  absl::flat_hash_set<std::string> SplitRoutes() const;

  const std::vector<HttpRoute>& routes() const { return routes_; }

 private:
  struct PathRoute {
    std::string path;  // Without its last "/".
    std::shared_ptr<const ContentTarget> target;
  };

  const std::vector<PathRoute>* RoutesOf(absl::string_view host) const;
  static bool AnyPath(const std::vector<PathRoute>& paths);

  absl::Status Add(const HttpRoute& route);

  std::vector<HttpRoute> routes_;
  // By "a.test", "*.a.test", "" (any); the longest path first.
  absl::flat_hash_map<std::string, std::vector<PathRoute>> hosts_;
};

/// Reads "HOST/PATH=BACKENDS,HOST/PATH=BACKENDS,…". BACKENDS is "IP:PORT", or several joined by
/// "+", which take turns, and may end in "@NAME": the backends' certificate name. The host
/// "default" stands for any other. Fails with ErrorCode::kConfiguration, quoting the item at fault.
absl::StatusOr<std::vector<HttpRoute>> ParseHttpRoutes(absl::string_view text);

/// Makes content routing by the first HTTP/1.1 request. Connections on which HTTP/2 was agreed on
/// are refused: don't offer it, or see http2_routes.h.
ContentReaderFactory NewHttpRouteReaderFactory(std::shared_ptr<const HttpRoutes> routes,
                                               const Http1Limits& limits = {});

/// Makes inspectors see to it that every request of a connection is for the backend that its first
/// one chose: others are refused with 421. Where a host's paths lead to different backends, each
/// connection carries one request, so that clients open another one for the next. Adds to `guards`,
/// in front, and to `one_request`.
void KeepToRoutes(std::shared_ptr<const HttpRoutes> routes, Http1Options& options);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_HTTP_ROUTES_H_
