// EpollLoop: the Scheduler that runs on Linux: descriptors, timers and calls on one thread. A
// server has one loop per thread, each with its own listener and blocks.
#ifndef TRESTLE_POSIX_EPOLL_LOOP_H_
#define TRESTLE_POSIX_EPOLL_LOOP_H_

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
#include "trestle/posix/owned_fd.h"
#include "trestle/posix/splice_pipes.h"

namespace trestle {

class TimerHeap;

/// The clocks that a loop reads: those of the system. Tests replace them, to set the date or to
/// let time pass at a certain place of a turn.
class SystemClocks {
 public:
  virtual ~SystemClocks() = default;

  virtual absl::Time Wall() const;          ///< CLOCK_REALTIME.
  virtual MonotonicTime Monotonic() const;  ///< CLOCK_MONOTONIC.

  /// The real ones.
  static const SystemClocks& Get();
};

/// Is told when a descriptor became ready.
class FdWatcher {
 public:
  /// `events` are EPOLLIN, EPOLLOUT and the like (epoll_ctl(2)). Edge-triggered: comes when
  /// something changed, so try until EAGAIN. May be spurious. The watcher may be destroyed, and
  /// any descriptor unwatched, inside.
  virtual void OnFdReady(uint32_t events) = 0;

 protected:
  ~FdWatcher() = default;
};

/// A loop on one thread; calls come from that thread unless a function says otherwise. One turn
/// waits for descriptors and then makes the calls that are due: those of at most 256 descriptors,
/// then posted calls and those without delay, then timers. What such a call posts or arms is for
/// the next turn, so that none of them can starve the others.
///
/// A timer that is due waits for all descriptors that were ready when its time had come, however
/// many they are, and for a bounded number of rounds of the calls that follow from them. So after a
/// pause of any length what peers had sent is read before a limit is judged.
class EpollLoop final : public Scheduler {
 public:
  /// Opens a loop: two descriptors. Fails with ErrorCode::kTransport where the system has no more.
  /// `clocks` must outlive the loop.
  static absl::StatusOr<std::unique_ptr<EpollLoop>> Create(
      const SystemClocks& clocks = SystemClocks::Get());

  /// Drops all calls that are still due. Watchers must be gone by now; timers may outlive the loop.
  ~EpollLoop() override;
  EpollLoop(const EpollLoop&) = delete;
  EpollLoop& operator=(const EpollLoop&) = delete;

  /// Tells CLOCK_REALTIME as of the start of the turn; outside of turns, now.
  absl::Time Now() const override;

  /// Tells CLOCK_MONOTONIC as of the start of the turn; outside of turns, now. It stands still
  /// while the machine is suspended.
  MonotonicTime MonotonicNow() const override;

  /// Costs O(log timers) to arm and to cancel, and no system call. Resolution: 1 ms, rounded up.
  [[nodiscard]] Timer RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) override;

  /// Makes turns until `Stop()`.
  void Run();

  /// Makes one turn that waits at most `max_wait`; for hosts with a loop of their own, and tests.
  /// Must not be called from inside a call of this loop.
  void RunTurn(absl::Duration max_wait);

  /// Ends `Run()` after its current turn, or the next `Run()` at once. From any thread, and from
  /// signal handlers.
  void Stop();

  void PostFromAnyThread(absl::AnyInvocable<void()> call) override
      ABSL_LOCKS_EXCLUDED(foreign_mutex_);

  /// Reports the readiness of `fd` to `watcher`, which must outlive the watch. Watching a watched
  /// descriptor hands it over to the new watcher, without a system call; tell nothing from the
  /// absence of events then, and try. Fails with ErrorCode::kTransport where the system refuses.
  absl::Status Watch(int fd, FdWatcher& watcher);

  /// Ends the reports for `fd`, those of the current turn included. The caller closes `fd` next:
  /// that is what takes it out of the kernel's set, without a further system call.
  void Unwatch(int fd);

  /// The kernel pipes that this loop's transports share.
  SplicePipes& splice_pipes() { return splice_pipes_; }

 private:
  // One for each descriptor number. The generation tells events of a descriptor from those of
  // an earlier one with the same number.
  struct Watched {
    FdWatcher* watcher = nullptr;
    uint32_t generation = 0;
  };

  EpollLoop(const SystemClocks& clocks, OwnedFd epoll, OwnedFd wake_up);

  void ReadClocks() const;
  int WaitMilliseconds(absl::Duration max_wait) const;
  int64_t monotonic_ns() const { return absl::ToInt64Nanoseconds(monotonic_.since_start()); }
  bool DispatchReady(int wait_ms);
  bool MakeCallsWithoutDelay();
  void ReadWhatArrived();
  void Dispatch(int fd, uint32_t generation, uint32_t events);
  void Wake();
  void TakeForeignCalls() ABSL_LOCKS_EXCLUDED(foreign_mutex_);

  const SystemClocks& clocks_;
  const OwnedFd epoll_;
  const OwnedFd wake_up_;
  std::vector<Watched> watched_;  // By descriptor number.
  SplicePipes splice_pipes_;

  bool in_turn_ = false;
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

#endif  // TRESTLE_POSIX_EPOLL_LOOP_H_
