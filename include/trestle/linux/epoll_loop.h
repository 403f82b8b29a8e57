// EpollLoop: the Scheduler and FdLoop for Linux, which runs descriptors, timers and calls on one
// thread. A server has one loop per thread, each with its own listener and blocks. For example:
//
//     auto loop = EpollLoop::Create();
//     if (!loop.ok()) return loop.status();
//     Timer timer = (*loop)->RunAfter(absl::Seconds(1), [&] { (*loop)->Stop(); });
//     (*loop)->Run();
//
// A host with a loop of its own nests this one: see `EpollLoop::fd`.
#ifndef TRESTLE_LINUX_EPOLL_LOOP_H_
#define TRESTLE_LINUX_EPOLL_LOOP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "trestle/io/scheduler.h"
#include "trestle/linux/fd_loop.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {

class TimerHeap;

/// The clocks of a loop: the system's. Tests replace them, to set the date or to advance time at a
/// certain point of a turn.
class SystemClocks {
 public:
  virtual ~SystemClocks() = default;

  virtual absl::Time Wall() const;          ///< CLOCK_REALTIME.
  virtual MonotonicTime Monotonic() const;  ///< CLOCK_MONOTONIC.

  /// Returns the system's clocks.
  static const SystemClocks& Get();
};

/// A loop on one thread. Unless a function says otherwise, call it from that thread. One turn waits
/// for descriptors and then makes the calls that are due. First come those of at most 256
/// descriptors, then posted calls and those without delay, then timers. Calls posted or timers
/// armed meanwhile wait for the next turn, so none can starve the others.
///
/// A timer that is due waits until all descriptors that were ready at its time were reported. The
/// calls that result from it run first too, for a bounded number of rounds. So after a pause of any
/// length, the bytes from peers are read before a time limit is applied.
class EpollLoop final : public FdLoop {
 public:
  /// Creates a loop, which uses two descriptors. Fails with ErrorCode::kTransport if the system has
  /// none left. `clocks` must outlive the loop.
  static absl::StatusOr<std::unique_ptr<EpollLoop>> Create(
      const SystemClocks& clocks = SystemClocks::Get());

  /// Drops all pending calls. All descriptors must be unwatched; timers may outlive the loop.
  ~EpollLoop() override;
  EpollLoop(const EpollLoop&) = delete;
  EpollLoop& operator=(const EpollLoop&) = delete;

  /// Returns CLOCK_REALTIME at the start of the turn; outside of turns, the current time.
  absl::Time Now() const override;

  /// Returns CLOCK_MONOTONIC at the start of the turn; outside of turns, the current time. It stops
  /// while the machine is suspended.
  MonotonicTime MonotonicNow() const override;

  /// Arming and cancelling take O(log timers) and no system call. Resolution: 1 ms, rounded up.
  [[nodiscard]] Timer RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) override;

  /// Runs turns until `Stop()`.
  void Run();

  /// Runs one turn, which waits for at most `max_wait`. For tests, and for hosts with their own
  /// loop. Must not be called from a call of this loop.
  void RunTurn(absl::Duration max_wait);

  /// Returns a descriptor for nesting this loop in the host's. It is readable when a turn has work.
  /// The host calls `RunTurn(absl::ZeroDuration())` when it is readable, and when the
  /// `NextTurnIn()` after the last turn has passed. It needs nothing else: between turns, every
  /// post makes the descriptor readable, and so does every timer that is due before the others.
  /// From the first call on, such a timer may cost one system call between two turns. Do not read,
  /// write or close it.
  int fd() {
    nested_ = true;
    return epoll_.get();
  }

  /// Returns the time until the next call is due, at least zero, rounded up to milliseconds.
  /// Infinite if only descriptors and other threads can cause one. Valid until the next turn, for a
  /// host that waits for `fd()` too.
  absl::Duration NextTurnIn() const;

  /// Ends `Run()` after its current turn, or the next `Run()` at once. Callable from any thread and
  /// from signal handlers.
  void Stop();

  void PostFromAnyThread(absl::AnyInvocable<void()> call) override
      ABSL_LOCKS_EXCLUDED(foreign_mutex_);

  /// Reports edges. A second call for a descriptor makes no system call.
  absl::Status Watch(int fd, FdWatcher& watcher) override;

  /// Reports edges, about writing only from the first `Await` of EPOLLOUT on.
  absl::Status WatchForInput(int fd, FdWatcher& watcher) override;

  /// Makes a system call only for the first EPOLLOUT after `WatchForInput`.
  void Await(int fd, uint32_t events) override;

  /// Closing the descriptor removes it from the kernel's set without a further system call.
  void Unwatch(int fd) override;

 private:
  // One for each descriptor number. The generation distinguishes a descriptor's events from those
  // of an earlier one with the same number.
  struct Watched {
    FdWatcher* watcher = nullptr;
    uint32_t generation = 0;
    bool for_input = false;  // Nothing about writing is reported yet.
  };

  EpollLoop(const SystemClocks& clocks, OwnedFd epoll, OwnedFd wake_up);

  void ReadClocks() const;
  absl::Duration TimeToNextCall() const;
  absl::Status Watch(int fd, FdWatcher& watcher, uint32_t events);
  int64_t monotonic_ns() const { return absl::ToInt64Nanoseconds(monotonic_.since_start()); }
  bool DispatchReady(int wait_ms);
  bool MakeCallsWithoutDelay();
  void ReadWhatArrived();
  void Dispatch(int fd, uint32_t generation, uint32_t events);
  void Wake();
  void WakeHost();
  void TakeForeignCalls() ABSL_LOCKS_EXCLUDED(foreign_mutex_);

  const SystemClocks& clocks_;
  const OwnedFd epoll_;
  const OwnedFd wake_up_;
  std::vector<Watched> watched_;  // By descriptor number.

  bool in_turn_ = false;
  bool nested_ = false;
  bool host_awake_ = false;  // Since the last turn, `fd()` was made readable.
  mutable MonotonicTime monotonic_;
  mutable absl::Time wall_;
  const std::unique_ptr<TimerHeap> timers_;
  const std::unique_ptr<TimerHeap> without_delay_;  // All due at once.

  std::vector<absl::AnyInvocable<void()>> posted_;
  std::vector<absl::AnyInvocable<void()>> running_;

  std::atomic<bool> stop_{false};
  absl::Mutex foreign_mutex_;
  std::vector<absl::AnyInvocable<void()>> foreign_calls_ ABSL_GUARDED_BY(foreign_mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_LINUX_EPOLL_LOOP_H_
