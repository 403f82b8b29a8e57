// Scheduler: the loop as the library sees it: two clocks, later calls, and memory to borrow. The
// host owns it; posix/epoll_loop.h is one, testing/simulated_loop.h another with virtual time.
#ifndef TRESTLE_IO_SCHEDULER_H_
#define TRESTLE_IO_SCHEDULER_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "trestle/base/bytes.h"
#include "trestle/base/monotonic_time.h"

namespace trestle {

/// A call that is due later. Destroying it cancels the call; after the call it is inert.
class PendingCall {
 public:
  virtual ~PendingCall() = default;
};
using Timer = std::unique_ptr<PendingCall>;

/// One loop. Calls to it come from its thread, except for `PostFromAnyThread`. A strand of a thread
/// pool is as good as a thread: calls must not overlap, and each must see what earlier ones wrote.
///
/// Everything that the library does later is a call of the loop. Calls never nest: none is made
/// inside a function of the scheduler, a transport or a dialer.
class Scheduler {
 public:
  virtual ~Scheduler() = default;

  /// Tells the date by the system's clock as it is set now. It jumps in both directions when the
  /// clock is set. Certificates, tickets and reports are dated with it; durations use
  /// `MonotonicNow`. May be as old as the current turn of the loop.
  virtual absl::Time Now() const = 0;

  /// Tells the moment by a clock that runs evenly and never goes back, whatever `Now` does. Idle
  /// times, limits and ages are measured with it. May be as old as the current turn of the loop.
  virtual MonotonicTime MonotonicNow() const = 0;

  /// Calls `call` soon, from the loop. Calls of one thread are made in the order in which they were
  /// posted. May be used by any thread, the loop's own included, while the loop is alive for the
  /// whole of the call. A loop that is destroyed drops calls that are still due, on its own thread.
  virtual void PostFromAnyThread(absl::AnyInvocable<void()> call) = 0;

  /// Calls `call` once, from the loop, no earlier than `delay` from now by the clock of
  /// `MonotonicNow`, unless the timer is destroyed before. A delay of zero or less is due as soon
  /// as the loop's current call has returned; the library uses both. An infinite delay is never
  /// due. No order is promised among calls that are due, nor between them and posted calls.
  ///
  /// Positive delays are limits, and a limit must not beat input that is there. Before a loop that
  /// watches sockets makes such a call, it makes the callbacks for what had arrived when the call
  /// became due, and the calls without delay that follow from them.
  ///
  /// The timer may be destroyed inside its own call, and after the scheduler is gone. A scheduler
  /// that is destroyed drops the calls that are still due.
  [[nodiscard]] virtual Timer RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) = 0;

  /// The blocks that this loop's buffers are made of.
  BufferPool& buffers() { return buffers_; }

 private:
  BufferPool buffers_;
};

}  // namespace trestle

#endif  // TRESTLE_IO_SCHEDULER_H_
