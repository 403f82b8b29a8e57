// Sockets and their addresses, as the posix edge's other files need them. Private to it.
#ifndef TRESTLE_LIB_POSIX_SOCKET_H_
#define TRESTLE_LIB_POSIX_SOCKET_H_

#include <sys/socket.h>

#include "absl/status/status.h"
#include "trestle/base/endpoint.h"
#include "trestle/posix/owned_fd.h"

namespace trestle {

/// An Endpoint as the system's calls take it.
struct SocketAddress {
  SocketAddress() = default;
  explicit SocketAddress(const Endpoint& endpoint);

  /// Reads the address back; kNone for families other than IPv4 and IPv6.
  Endpoint ToEndpoint() const;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }

  sockaddr_storage storage = {};
  socklen_t size = sizeof(sockaddr_storage);
};

/// Tells the local or the peer's address of a socket; kNone where it has none (any more).
Endpoint LocalEndpoint(int fd);
Endpoint PeerEndpoint(int fd);

/// Opens a TCP socket, non-blocking, close-on-exec, Nagle off, urgent bytes in line. What it
/// accepts as a listener inherits the latter two. Not valid on failure; errno says why.
OwnedFd OpenTcpSocket(Endpoint::Family family);

/// Says why connecting to, or listening on, `endpoint` failed with the errno value `error`.
absl::Status ConnectError(const Endpoint& endpoint, int error);
absl::Status ListenError(const Endpoint& endpoint, int error);

}  // namespace trestle

#endif  // TRESTLE_LIB_POSIX_SOCKET_H_
