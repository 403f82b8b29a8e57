// Thread: a thread that takes no signals, and whose failure to start is a status.
#ifndef TRESTLE_POSIX_THREAD_H_
#define TRESTLE_POSIX_THREAD_H_

#include <pthread.h>

#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"

namespace trestle {

/// One thread, joined by its owner. Movable. All signals are blocked in it.
class Thread final {
 public:
  /// Stands for no thread.
  Thread() = default;

  /// Runs `main` on a new thread. Fails with ErrorCode::kTransport where the system has no more
  /// threads, or no memory for a stack.
  static absl::StatusOr<Thread> Start(absl::AnyInvocable<void()> main);

  /// As `Join`.
  ~Thread() { Join(); }
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;

  /// Waits for the end of `main`; returns at once where there is no thread. Not from the thread
  /// itself.
  void Join();

  /// Lets the thread go on without an owner. What `main` uses must then outlive it.
  void Detach();

 private:
  std::optional<pthread_t> thread_;
};

}  // namespace trestle

#endif  // TRESTLE_POSIX_THREAD_H_
