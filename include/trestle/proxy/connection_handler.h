// ConnectionHandler: the interface that takes over connections. The three blocks implement it.
#ifndef TRESTLE_PROXY_CONNECTION_HANDLER_H_
#define TRESTLE_PROXY_CONNECTION_HANDLER_H_

#include <memory>
#include <utility>

#include "trestle/io/transport.h"
#include "trestle/proxy/accepted.h"

namespace trestle {

/// Takes over connections. Blocks are handlers, so they nest: a router can send one name to a
/// terminator, another to a bridge, and pass the rest through untouched. Called on the loop's
/// thread.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;

  /// Takes ownership of `connection` and returns at once. The handler reports the end to its
  /// observer. A handler that passes a connection on adds its own findings to the same `Accepted`.
  virtual void Serve(Accepted connection) = 0;

  /// Serves a connection that begins now, as a listener delivers it.
  void Serve(std::unique_ptr<Transport> transport) { Serve(Accepted(std::move(transport))); }
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_CONNECTION_HANDLER_H_
