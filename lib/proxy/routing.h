// Routing: which route a hello takes, with the rules for names that have none. Routers of streams
// and of datagrams share it.
#ifndef TRESTLE_LIB_PROXY_ROUTING_H_
#define TRESTLE_LIB_PROXY_ROUTING_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trestle/base/error.h"
#include "trestle/proxy/route_table.h"

namespace trestle {

/// Immutable, so that a decision can be checked later.
struct Routing {
  std::shared_ptr<const RouteTable> routes;
  Unrouted no_name;
  Unrouted unknown_name;

  /// Fails if there are no routes, or if nothing can reach the default route.
  absl::Status Check() const {
    if (routes == nullptr) return ConfigurationError("the router needs routes");
    if (!routes->has_default() || no_name == Unrouted::kDefaultRoute ||
        unknown_name == Unrouted::kDefaultRoute) {
      return absl::OkStatus();
    }
    return ConfigurationError(
        "nothing can reach the default route: clients without a name and clients of "
        "other names are both refused");
  }

  /// Empty if the hello must be rejected.
  std::optional<RouteTable::Match> Find(absl::string_view server_name,
                                        absl::Span<const std::string> alpn) const {
    const std::optional<RouteTable::Match> match = routes->Find(server_name, alpn);
    if (!match.has_value()) return std::nullopt;
    // A default route limited to a protocol applies to hellos of any name.
    const bool covered = !match->is_default || !match->alpn.empty();
    if (covered || IfUnrouted(server_name) == Unrouted::kDefaultRoute) return match;
    return std::nullopt;
  }

  Unrouted IfUnrouted(absl::string_view server_name) const {
    return server_name.empty() ? no_name : unknown_name;
  }

  /// The error for a hello that `Find` rejects.
  static Error NoRoute(absl::string_view server_name) {
    Error error;
    error.code = ErrorCode::kNoRoute;
    error.leg = Leg::kFront;
    error.phase = Phase::kRoute;
    error.detail = server_name.empty()
                       ? "the ClientHello has no server name, and there is no route for that"
                       : absl::StrCat("no route for \"", server_name, "\"");
    return error;
  }
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_ROUTING_H_
