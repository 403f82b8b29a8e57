// ConnectionHandler: whatever takes a connection over: the three blocks, and routes to them.
#ifndef TRESTLE_PROXY_CONNECTION_HANDLER_H_
#define TRESTLE_PROXY_CONNECTION_HANDLER_H_

#include <memory>
#include <utility>

#include "trestle/io/transport.h"
#include "trestle/proxy/accepted.h"

namespace trestle {

/// Takes connections for good. Blocks are handlers, so they nest: a router may send one name to a
/// terminator, another to a bridge, and pass the rest through untouched.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;

  /// Takes over `connection` and never gives it back. Returns at once; the handler's observer is
  /// told how it ends. A handler that passes a connection on hands over the `Accepted` that it got,
  /// with what it has read since.
  virtual void Serve(Accepted connection) = 0;

  /// The same for a connection that begins now, as a listener has it.
  void Serve(std::unique_ptr<Transport> transport) { Serve(Accepted(std::move(transport))); }
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_CONNECTION_HANDLER_H_
