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
/// then timers, then posted calls. What a timer arms and what a posted call posts is for the next
/// turn, so that none of the three can starve the others.
class EpollLoop final : public Scheduler {
 public:
  /// Opens a loop: two descriptors. Fails with ErrorCode::kTransport where the system has no more.
  static absl::StatusOr<std::unique_ptr<EpollLoop>> Create();

  /// Drops all calls that are still due. Watchers must be gone by now; timers may outlive the loop.
  ~EpollLoop() override;
  EpollLoop(const EpollLoop&) = delete;
  EpollLoop& operator=(const EpollLoop&) = delete;

  /// Tells the wall-clock time as of the start of the turn; outside of turns, the time now. When
  /// the system's clock is set forward, so is this one; when it is set back, this one runs on as if
  /// it had not been, until the system's clock has caught up. Timers don't depend on either.
  absl::Time Now() const override;
  void Post(absl::AnyInvocable<void()> call) override;

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

  EpollLoop(OwnedFd epoll, OwnedFd wake_up);

  void ReadClocks() const;
  int WaitMilliseconds(absl::Duration max_wait) const;
  void Dispatch(int fd, uint32_t generation, uint32_t events);
  void Wake();
  void TakeForeignCalls() ABSL_LOCKS_EXCLUDED(foreign_mutex_);
  void MakePostedCalls();

  const OwnedFd epoll_;
  const OwnedFd wake_up_;
  std::vector<Watched> watched_;  // By descriptor number.
  SplicePipes splice_pipes_;

  bool in_turn_ = false;
  mutable int64_t monotonic_ns_ = 0;
  mutable int64_t wall_ns_ = 0;
  const std::unique_ptr<TimerHeap> timers_;

  std::vector<absl::AnyInvocable<void()>> posted_;
  std::vector<absl::AnyInvocable<void()>> running_;

  std::atomic<bool> stop_{false};
  absl::Mutex foreign_mutex_;
  std::vector<absl::AnyInvocable<void()>> foreign_calls_ ABSL_GUARDED_BY(foreign_mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_POSIX_EPOLL_LOOP_H_
