// TcpTransport: a connected TCP socket as a Transport. Comes from TcpListener and TcpDialer, or
// from a socket that the host made.
#ifndef TRESTLE_POSIX_TCP_TRANSPORT_H_
#define TRESTLE_POSIX_TCP_TRANSPORT_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/io/transport.h"
#include "trestle/posix/epoll_loop.h"
#include "trestle/posix/owned_fd.h"

namespace trestle {

/// A TCP connection. What the five rules leave open:
///   - Bytes that arrived before a RST are read before the failure is told, also after a failed
///     write. A RST is ErrorCode::kTruncated, other failures are kTransport with the system's
///     words.
///   - ShutdownWrite(kTruncated) answers kWouldBlock until the peer's system has acknowledged all
///     bytes, and then sends a RST: the peer reads all of them and an error after that. TCP can't
///     cut one direction alone, so reads on this side fail from then on (kCancelled). It waits for
///     as long as the peer takes; give it a limit.
///   - Destruction is close(2): what `Write` took is still sent, then FIN; but if bytes from the
///     peer are unread, the system sends a RST and drops both.
///   - A byte that the peer marked as urgent is a byte of the stream like any other.
class TcpTransport final : public Transport, private FdWatcher {
 public:
  /// Makes a transport of `socket`: connected, non-blocking, SO_OOBINLINE and TCP_NODELAY set.
  /// `loop` must outlive it. Fails with ErrorCode::kTransport where the system can't watch it.
  static absl::StatusOr<std::unique_ptr<TcpTransport>> Create(EpollLoop& loop, OwnedFd socket);

  /// As above, for who knows the addresses: saves asking the system for them.
  static absl::StatusOr<std::unique_ptr<TcpTransport>> Create(EpollLoop& loop, OwnedFd socket,
                                                              const Endpoint& local,
                                                              const Endpoint& peer);

  ~TcpTransport() override;
  TcpTransport(const TcpTransport&) = delete;
  TcpTransport& operator=(const TcpTransport&) = delete;

  IoResult Read(MutableByteView out) override;
  IoResult Write(ByteView data) override;
  IoResult WriteBeforeEnd(ByteView data) override;
  IoResult ShutdownWrite(StreamEnd end) override;
  void Abort() override;
  void SetHandler(TransportHandler* handler) override { handler_ = handler; }
  absl::Status status() const override { return status_; }
  TransportInfo info() const override;

  /// Tells the loop's; null once splice(2) can't be relied on: it was refused, or there was an
  /// urgent mark, where it stops for good.
  DirectPipes* direct_pipes() override;
  IoResult ReadInto(DirectPipe& pipe, size_t max_bytes) override;
  IoResult WriteFrom(DirectPipe& pipe) override;

 private:
  TcpTransport(EpollLoop& loop, OwnedFd socket, const Endpoint& local, const Endpoint& peer);

  void OnFdReady(uint32_t events) override;
  IoResult Send(ByteView data, int flags);
  IoResult FailRead(int error);
  IoResult FailWrite(int error);
  void SetStatus(int error);
  void SetCancelled();
  bool MayFinishWrite() const;
  bool SendQueueEmpty() const;
  IoResult CutWhenSent();
  void ArmSendQueueCheck();
  void CloseWithReset();

  EpollLoop& loop_;
  OwnedFd socket_;
  const Endpoint local_;
  const Endpoint peer_;
  TransportHandler* handler_ = nullptr;
  absl::Status status_;

  // What the edges told so far: false only where the next system call is known to be in vain.
  bool may_read_ = true;
  bool may_write_ = true;
  // Whether a read that didn't fill the buffer took all there was. Not so once the peer ended its
  // direction, for then the end follows; nor at an urgent mark, where recv(2) stops.
  bool short_read_is_all_ = true;
  bool may_splice_ = true;
  bool read_owed_ = false;
  bool write_owed_ = false;
  bool write_broken_ = false;
  bool cutting_ = false;
  std::optional<IoState> read_end_;
  Timer timer_;
  absl::Duration next_check_;
  bool* destroyed_ = nullptr;  // Points to a flag on the stack while a callback runs.
};

}  // namespace trestle

#endif  // TRESTLE_POSIX_TCP_TRANSPORT_H_
