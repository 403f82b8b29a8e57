// Scheduler: the loop as the library sees it: time, later calls, and memory to borrow. The host
// owns it; posix/epoll_loop.h is one, testing/simulated_loop.h another with virtual time.
#ifndef TRESTLE_IO_SCHEDULER_H_
#define TRESTLE_IO_SCHEDULER_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "trestle/base/bytes.h"

namespace trestle {

/// A call that is due later. Destroying it cancels the call; after the call it is inert.
class PendingCall {
 public:
  virtual ~PendingCall() = default;
};
using Timer = std::unique_ptr<PendingCall>;

/// One loop on one thread. All calls come from that thread, but for `PostFromAnyThread`.
class Scheduler {
 public:
  virtual ~Scheduler() = default;

  /// Tells the time: wall-clock, so that certificates can be judged by it, and never backwards.
  /// May be as old as the current turn of the loop.
  virtual absl::Time Now() const = 0;

  /// Calls `call` soon, from the loop and after everything that is on the stack has returned.
  /// Calls are made in the order in which they were posted.
  virtual void Post(absl::AnyInvocable<void()> call) = 0;

  /// `Post` from any thread: how what is done elsewhere comes back to the loop, which must be alive
  /// for the whole of the call.
  virtual void PostFromAnyThread(absl::AnyInvocable<void()> call) = 0;

  /// Calls `call` once, no earlier than `delay` from now, unless the timer is destroyed before.
  /// The timer may be destroyed inside its own call, and after the scheduler is gone.
  [[nodiscard]] virtual Timer RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) = 0;

  /// The blocks that this loop's buffers are made of.
  BufferPool& buffers() { return buffers_; }

 private:
  BufferPool buffers_;
};

}  // namespace trestle

#endif  // TRESTLE_IO_SCHEDULER_H_
