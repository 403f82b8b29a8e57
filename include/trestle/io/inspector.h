// Inspector: reads the clear text that a relay carries, and decides whether to pass it on.
#ifndef TRESTLE_IO_INSPECTOR_H_
#define TRESTLE_IO_INSPECTOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "trestle/base/bytes.h"
#include "trestle/base/leg.h"

namespace trestle {

/// The direction of bytes through a relay.
enum class Direction : uint8_t { kToBackend, kToClient };

/// Returns the leg that bytes of `direction` come from.
constexpr Leg SourceOf(Direction direction) {
  return direction == Direction::kToBackend ? Leg::kFront : Leg::kBack;
}

/// A decision about the pending bytes, made by one of the five functions below.
class Verdict {
 public:
  /// What happens to the pending bytes.
  enum class Action : uint8_t { kForward, kReplace, kHold, kWait, kBlock };

  /// Passes on the first `bytes` of the pending bytes unchanged. A number above the size of the
  /// pending bytes means all of them. While bytes are pending, `Forward(0)` counts as `Hold()`.
  static Verdict Forward(size_t bytes) { return Verdict(Action::kForward, bytes, {}, {}); }

  /// Removes the first `bytes` pending bytes and sends `replacement` in their place. With 0 bytes
  /// it only inserts. This inspector does not see the replacement again; later ones of a chain do.
  /// 0 bytes with an empty replacement count as `Hold()`.
  static Verdict Replace(size_t bytes, std::string replacement) {
    return Verdict(Action::kReplace, bytes, std::move(replacement), {});
  }

  /// Keeps the pending bytes until more arrive. If no more can arrive (the buffer is full, or the
  /// stream ended) and bytes are pending, the relay blocks the connection.
  static Verdict Hold() { return Verdict(Action::kHold, 0, {}, {}); }

  /// Keeps the pending bytes until the inspector has decided about bytes, or the end, of the other
  /// direction. With it, a request can wait until the answers before it were sent. Meanwhile
  /// neither a full buffer nor the end of the stream blocks the connection. If the other direction
  /// has ended already, the relay blocks the connection.
  static Verdict Wait() { return Verdict(Action::kWait, 0, {}, {}); }

  /// Ends the connection. The observer gets `reason` (ErrorCode::kBlockedByInspector). The client
  /// gets `last_words`, if any, before its leg is closed cleanly.
  static Verdict Block(std::string reason, std::string last_words = {}) {
    return Verdict(Action::kBlock, 0, std::move(last_words), std::move(reason));
  }

  /// Adds to Forward or Replace: the relay calls `Inspect` again once it has carried out this
  /// verdict, even if no byte is pending then.
  Verdict AndAskAgain() && {
    asks_again_ = true;
    return std::move(*this);
  }

  Action action() const { return action_; }
  size_t bytes() const { return bytes_; }
  const std::string& text() const { return text_; }
  const std::string& reason() const { return reason_; }
  bool asks_again() const { return asks_again_; }

 private:
  Verdict(Action action, size_t bytes, std::string text, std::string reason)
      : action_(action), bytes_(bytes), text_(std::move(text)), reason_(std::move(reason)) {}

  Action action_;
  size_t bytes_;
  std::string text_;
  std::string reason_;
  bool asks_again_ = false;
};

/// Inspects one connection's clear text. One inspector serves one connection, both directions, on
/// the loop's thread. Pending bytes stay in the relay's buffer (`RelayOptions::buffer_bytes`), so
/// holding them slows the sender down, as a slow receiver does.
///
/// An inspector that passes on whole lines only:
///
///   class WholeLines final : public Inspector {
///     Verdict Inspect(Direction, ByteView pending, bool end_of_stream) override {
///       const size_t newline = AsText(pending).rfind('\n');
///       if (newline != absl::string_view::npos) return Verdict::Forward(newline + 1);
///       if (end_of_stream && !pending.empty()) return Verdict::Block("an incomplete line");
///       return Verdict::Hold();  // At an end without pending bytes: passes the end on.
///     }
///   };
class Inspector {
 public:
  virtual ~Inspector() = default;

  /// Decides about `pending`: all bytes of `direction` that were read and not passed on yet. The
  /// view is valid during the call. The relay calls again:
  ///  - for the bytes that a verdict leaves;
  ///  - after Hold, once more bytes or the end arrived;
  ///  - after Wait, once bytes or the end of the other direction were decided; more bytes may be
  ///    pending then.
  ///
  /// `end_of_stream` means that the sender ended cleanly and no byte follows. If `pending` is empty
  /// then, Hold and Forward pass the end on.
  ///
  /// Must not throw, must not block the thread, and must not destroy the relay or its transports.
  virtual Verdict Inspect(Direction direction, ByteView pending, bool end_of_stream) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_IO_INSPECTOR_H_
