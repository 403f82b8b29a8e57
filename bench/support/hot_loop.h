// HotLoop: the smallest Scheduler that a connection runs on: calls, no clock, no real timers. What
// a benchmark measures on it is the library, not a loop.
#ifndef TRESTLE_BENCH_SUPPORT_HOT_LOOP_H_
#define TRESTLE_BENCH_SUPPORT_HOT_LOOP_H_

#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "trestle/io/scheduler.h"

namespace trestle::bench {

class HotLoop final : public Scheduler {
 public:
  /// Time stands still at `now`.
  explicit HotLoop(absl::Time now) : now_(now) {}

  absl::Time Now() const override { return now_; }
  MonotonicTime MonotonicNow() const override {
    return MonotonicTime::FromStart(absl::ZeroDuration());
  }
  /// What is measured has one thread.
  void PostFromAnyThread(absl::AnyInvocable<void()> call) override;

  /// A call without delay is made by the next `RunReady`; any other is never due.
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
