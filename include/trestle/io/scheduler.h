// Scheduler: the interface to an event loop: two clocks, deferred calls, and a pool of buffers. The
// host owns it. linux/epoll_loop.h is one; testing/simulated_loop.h is one with virtual time.
#ifndef TRESTLE_IO_SCHEDULER_H_
#define TRESTLE_IO_SCHEDULER_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "trestle/base/bytes.h"
#include "trestle/base/monotonic_time.h"

namespace trestle {

/// A pending call. Destroying it cancels the call; once the call has begun, it has no effect.
class PendingCall {
 public:
  virtual ~PendingCall() = default;
};
using Timer = std::unique_ptr<PendingCall>;

/// One loop. All functions except `PostFromAnyThread` are called on the loop's thread. A strand of
/// a thread pool counts as a thread: calls must not overlap, and each must see the writes of
/// earlier ones.
///
/// The loop makes all deferred calls of the library. Calls never nest: the loop makes none inside a
/// function of the scheduler, a transport or a dialer.
class Scheduler {
 public:
  virtual ~Scheduler() = default;

  /// Returns the date by the system's clock. It jumps in both directions when the clock is set.
  /// Certificates, tickets and reports use it; durations use `MonotonicNow`. May be the time at
  /// which the current turn of the loop began.
  virtual absl::Time Now() const = 0;

  /// Returns the time of a clock that runs evenly and never goes back, even if `Now` jumps. Idle
  /// times, limits and ages use it. May be the time at which the current turn of the loop began.
  virtual MonotonicTime MonotonicNow() const = 0;

  /// Calls `call` soon, from the loop, never inside this function. The loop makes the calls of one
  /// thread in the order in which that thread posted them. Any thread may use this, the loop's own
  /// included; the loop must outlive the call. The destructor of a loop drops pending calls, on its
  /// own thread.
  virtual void PostFromAnyThread(absl::AnyInvocable<void()> call) = 0;

  /// Calls `call` once, from the loop, no earlier than `delay` from now by the clock of
  /// `MonotonicNow`, unless the timer is destroyed before.
  ///
  /// A delay of zero or less makes the call due as soon as the loop's current call has returned.
  /// The library passes zero and negative delays. An infinite delay is never due: the call only
  /// waits to be destroyed. A loop may make due calls in any order: no order is promised among
  /// timers, or between timers and posted calls, even with equal delays. A call that arms itself
  /// again without delay must not keep other calls or input from their turn.
  ///
  /// Positive delays are time limits, and input that has arrived takes precedence over a limit. A
  /// loop that watches sockets therefore does two things before such a call. It makes the callbacks
  /// for the input that had arrived when the call became due, and the calls without delay that
  /// follow from them.
  ///
  /// The timer may be destroyed inside its own call, and after the scheduler. The destructor of a
  /// scheduler drops pending calls.
  [[nodiscard]] virtual Timer RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) = 0;

  /// The pool of this loop's buffers.
  BufferPool& buffers() { return buffers_; }

 private:
  BufferPool buffers_;
};

}  // namespace trestle

#endif  // TRESTLE_IO_SCHEDULER_H_
