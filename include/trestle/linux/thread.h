// Thread: a thread that receives no signals, and reports a failed start as a status.
#ifndef TRESTLE_LINUX_THREAD_H_
#define TRESTLE_LINUX_THREAD_H_

#include <pthread.h>

#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"

namespace trestle {

/// One thread, joined by its owner. Movable. Blocks all signals.
class Thread final {
 public:
  /// Creates no thread.
  Thread() = default;

  /// Runs `main` on a new thread. Fails with ErrorCode::kTransport if the system has no more
  /// threads, or no memory for a stack.
  static absl::StatusOr<Thread> Start(absl::AnyInvocable<void()> main);

  /// Calls `Join`.
  ~Thread() { Join(); }
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;

  /// Waits for the end of `main`; returns at once if there is no thread. Must not be called from
  /// the thread itself.
  void Join();

  /// Gives up ownership; the thread continues. Everything that `main` uses must outlive it.
  void Detach();

 private:
  std::optional<pthread_t> thread_;
};

}  // namespace trestle

#endif  // TRESTLE_LINUX_THREAD_H_
