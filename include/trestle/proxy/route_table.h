// RouteTable: server name and application protocols -> where the connection goes. Immutable;
// replaced as a whole while connections are served.
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

/// Backends to dial, or a handler (not owned; it must outlive the table) on the same loop.
using RouteTarget = std::variant<Backends, ConnectionHandler*>;

struct Route {
  /// A name pattern as in wire/server_name.h ("a.test", "*.a.test", "**.a.test"), or "" for the
  /// default: any other name, and hellos without one.
  std::string pattern;
  RouteTarget target;
  /// Limits the route to hellos that offer this application protocol (RFC 7301), as "acme-tls/1"
  /// for certificate challenges (RFC 8737). Empty: any hello.
  std::string alpn = {};
};

class RouteTable {
 public:
  ~RouteTable();

  /// What a look-up found. Views live as long as the table.
  struct Match {
    const RouteTarget* target = nullptr;  ///< Never null.
    absl::string_view pattern;            ///< In the normal form; "default" for the default.
    absl::string_view alpn;               ///< The protocol that the route is limited to, if any.
    bool is_default = false;              ///< No pattern covered the name.
  };

  /// Checks and indexes `routes`; their order doesn't matter. Fails with ErrorCode::kConfiguration
  /// for an invalid pattern, a pattern that is there twice for one protocol, a null handler,
  /// backends that `CheckBackends` refuses, or no route at all.
  static absl::StatusOr<std::shared_ptr<const RouteTable>> Create(const std::vector<Route>& routes);

  /// Finds the route of a hello with this normalised server name ("" for none), offering the
  /// protocols `alpn`. Routes limited to a protocol come first, by the client's order of protocols;
  /// among routes of a kind the most specific pattern wins, then the default. Costs a look-up or
  /// two per label of the name, whatever the number of routes.
  std::optional<Match> Find(absl::string_view server_name,
                            absl::Span<const std::string> alpn = {}) const;

  /// Tells whether any route's backends lead back to `listener`; see `LeadsTo` of backends.h.
  bool LeadsTo(const Endpoint& listener) const;

  size_t size() const { return size_; }

  /// Tells whether there is a default route for any protocol.
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
