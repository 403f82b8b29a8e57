// RouteTable: maps server names and application protocols to targets. Immutable, so thread-safe;
// replace the whole table while connections are served.
#ifndef TRESTLE_PROXY_ROUTE_TABLE_H_
#define TRESTLE_PROXY_ROUTE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/connection_handler.h"

namespace trestle {

/// Backends to dial, or a handler on the same loop. The table does not own the handler, which must
/// outlive it.
using RouteTarget = std::variant<Backends, ConnectionHandler*>;

/// The action for a connection whose server name has no route of its own.
enum class Unrouted : uint8_t {
  kDefaultRoute,  ///< Uses the default route; without one, as kAlert.
  kAlert,         ///< Rejects with the alert unrecognized_name (RFC 6066 3).
  kClose,         ///< Closes without an alert.
};

/// A name pattern and its target.
struct Route {
  /// A name pattern as in wire/server_name.h ("a.test", "*.a.test", "**.a.test"). "" is the
  /// default, for all other names and for hellos without one.
  std::string pattern;
  RouteTarget target;
  /// Limits the route to hellos that offer this application protocol (RFC 7301), such as
  /// "acme-tls/1" for certificate challenges (RFC 8737). Empty: all hellos.
  std::string alpn = {};
};

/// An immutable set of routes. May be used from several threads.
class RouteTable {
 public:
  ~RouteTable();

  /// The result of a look-up. Views are valid as long as the table.
  struct Match {
    const RouteTarget* target = nullptr;  ///< Never null.
    absl::string_view pattern;            ///< In normal form; "default" for the default route.
    absl::string_view alpn;               ///< The route's protocol, if it is limited to one.
    bool is_default = false;              ///< True if no pattern covers the name.
  };

  /// Checks and indexes `routes`, in any order. Fails with ErrorCode::kConfiguration for an invalid
  /// pattern, a duplicate pattern for one protocol, a null handler, backends that `CheckBackends`
  /// rejects, or an empty list.
  static absl::StatusOr<std::shared_ptr<const RouteTable>> Create(const std::vector<Route>& routes);

  /// Finds the route for a normalised server name ("" for none) and the offered protocols `alpn`.
  /// Routes limited to a protocol come first, in the client's order of protocols. Among them, the
  /// most specific pattern wins, then the default. Takes one or two look-ups per label of the name,
  /// for any number of routes.
  std::optional<Match> Find(absl::string_view server_name,
                            absl::Span<const std::string> alpn = {}) const;

  /// Returns whether the backends of any route lead back to `listener`; see `LeadsTo` in
  /// backends.h.
  bool LeadsTo(const Endpoint& listener) const;

  size_t size() const { return size_; }

  /// Returns whether there is a default route for all protocols.
  bool has_default() const;

 private:
  struct Names;
  class Builder;

  RouteTable();
  std::optional<Match> FindIn(const Names& names, absl::string_view server_name,
                              absl::string_view alpn) const;

  size_t size_ = 0;
  std::vector<RouteTarget> targets_;
  std::unique_ptr<const Names> any_protocol_;
  absl::flat_hash_map<std::string, std::unique_ptr<const Names>> by_protocol_;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_ROUTE_TABLE_H_
