// DatagramSocket: sends and receives datagrams in batches, and never blocks. linux/udp_socket.h has
// one for UDP; testing/memory_datagrams.h has a network in memory.
#ifndef TRESTLE_IO_DATAGRAM_SOCKET_H_
#define TRESTLE_IO_DATAGRAM_SOCKET_H_

#include <cstddef>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "trestle/base/bytes.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/transport.h"

namespace trestle {

/// One datagram. Does not own its bytes.
struct Datagram {
  ByteView bytes;
  /// The other side's address. On a connected socket it is always the connected one: received
  /// datagrams have kNone, and `Send` ignores it.
  Endpoint peer;
  /// This side's address: the one that the datagram was sent to, or shall leave from. A socket on
  /// all addresses of a machine needs it for answers. With kNone the system chooses. Connected
  /// sockets ignore it too.
  Endpoint local;
};

/// The result of a call on a datagram socket.
struct DatagramResult {
  size_t datagrams = 0;          ///< Received, or accepted for sending.
  IoState state = IoState::kOk;  ///< Never kEndOfStream.
};

/// Receives the callbacks of a socket. A callback is a hint: there may be nothing to read.
class DatagramHandler {
 public:
  /// Called when a `Receive` that returned kWouldBlock may have datagrams, or fail.
  virtual void OnReadable() = 0;

 protected:
  ~DatagramHandler() = default;
};

/// A socket of datagrams. No call blocks, and the handler is called from the loop only, never from
/// inside a call. All calls come from the loop's thread.
///
/// Datagrams get lost, duplicated and reordered on their way. A socket adds no faults but two: it
/// drops what arrives while its queue is full, and refuses to send what the system can't take.
///
/// A failure is not permanent. It tells what happened to an earlier datagram, such as an ICMP
/// message that the peer's port is closed. The socket can be used further.
class DatagramSocket {
 public:
  virtual ~DatagramSocket() = default;

  /// Receives a batch of waiting datagrams. Calls `take` with them in the order of arrival, once or
  /// in several parts; not if there are none. The bytes are valid until `take` returns. `take` may
  /// use all sockets, but must not call `Receive` or destroy this socket.
  ///
  /// After kOk there may be more datagrams. After kWouldBlock there are none, even if the batch had
  /// some, and one callback follows. After kFailed, `status` has the reason.
  virtual DatagramResult Receive(absl::FunctionRef<void(absl::Span<const Datagram>)> take) = 0;

  /// Sends `batch`, in order. With kOk all were accepted. With kWouldBlock only the first
  /// `datagrams` were, because the system's buffer is full; no callback follows. With kFailed none
  /// after the first `datagrams` was, and `status` has the reason. A datagram that is too long for
  /// the way to the peer counts as accepted, and is lost.
  virtual DatagramResult Send(absl::Span<const Datagram> batch) = 0;

  /// Sets the handler; null for none. It must outlive the socket or be replaced. Datagrams may
  /// already be waiting: call `Receive` until it would block.
  virtual void SetHandler(DatagramHandler* handler) = 0;

  /// Returns the reason of the last kFailed; OK before that. ErrorCode::kTransport: the peer is not
  /// reachable. ErrorCode::kOverLimit: this machine lacks memory.
  virtual absl::Status status() const = 0;

  /// Returns the address of this side.
  virtual Endpoint local_endpoint() const = 0;
};

/// Opens sockets that are connected to one peer: they send to it, and receive from it only. The
/// host owns it. All calls come from the loop's thread.
class DatagramDialer {
 public:
  virtual ~DatagramDialer() = default;

  /// Opens a socket towards `peer`. No datagram is sent, so whether the peer exists shows later.
  /// Fails with ErrorCode::kTransport, or with kOverLimit if the system has no descriptor, port or
  /// memory left. The dialer outlives its sockets.
  virtual absl::StatusOr<std::unique_ptr<DatagramSocket>> Connect(const Endpoint& peer) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_IO_DATAGRAM_SOCKET_H_
