// What lets a handshake wait for an answer of this side's own: a certificate, a signature, a
// verdict. A callback of BoringSSL asks through a PendingAnswer and returns "retry"; the answer
// wakes the engine, which goes on, and the callback is called again and finds the answer.
#ifndef TRESTLE_LIB_TLS_HANDSHAKE_WAIT_H_
#define TRESTLE_LIB_TLS_HANDSHAKE_WAIT_H_

#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "trestle/io/scheduler.h"

namespace trestle {

/// Whether a connection's handshake waits, and whom to tell when it need not any more.
class HandshakeWait {
 public:
  /// Sets who is told that `Handshake` is worth calling again.
  void OnAnswer(absl::AnyInvocable<void()> call) { on_answer_ = std::move(call); }

  /// Keeps what is under way: `question` names it for messages. Dropped when the handshake goes on
  /// or ends, which cancels it where it is not done.
  void Keep(const char* question, std::unique_ptr<PendingCall> call) {
    question_ = question;
    call_ = std::move(call);
  }

  /// Waits until `End`, at the latest until `limit`, if any, has called that.
  void Begin(Timer limit) {
    waiting_ = true;
    limit_ = std::move(limit);
  }
  bool waiting() const { return waiting_; }
  const char* question() const { return question_; }

  /// Cancels what is still under way.
  void Drop() {
    waiting_ = false;
    limit_.reset();
    call_.reset();
  }

  /// The way back for answers, which hold it weakly: those that come when the connection is gone
  /// are dropped.
  std::weak_ptr<HandshakeWait*> handle() {
    if (handle_ == nullptr) handle_ = std::make_shared<HandshakeWait*>(this);
    return handle_;
  }

  void End() {
    if (!std::exchange(waiting_, false)) return;
    if (on_answer_) on_answer_();
  }

 private:
  bool waiting_ = false;
  const char* question_ = "";
  std::unique_ptr<PendingCall> call_;
  Timer limit_;
  absl::AnyInvocable<void()> on_answer_;
  std::shared_ptr<HandshakeWait*> handle_;  // Most connections never need one.
};

/// One question of one handshake. All on the loop's thread.
template <typename T>
class PendingAnswer {
 public:
  bool asked() const { return shared_ != nullptr; }
  bool answered() const { return asked() && shared_->has_value(); }

  /// Makes the call that answers. Made at once, while the callback is on the stack, it wakes
  /// nobody: look at `answered()` before returning "retry". It may be made later, or never; again,
  /// or when this object is gone, it does nothing.
  absl::AnyInvocable<void(T)> Ask(HandshakeWait& wait) {
    shared_ = std::make_shared<std::optional<T>>();
    return [weak = std::weak_ptr<std::optional<T>>(shared_), handle = wait.handle()](T answer) {
      const std::shared_ptr<std::optional<T>> shared = weak.lock();
      if (shared == nullptr || shared->has_value()) return;
      shared->emplace(std::move(answer));
      if (const std::shared_ptr<HandshakeWait*> waiting = handle.lock()) (*waiting)->End();
    };
  }

  /// The answer; `answered()` must be true.
  T& answer() { return **shared_; }

 private:
  std::shared_ptr<std::optional<T>> shared_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_HANDSHAKE_WAIT_H_
