// TcpTransport: a connected TCP or Unix-domain socket as a Transport, from TcpListener, TcpDialer
// or a socket of the host.
#ifndef TRESTLE_LINUX_TCP_TRANSPORT_H_
#define TRESTLE_LINUX_TCP_TRANSPORT_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/io/transport.h"
#include "trestle/linux/fd_loop.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {

/// A TCP connection on one loop. It defines these points that the five rules of Transport leave
/// open:
///   - Bytes that arrived before a RST are read before the failure is reported, also after a failed
///     write. A RST is ErrorCode::kTruncated; other failures are kTransport with the system's text.
///   - ShutdownWrite(kTruncated) returns kWouldBlock until the peer's system has acknowledged all
///     bytes, and then sends a RST. The peer reads all bytes and then an error. TCP cannot abort
///     one direction alone, so local reads fail from then on (kCancelled). The wait has no limit of
///     its own: the caller sets one.
///   - The destructor is close(2): bytes that `Write` took are still sent, then FIN. If bytes from
///     the peer are unread, the system sends a RST and drops both.
///   - A byte marked as urgent by the peer is an ordinary byte of the stream.
///   - A Unix-domain socket has no RST. After ShutdownWrite(kTruncated) or `Abort`, the peer reads
///     all bytes that were accepted. An error follows only if this side left bytes unread, else a
///     clean end. So a protocol without marks of its own can't show a cut on it. TLS can.
class TcpTransport final : public Transport, private FdWatcher {
 public:
  /// Creates a transport from `socket`: connected, non-blocking, with SO_OOBINLINE and, if it is
  /// one of TCP, TCP_NODELAY set. `loop` must outlive it. Fails with ErrorCode::kTransport if the
  /// system cannot watch the socket.
  static absl::StatusOr<std::unique_ptr<TcpTransport>> Create(FdLoop& loop, OwnedFd socket);

  /// As above, but with known addresses, which saves two system calls. `ready` has the events
  /// (EPOLLIN and so on) of the last report that `loop` made of the socket; 0 if it was not watched
  /// before. This saves a read that finds nothing. Empty: not known.
  static absl::StatusOr<std::unique_ptr<TcpTransport>> Create(
      FdLoop& loop, OwnedFd socket, const Endpoint& local, const Endpoint& peer,
      std::optional<uint32_t> ready = std::nullopt);

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

  /// Returns the socket, for options that the host sets; -1 after a cut. Do not
  /// read from it, write to it or close it.
  int fd() const { return socket_.get(); }

  /// Returns the loop's pipes, or null once splice(2) is unusable here. That is so if the system
  /// refused it, or after an urgent mark of the peer, where splice(2) stops permanently.
  SplicePool* splice_pool() override;
  IoResult ReadInto(SpliceBuffer& pipe, size_t max_bytes) override;
  IoResult WriteFrom(SpliceBuffer& pipe) override;

 private:
  // What the next recv(2) can return, from the loop's reports and the reads so far.
  enum class Reading : uint8_t {
    kReady,     // Bytes. A read that does not fill its buffer leaves nothing: kEmpty.
    kEndAhead,  // Bytes, then an end, a failure or an urgent mark: only EAGAIN means kEmpty. A
                // Unix-domain socket with bytes is always in this state.
    kEmpty,     // It would block. The loop reports the next bytes.
    kEnded,
    kFailed,
  };
  // A clean end leaves the state as it is: the system keeps it.
  enum class Writing : uint8_t {
    kReady,
    kFull,     // send(2) would block. The loop reports room.
    kFailed,   // The peer's direction ended before its RST: reads may still find that end.
    kReset,    // The same without an end: reads find bytes, then a failure.
    kCutting,  // ShutdownWrite(kTruncated) waits until all bytes are acknowledged.
    kCut,      // The RST was sent, and the socket is closed.
    kAborted,  // As kCut, without waiting.
  };

  TcpTransport(FdLoop& loop, OwnedFd socket, const Endpoint& local, const Endpoint& peer,
               std::optional<uint32_t> ready);

  void OnFdReady(uint32_t events) override;
  IoResult Send(ByteView data, int flags);
  IoResult BlockRead();
  IoResult BlockWrite();
  IoResult FailRead(int error);
  IoResult FailWrite(int error);
  void SetStatus(int error);
  void SetCancelled();
  void NoteEvents(uint32_t events);
  Reading ReadingBytes() const { return local_.is_ip() ? Reading::kReady : Reading::kEndAhead; }
  void ExpectEnd();
  bool reading_over() const { return reading_ == Reading::kEnded || reading_ == Reading::kFailed; }
  bool closed() const { return writing_ == Writing::kCut || writing_ == Writing::kAborted; }
  bool cut_asked() const { return writing_ >= Writing::kCutting; }
  IoResult ReadEnd() const;
  bool MayFinishWrite() const;
  bool SendQueueEmpty() const;
  IoResult CutWhenSent();
  void ArmSendQueueCheck();
  void CloseWithReset(Writing after);

  FdLoop& loop_;
  OwnedFd socket_;
  const Endpoint local_;
  const Endpoint peer_;
  TransportHandler* handler_ = nullptr;
  absl::Status status_;

  Reading reading_;
  Writing writing_ = Writing::kReady;
  bool read_owed_ = false;   // The handler is owed OnReadable.
  bool write_owed_ = false;  // The handler is owed OnWritable.
  bool may_splice_ = true;   // Never true again: see splice_pool().
  Timer timer_;  // Of a cut: the next check of the send queue, then the owed OnReadable.
  absl::Duration next_check_;
  bool* destroyed_ = nullptr;  // Points to a flag on the stack while a callback runs.
};

}  // namespace trestle

#endif  // TRESTLE_LINUX_TCP_TRANSPORT_H_
