// UdpSockets: opens the UDP sockets of one loop. They send and receive in batches (sendmmsg(2),
// recvmmsg(2)), and in segments where the kernel has them (UDP_SEGMENT, UDP_GRO).
#ifndef TRESTLE_LINUX_UDP_SOCKETS_H_
#define TRESTLE_LINUX_UDP_SOCKETS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/datagram_socket.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_listener.h"

namespace trestle {

/// Options of a UDP socket.
struct UdpSocketOptions {
  /// kJoin for the second and later threads of a server, which share the address. The system
  /// distributes datagrams by both addresses, so that a flow stays with its socket as long as no
  /// socket joins or leaves.
  PortUse port_use = PortUse::kClaim;
  /// The system's buffers in each direction, in bytes, as far as the system allows.
  int buffer_bytes = 4 << 20;
};

/// The buffers that its sockets share take 1 MiB. The system maps only the used part. Sockets
/// forbid fragmentation (RFC 9000 14), so that a datagram that is too long is lost.
class UdpSockets final : public DatagramDialer {
 public:
  /// `loop` must outlive the object, and the object its sockets.
  explicit UdpSockets(EpollLoop& loop);
  ~UdpSockets() override;

  /// Opens a socket on `local`, which receives from all. With port 0 the system chooses a free
  /// port; IPv6 endpoints receive from IPv6 peers only. Fails with ErrorCode::kConfiguration and a
  /// sentence with the address if the address is the reason, else with kTransport.
  absl::StatusOr<std::unique_ptr<DatagramSocket>> Bind(const Endpoint& local,
                                                       const UdpSocketOptions& options = {});

  absl::StatusOr<std::unique_ptr<DatagramSocket>> Connect(const Endpoint& peer) override;

 private:
  class Scratch;
  class Socket;

  EpollLoop& loop_;
  const std::unique_ptr<Scratch> scratch_;
};

}  // namespace trestle

#endif  // TRESTLE_LINUX_UDP_SOCKETS_H_
