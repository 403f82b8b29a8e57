// Accepted: a connection that is passed to a ConnectionHandler, with everything read from it so
// far. A handler that passes it on, such as a router, loses nothing.
#ifndef TRESTLE_PROXY_ACCEPTED_H_
#define TRESTLE_PROXY_ACCEPTED_H_

#include <cstdint>
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
#include "trestle/tls/tls_info.h"

namespace trestle {

struct ProxyHeader;

/// The addresses of a connection.
struct ConnectionOrigin {
  Endpoint local;  ///< The address that the client connected to.
  Endpoint peer;   ///< The client.
  /// The trusted proxy that sent the PROXY header with `local` and `peer`; kNone without one.
  Endpoint via = {};
  /// The PROXY protocol header of that proxy (wire/proxy_protocol.h); null without one.
  std::shared_ptr<const ProxyHeader> proxy_header = nullptr;
};

/// A router's decision, which can be checked against another name. Immutable, so thread-safe.
class RouteCheck {
 public:
  virtual ~RouteCheck() = default;

  /// Returns whether a hello with this normalised server name ("" for none) and the offered
  /// protocols `alpn` leads to the same handler that received the connection.
  virtual bool LeadsToSameHandler(absl::string_view server_name,
                                  absl::Span<const std::string> alpn) const = 0;
};

/// The ClientHello that selected a connection's route. The transport still delivers its bytes
/// first.
///
/// TLS may negotiate another name: the name in the encrypted inner hello (ECH). A block that
/// terminates TLS then asks all `checks`. Unless all agree, it rejects the client with
/// ErrorCode::kNoRoute and the alert unrecognized_name. A handler that is not a ProxyBlock must do
/// the same.
struct RoutedHello {
  std::string server_name;  ///< Normalised; empty where the hello has none.
  /// True if `server_name` came encrypted and the router opened the hello (ECH). The transport
  /// delivers the inner hello. Reports then have `ConnectionReport::server_name_hidden`.
  bool server_name_hidden = false;
  HelloReport report;  ///< Includes the offered application protocols.
  std::string route;   ///< The pattern that matched, or "default".
  /// One for each router that the connection passed. If empty, only the same name and the same
  /// protocols are accepted.
  std::vector<std::shared_ptr<const RouteCheck>> checks;
};

/// A connection on its way from one handler to the next. Movable.
struct Accepted {
  Accepted() = default;

  /// Creates a connection that begins now, before any byte is read. Takes the addresses from
  /// `connection`, which must not be null.
  explicit Accepted(std::unique_ptr<Transport> connection) : transport(std::move(connection)) {
    TransportInfo info = transport->info();
    origin.local = info.local;
    origin.peer = info.peer;
  }

  std::unique_ptr<Transport> transport;  ///< Never null.
  /// The time of acceptance, from the monotonic clock of the handler's scheduler. The default is
  /// the current time.
  MonotonicTime time;
  ConnectionOrigin origin;
  /// The connection's share of the handler's connection limit.
  ConnectionSlot slot;
  /// Null if no hello was read, for example behind a handler that terminated TLS.
  std::shared_ptr<const RoutedHello> hello;
  /// The TLS that a block terminated before: server name, application protocol, the client's
  /// identity. Null if `transport` carries what the client sends as it is.
  std::shared_ptr<const TlsInfo> tls;
  /// `ConnectionReport::id` of the block that reports this connection; 0 if the handler is the one.
  uint64_t reported_as = 0;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_ACCEPTED_H_
