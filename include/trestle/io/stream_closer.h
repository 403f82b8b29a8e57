// StreamCloser: ends a stream in order. It sends the last bytes and the mark of the end, and gives
// the peer time to read them. Closing a socket at once can lose them.
#ifndef TRESTLE_IO_STREAM_CLOSER_H_
#define TRESTLE_IO_STREAM_CLOSER_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

namespace trestle {

/// Options of a StreamCloser.
struct StreamCloserOptions {
  /// The mark of the end. On a TlsStream that has failed, kClean sends the pending alert, and no
  /// close_notify.
  StreamEnd end = StreamEnd::kClean;
  /// Reads and drops the peer's bytes until its end: closing a socket with unread bytes sends a
  /// RST, which can overtake a last alert. At most 256 KiB are dropped without a pause; a faster
  /// peer is not waited for.
  bool linger = true;
  /// Bytes to write before the end.
  std::string last_words = {};
  /// Aborts the stream after this time. InfiniteDuration: never; the owner has a limit of its own.
  absl::Duration limit = absl::Seconds(5);
};

/// Closes one stream, such as a TlsStream whose handshake failed. All calls come from the loop's
/// thread. Destroying it before the end stops it, and destroys the stream as it is.
class StreamCloser final : private TransportHandler {
 public:
  /// Takes ownership of `stream`, in any state but aborted. `scheduler` must outlive the closer.
  StreamCloser(Scheduler& scheduler, std::unique_ptr<Transport> stream,
               StreamCloserOptions options = {});
  ~StreamCloser();

  /// Starts. Returns true if the stream is closed already; else `done` runs once, from the loop.
  /// Call it once. The closer may be destroyed in `done`; that closes the socket below.
  bool Start(absl::AnyInvocable<void()> done);

 private:
  void OnReadable() override { Advance(); }
  void OnWritable() override { Advance(); }
  void Advance();
  void Finish();
  bool Closed();
  IoState SayLastWords();

  Scheduler& scheduler_;
  const std::unique_ptr<Transport> stream_;
  StreamCloserOptions options_;  // `last_words` has the bytes that are not written yet.
  bool shut_down_ = false;
  absl::AnyInvocable<void()> done_;  // Empty before `Start` and after the end.
  Timer limit_;
};

}  // namespace trestle

#endif  // TRESTLE_IO_STREAM_CLOSER_H_
