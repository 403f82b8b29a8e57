// RouteTable: server name -> where the connection goes. Immutable; replaced as a whole.
#ifndef TRESTLE_PROXY_ROUTE_TABLE_H_
#define TRESTLE_PROXY_ROUTE_TABLE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/base/endpoint.h"
#include "trestle/proxy/connection_handler.h"
#include "trestle/wire/server_name.h"

namespace trestle {

/// A backend to dial, or a handler (not owned; it must outlive the table) on the same loop.
using RouteTarget = std::variant<Endpoint, ConnectionHandler*>;

struct Route {
  /// A name pattern as in wire/server_name.h ("a.test", "*.a.test", "**.a.test"), or "" for the
  /// default: any other name, and hellos without one.
  std::string pattern;
  RouteTarget target;
};

class RouteTable {
 public:
  /// Checks and indexes `routes`; their order doesn't matter. Fails with ErrorCode::kConfiguration
  /// for an invalid pattern, a pattern that is there twice, a null handler, or no route at all.
  static absl::StatusOr<std::shared_ptr<const RouteTable>> Create(const std::vector<Route>& routes);

  /// Reads "NAME=IP:PORT,NAME=IP:PORT,…" as the example proxies take it on the command line.
  static absl::StatusOr<std::vector<Route>> ParseRoutes(absl::string_view text);

  /// Finds the route for a normalised server name ("" for none): the most specific pattern, then
  /// the default; null when nothing matches. Costs a look-up or two per label of the name, whatever
  /// the number of routes. Lives as long as the table.
  const Route* Find(absl::string_view server_name) const;

  size_t size() const { return size_; }

 private:
  using Routes = absl::flat_hash_map<std::string, Route>;

  RouteTable() = default;
  const Routes& RoutesOf(NamePattern::Kind kind) const;
  absl::Status Add(const Route& route);

  size_t size_ = 0;
  Routes exact_;  // All three by the base of the pattern.
  Routes one_label_;
  Routes any_depth_;
  std::optional<Route> default_;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_ROUTE_TABLE_H_
