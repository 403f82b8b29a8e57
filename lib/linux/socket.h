// Sockets and their addresses, for the other files of the linux edge. Private to it.
#ifndef TRESTLE_LIB_LINUX_SOCKET_H_
#define TRESTLE_LIB_LINUX_SOCKET_H_

#include <sys/socket.h>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {

/// An Endpoint in the form of the system calls.
struct SocketAddress {
  SocketAddress() = default;
  explicit SocketAddress(const Endpoint& endpoint);

  /// Converts the address back; kNone for families other than IPv4, IPv6 and Unix-domain sockets.
  Endpoint ToEndpoint() const;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }

  sockaddr_storage storage = {};
  socklen_t size = sizeof(sockaddr_storage);
};

/// Returns the local or the peer's address of a socket; kNone if it has none (any more).
Endpoint LocalEndpoint(int fd);
Endpoint PeerEndpoint(int fd);

/// Opens a stream socket: non-blocking, close-on-exec, urgent bytes in line, and without Nagle's
/// algorithm for TCP. Accepted sockets inherit the last two from a listener. The result is not
/// valid on failure; errno has the reason.
OwnedFd OpenStreamSocket(Endpoint::Family family);

/// Sets the last two of these options.
void SetStreamOptions(int fd, bool tcp);

/// Turns on TCP keepalive: the system probes a peer that was silent for `silence`. It breaks the
/// connection if the peer does not answer within the same time again. Zero: off. Accepted sockets
/// inherit it from their listener.
void SetKeepalive(int fd, absl::Duration silence);

/// Returns the reason why connecting to, or listening on, `endpoint` failed with the errno value
/// `error`.
absl::Status ConnectError(const Endpoint& endpoint, int error);
absl::Status ListenError(const Endpoint& endpoint, int error);

}  // namespace trestle

#endif  // TRESTLE_LIB_LINUX_SOCKET_H_
