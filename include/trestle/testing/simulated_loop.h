// SimulatedLoop: a Scheduler with virtual time and a seeded order, so that a test of any length
// takes no time, and a failing order can be run again.
#ifndef TRESTLE_TESTING_SIMULATED_LOOP_H_
#define TRESTLE_TESTING_SIMULATED_LOOP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "trestle/io/scheduler.h"

namespace trestle::testing {

/// A loop that its owner turns by hand. Posted calls keep their order, as the contract says; the
/// seed decides the order among timers that are due at one moment, and whether a timer or a posted
/// call goes first where both are due.
class SimulatedLoop final : public Scheduler {
 public:
  /// Starts at 2026-01-01T00:00:00Z.
  explicit SimulatedLoop(uint64_t seed = 1);

  /// Drops all calls that are still due. Timers may outlive the loop.
  ~SimulatedLoop() override;
  SimulatedLoop(const SimulatedLoop&) = delete;
  SimulatedLoop& operator=(const SimulatedLoop&) = delete;

  /// Runs with the monotonic clock, unless `SetClock` moves it.
  absl::Time Now() const override;
  MonotonicTime MonotonicNow() const override;

  /// The simulation has one thread.
  void PostFromAnyThread(absl::AnyInvocable<void()> call) override;

  /// A negative delay counts as zero; an infinite one is never due.
  [[nodiscard]] Timer RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) override;

  /// Sets the system's clock to `now`, forward or back. The monotonic clock and the timers don't
  /// notice.
  void SetClock(absl::Time now);

  /// Makes calls until none is due at the present moment. Time stands still. Returns how many were
  /// made; stops after `max_calls` (a test's guard against endless loops: check the result).
  size_t RunReady(size_t max_calls = 1'000'000);

  /// Makes calls, moving time forward from timer to timer, for `duration`; then it is exactly so
  /// much later, unless `max_calls` stopped it. Returns how many calls were made.
  size_t RunFor(absl::Duration duration, size_t max_calls = 1'000'000);

  /// Moves time forward from timer to timer until nothing is left to do at all. Returns how many
  /// calls were made, at most `max_calls`.
  size_t RunUntilIdle(size_t max_calls = 1'000'000);

  /// A random source that follows the seed, for latencies, chunk sizes and the like.
  std::mt19937_64& random();

 private:
  struct State;

  size_t RunUntil(MonotonicTime end, size_t max_calls);

  std::shared_ptr<State> state_;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTING_SIMULATED_LOOP_H_
