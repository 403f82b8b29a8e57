// Lets a handshake wait for a local answer: a certificate, a signature, a verdict. A BoringSSL
// callback makes the request through a PendingAnswer and returns "retry". The answer wakes the
// engine; BoringSSL calls the callback again, which finds the answer.
#ifndef TRESTLE_LIB_TLS_ENGINE_HANDSHAKE_WAIT_H_
#define TRESTLE_LIB_TLS_ENGINE_HANDSHAKE_WAIT_H_

#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "trestle/io/scheduler.h"

namespace trestle {

/// The waiting state of a connection's handshake, and the function to call when the wait ends.
class HandshakeWait {
 public:
  /// Sets the function that runs when `Handshake` is worth calling again.
  void SetAnswerCallback(absl::AnyInvocable<void()> call) { on_answer_ = std::move(call); }

  /// Keeps the pending `call`; `question` names it in messages. It is destroyed, and so cancelled,
  /// when the handshake continues or ends.
  void Keep(const char* question, std::unique_ptr<PendingCall> call) {
    question_ = question;
    call_ = std::move(call);
  }

  /// Waits until `End`. The timer `limit`, if any, calls that at the latest.
  void Begin(Timer limit) {
    waiting_ = true;
    limit_ = std::move(limit);
  }
  bool waiting() const { return waiting_; }
  const char* question() const { return question_; }

  /// Cancels the pending call.
  void Drop() {
    waiting_ = false;
    limit_.reset();
    call_.reset();
  }

  /// Returns a weak handle for answers: those that arrive after the connection's end are dropped.
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
  std::shared_ptr<HandshakeWait*> handle_;  // Made on first use.
};

/// One request of one handshake. All calls come from the loop's thread.
template <typename T>
class PendingAnswer {
 public:
  bool asked() const { return shared_ != nullptr; }
  bool answered() const { return asked() && shared_->has_value(); }

  /// Returns the function that takes the answer. If it runs at once, inside the BoringSSL callback,
  /// it wakes nothing: check `answered()` before you return "retry". It may run later or never. A
  /// second call, or one after this object's end, has no effect.
  absl::AnyInvocable<void(T)> Ask(HandshakeWait& wait) {
    shared_ = std::make_shared<std::optional<T>>();
    return [weak = std::weak_ptr<std::optional<T>>(shared_), handle = wait.handle()](T answer) {
      const std::shared_ptr<std::optional<T>> shared = weak.lock();
      if (shared == nullptr || shared->has_value()) return;
      shared->emplace(std::move(answer));
      if (const std::shared_ptr<HandshakeWait*> waiting = handle.lock()) (*waiting)->End();
    };
  }

  /// Returns the answer; requires `answered()`.
  T& answer() { return **shared_; }

 private:
  std::shared_ptr<std::optional<T>> shared_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ENGINE_HANDSHAKE_WAIT_H_
