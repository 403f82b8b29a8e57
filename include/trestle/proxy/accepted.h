// Accepted: a connection on its way to a ConnectionHandler, with all that is known of it so far: a
// handler that passes it on (a router, say) loses nothing that it has read.
#ifndef TRESTLE_PROXY_ACCEPTED_H_
#define TRESTLE_PROXY_ACCEPTED_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/io/transport.h"
#include "trestle/proxy/connection_limiter.h"
#include "trestle/proxy/observer.h"

namespace trestle {

struct ProxyHeader;

/// Where a connection comes from.
struct ConnectionOrigin {
  Endpoint local;  ///< The address that the client connected to.
  Endpoint peer;   ///< The client.
  /// The trusted proxy in front that told `local` and `peer`; kNone where there is none.
  Endpoint via = {};
  /// The PROXY protocol header of that proxy (wire/proxy_protocol.h); null where there is none.
  std::shared_ptr<const ProxyHeader> proxy_header = nullptr;
};

/// A router's decision, to be asked for again with another name. Immutable.
class RouteCheck {
 public:
  virtual ~RouteCheck() = default;

  /// Tells whether a hello with this normalised server name ("" for none), offering the protocols
  /// `alpn`, leads to the handler that the connection was given to.
  virtual bool LeadsToSameHandler(absl::string_view server_name,
                                  absl::Span<const std::string> alpn) const = 0;
};

/// The ClientHello by which a handler chose where a connection goes. Its bytes are still the first
/// of the transport.
///
/// TLS may end up with another name than this one: the name of the encrypted inner hello (ECH).
/// A block that ends TLS refuses such a client with ErrorCode::kNoRoute and the alert
/// unrecognized_name, unless all `checks` agree. A handler that is no block has to do the same.
struct RoutedHello {
  std::string server_name;  ///< Normalised; empty where the hello has none.
  HelloReport report;       ///< With the application protocols that were offered.
  std::string route;        ///< The pattern that matched, or "default".
  /// One for each router that the connection passed. Where there is none, only the same name and
  /// the same protocols will do.
  std::vector<std::shared_ptr<const RouteCheck>> checks;
};

struct Accepted {
  Accepted() = default;

  /// A connection that begins now, from where `connection` leads, of which nothing was read.
  explicit Accepted(std::unique_ptr<Transport> connection) : transport(std::move(connection)) {
    TransportInfo info = transport->info();
    origin.local = info.local;
    origin.peer = info.peer;
  }

  std::unique_ptr<Transport> transport;  ///< Never null.
  /// When the connection was accepted, by the monotonic clock of the handler's scheduler. Default:
  /// now.
  MonotonicTime time;
  ConnectionOrigin origin;
  /// The connection's place among those that its handler's limits allow at a time.
  ConnectionSlot slot;
  /// Null where no hello was read, as behind a handler that ended the TLS of it.
  std::shared_ptr<const RoutedHello> hello;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_ACCEPTED_H_
