// Transport: a byte stream with two directions that never blocks. Trestle reads and writes
// transports only: TCP sockets, TLS streams over another transport, and memory in tests.
#ifndef TRESTLE_IO_TRANSPORT_H_
#define TRESTLE_IO_TRANSPORT_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "trestle/base/bytes.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/splice_buffer.h"

namespace trestle {

enum class IoState : uint8_t {
  kOk,           ///< Progress was made; more may follow at once.
  kWouldBlock,   ///< Nothing more now; one callback follows (rule 3).
  kEndOfStream,  ///< The peer ended its direction cleanly. Only reads return this.
  kFailed,       ///< The stream has failed for good; `status()` has the reason.
};

/// The result of a call on a transport. `bytes` is above 0 only with kOk.
struct IoResult {
  size_t bytes = 0;
  IoState state = IoState::kOk;
};

/// The end of a direction.
enum class StreamEnd : uint8_t {
  kClean,      ///< The stream is complete: close_notify on TLS (RFC 8446 6.1), FIN on TCP.
  kTruncated,  ///< The stream was cut short and the peer must notice: no close_notify, or RST.
};

/// Receives a callback when a call that returned kWouldBlock can make progress. A callback is a
/// hint: the call may return kWouldBlock again, and then another callback follows.
class TransportHandler {
 public:
  /// Called when a `Read` that returned kWouldBlock may succeed now, or end, or fail.
  virtual void OnReadable() = 0;

  /// Called when a `Write` or `ShutdownWrite` that returned kWouldBlock may make progress now. If
  /// both did, there is one callback.
  virtual void OnWritable() = 0;

 protected:
  ~TransportHandler() = default;
};

/// The addresses of a transport.
struct TransportInfo {
  Endpoint local;
  Endpoint peer;
};

/// A byte stream. Five rules hold for every implementation:
///   1. No call blocks.
///   2. The handler is called only from the loop, never from inside a call that is on the stack.
///   3. After kWouldBlock, and only then, exactly one callback follows once progress is possible.
///      Any number of blocked reads gets one OnReadable. Any number of blocked writes and shutdowns
///      gets one OnWritable.
///   4. A caller applies back-pressure by not reading; there is no call to pause.
///   5. No callback comes after `Abort()` or destruction. Both are allowed inside a callback.
///
/// Ends are permanent: after kEndOfStream or kFailed, the same call always returns the same,
/// without a callback. A failed direction does not affect the other one: after a write has failed,
/// reads still return the bytes that arrived before a reset.
///
/// Destruction never blocks. The system still sends the accepted bytes that it holds. Bytes inside
/// the transport, such as a TLS stream's, are lost. A TCP socket with unread bytes loses all bytes.
/// Therefore call `ShutdownWrite` and read to the end before you destroy a transport.
///
/// A write to a closed peer fails and raises no signal. Implementations on sockets use
/// MSG_NOSIGNAL. Where that is not possible (splice(2)), the host ignores SIGPIPE. All calls come
/// from the loop's thread.
class Transport {
 public:
  virtual ~Transport() = default;

  /// Reads available bytes into `out`, at most `out.size()`. kOk means at least one byte. An end of
  /// the stream that is not clean is kFailed with ErrorCode::kTruncated.
  virtual IoResult Read(MutableByteView out) = 0;

  /// Accepts bytes to send, at most `data.size()`. kOk means that at least one byte was accepted
  /// and will be sent unless the connection fails. kWouldBlock means none was accepted: the peer is
  /// slow.
  virtual IoResult Write(ByteView data) = 0;

  /// As `Write`, for the last bytes before `ShutdownWrite(kClean)`, which the caller calls at once.
  /// The bytes may wait for it, so that they and the mark of the end leave together.
  virtual IoResult WriteBeforeEnd(ByteView data) { return Write(data); }

  /// Ends the direction towards the peer: sends all accepted bytes, then the mark for `end`.
  /// Returns kOk once the system has all of it. On kWouldBlock, call again with the same `end`
  /// after `OnWritable`. Do not write after the first call. After kClean, reading goes on
  /// (half-close), and kTruncated is allowed later. Allowed after a failure too, to send a last
  /// alert. Repeating an end that is complete has no effect.
  ///
  /// kTruncated returns kWouldBlock until the peer's system has all bytes, because an earlier reset
  /// makes the peer lose them. That may take for ever: set a time limit, then call `Abort`.
  /// kTruncated may end both directions, because TCP can't reset one alone. Reads then fail with
  /// ErrorCode::kCancelled.
  virtual IoResult ShutdownWrite(StreamEnd end) = 0;

  /// Aborts both directions at once (TCP: RST). Bytes not sent yet are lost. Afterwards only
  /// `Abort`, `status`, `info`, `SetHandler` and destruction are allowed.
  virtual void Abort() = 0;

  /// Sets the handler of callbacks; null for none. `handler` must outlive the transport or be
  /// replaced. A pending callback goes to the handler that is set when it is made.
  virtual void SetHandler(TransportHandler* handler) = 0;

  /// Returns the reason why a call returned kFailed; OK before that.
  virtual absl::Status status() const = 0;

  virtual TransportInfo info() const = 0;

  /// Returns the pipes that can carry bytes to and from other transports with the same pipes.
  /// Returns null if there are none, or if pipes can't carry the stream now. They outlive the
  /// transport.
  virtual SplicePool* splice_pool() { return nullptr; }

  /// Moves available bytes, at most `max_bytes`, into `pipe`, which is empty and comes from
  /// `splice_pool()`. Results are those of `Read`, but kOk may have no bytes: use `Read` then.
  virtual IoResult ReadInto(SpliceBuffer& /*pipe*/, size_t /*max_bytes*/) { return {}; }

  /// Accepts bytes to send from `pipe`, which is not empty and comes from `splice_pool()`. Results
  /// are those of `Write`.
  virtual IoResult WriteFrom(SpliceBuffer& /*pipe*/) { return {0, IoState::kFailed}; }
};

}  // namespace trestle

#endif  // TRESTLE_IO_TRANSPORT_H_
