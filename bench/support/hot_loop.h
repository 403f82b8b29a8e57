// HotLoop: a minimal Scheduler for connections: calls, but no clock and no real timers. So
// benchmarks measure the library, not a loop.
#ifndef TRESTLE_BENCH_SUPPORT_HOT_LOOP_H_
#define TRESTLE_BENCH_SUPPORT_HOT_LOOP_H_

#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "trestle/io/scheduler.h"

namespace trestle::bench {

class HotLoop final : public Scheduler {
 public:
  /// The time is always `now`.
  explicit HotLoop(absl::Time now) : now_(now) {}

  absl::Time Now() const override { return now_; }
  MonotonicTime MonotonicNow() const override {
    return MonotonicTime::FromStart(absl::ZeroDuration());
  }
  /// Not thread-safe: benchmarks of this loop use one thread.
  void PostFromAnyThread(absl::AnyInvocable<void()> call) override;

  /// The next `RunReady` makes a call without delay. Any other call is never due.
  [[nodiscard]] Timer RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) override;

  /// Makes calls until none is due.
  void RunReady();

 private:
  class PendingTimer;
  struct Due {
    absl::AnyInvocable<void()> call;
    PendingTimer* timer = nullptr;
  };

  void Forget(const PendingTimer* timer);

  const absl::Time now_;
  std::vector<Due> due_;
  std::vector<Due> running_;
};

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_SUPPORT_HOT_LOOP_H_
