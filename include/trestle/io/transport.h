// Transport: a byte stream with two directions that never blocks. Trestle reads and writes
// transports only: TCP sockets, TLS streams over another transport, and memory in tests.
#ifndef TRESTLE_IO_TRANSPORT_H_
#define TRESTLE_IO_TRANSPORT_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "trestle/base/bytes.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/direct_pipe.h"

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

/// Is told when a call that answered kWouldBlock can make progress. A callback is a hint: the call
/// may answer kWouldBlock again, and then another callback follows.
class TransportHandler {
 public:
  /// A `Read` that answered kWouldBlock is worth trying again (also at the end and on failure).
  virtual void OnReadable() = 0;

  /// A `Write` or `ShutdownWrite` that answered kWouldBlock is worth trying again. One callback
  /// stands for both where both did.
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
///   3. After kWouldBlock, and only then, exactly one callback follows once progress is possible:
///      one OnReadable for any number of refused reads, one OnWritable for any number of refused
///      writes and shutdowns.
///   4. Not reading is the back-pressure: there is no call to pause.
///   5. No callback comes after `Abort()` or destruction; both are fine inside a callback.
/// Ends are sticky: after kEndOfStream or kFailed the same call answers the same for good, without
/// a callback. A failure of one direction says nothing of the other: bytes that arrived before a
/// reset are still read after a write failed.
///
/// Destroying a transport never blocks. What `Write` took and the system holds is still sent, but
/// a transport with bytes of its own, such as a TLS stream, loses those; and a TCP socket whose
/// peer sent bytes that were not read loses everything. So shut down first, and read to the end.
///
/// Writing to a peer that is gone fails; it raises no signal. Implementations on sockets use
/// MSG_NOSIGNAL, or the host ignores SIGPIPE where they can't (splice(2)). All calls come from the
/// loop's thread.
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

  /// Ends the direction towards the peer: sends all that `Write` took, then the mark for `end`.
  /// kOk once all of it was handed to the system; kWouldBlock: call again after `OnWritable`, with
  /// the same `end`. Nothing may be written after the first call. After kClean reading goes on
  /// (half-close), and kTruncated may be asked for later. Allowed after a failure too, to get a
  /// last alert out; asking again for an end that was made does nothing.
  ///
  /// kTruncated answers kWouldBlock until the peer's system has all bytes: a reset that is sent
  /// earlier overtakes them, and the peer loses what it was sent. It waits for as long as the peer
  /// takes; give it a limit, and `Abort` then. It may end both directions, as on TCP, which can't
  /// cut one alone: reads fail from then on with ErrorCode::kCancelled.
  virtual IoResult ShutdownWrite(StreamEnd end) = 0;

  /// Cuts both directions at once (TCP: RST). What was not sent yet is lost. After it only
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
  virtual DirectPipes* direct_pipes() { return nullptr; }

  /// Moves available bytes, at most `max_bytes`, into `pipe`, which is empty and comes from
  /// `direct_pipes()`. Results are those of `Read`, but kOk may have no bytes: use `Read` then.
  virtual IoResult ReadInto(DirectPipe& /*pipe*/, size_t /*max_bytes*/) { return {}; }

  /// Accepts bytes to send from `pipe`, which is not empty and comes from `direct_pipes()`. Results
  /// are those of `Write`.
  virtual IoResult WriteFrom(DirectPipe& /*pipe*/) { return {0, IoState::kFailed}; }
};

}  // namespace trestle

#endif  // TRESTLE_IO_TRANSPORT_H_
