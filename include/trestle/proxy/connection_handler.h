// ConnectionHandler: whatever takes a connection over: the three blocks, and routes to them.
#ifndef TRESTLE_PROXY_CONNECTION_HANDLER_H_
#define TRESTLE_PROXY_CONNECTION_HANDLER_H_

#include <memory>

#include "trestle/io/transport.h"

namespace trestle {

/// Takes connections for good. Blocks are handlers, so they nest: a router may send one name to a
/// terminator, another to a bridge, and pass the rest through untouched.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;

  /// Takes over `transport`, an accepted connection, and never gives it back. Returns at once; what
  /// becomes of the connection is told to the handler's observer.
  virtual void Serve(std::unique_ptr<Transport> transport) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_CONNECTION_HANDLER_H_
