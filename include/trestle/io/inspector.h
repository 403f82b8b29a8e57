// Inspector: sees the clear text that a relay carries, and decides what becomes of it.
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

/// Which way bytes flow through a relay.
enum class Direction : uint8_t { kToBackend, kToClient };

/// The leg that bytes of `direction` come from.
constexpr Leg SourceOf(Direction direction) {
  return direction == Direction::kToBackend ? Leg::kFront : Leg::kBack;
}

/// What becomes of the pending bytes. Made by one of the four functions.
class Verdict {
 public:
  enum class Action : uint8_t { kForward, kReplace, kHold, kWait, kBlock };

  /// Passes on the first `bytes` of the pending bytes as they are (at least 1, at most all).
  static Verdict Forward(size_t bytes) { return Verdict(Action::kForward, bytes, {}, {}); }

  /// Takes the first `bytes` pending bytes out (0 inserts) and sends `replacement` instead. The
  /// replacement is not inspected again. Not both may be empty.
  static Verdict Replace(size_t bytes, std::string replacement) {
    return Verdict(Action::kReplace, bytes, std::move(replacement), {});
  }

  /// Waits for more. Where no more can come (the buffer is full, or the stream ended), undecided
  /// bytes are not let through: the connection is blocked.
  static Verdict Hold() { return Verdict(Action::kHold, 0, {}, {}); }

  /// Leaves the pending bytes until bytes or the end of the other direction were judged: a request
  /// until the answers before it went out. Nothing is blocked by a full buffer or the end of the
  /// stream meanwhile; where the other direction has ended already, the connection is blocked.
  static Verdict Wait() { return Verdict(Action::kWait, 0, {}, {}); }

  /// Ends the connection. `reason` reaches the observer (ErrorCode::kBlockedByInspector);
  /// `last_words`, if any, are sent to the client before its leg is closed cleanly.
  static Verdict Block(std::string reason, std::string last_words = {}) {
    return Verdict(Action::kBlock, 0, std::move(last_words), std::move(reason));
  }

  /// For Forward and Replace: there is more to be said. The inspector is asked again once this is
  /// done, even if nothing is pending then.
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

/// Looks at one connection's clear text. One inspector serves one connection, both directions, on
/// the loop's thread. Must not throw. Holding back is bounded: pending bytes stay in the relay's
/// buffer, so that a held stream slows its sender down like a slow receiver would.
class Inspector {
 public:
  virtual ~Inspector() = default;

  /// Judges `pending`, all bytes of `direction` that were read and not passed on yet. Called again
  /// for what a verdict leaves over, after Hold once more bytes came, and after Wait once the other
  /// direction went on; then there may be more of them. `end_of_stream`: the sender ended cleanly
  /// and nothing follows; `pending` may be empty then.
  virtual Verdict Inspect(Direction direction, ByteView pending, bool end_of_stream) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_IO_INSPECTOR_H_
