// SimulatedLoop: a Scheduler with virtual time and a seeded order of calls. Tests do not wait, and
// a failing order can be repeated.
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

/// A loop that the test runs step by step. Posted calls keep their order, as the contract says. The
/// seed decides the order of timers that are due at the same time, and the order of a due timer and
/// a posted call.
///
///   SimulatedLoop loop;
///   Timer timer = loop.RunAfter(absl::Seconds(30), [&] { fired = true; });
///   loop.RunFor(absl::Seconds(30));  // Returns at once; `fired` is true.
class SimulatedLoop final : public Scheduler {
 public:
  /// Starts at 2026-01-01T00:00:00Z.
  explicit SimulatedLoop(uint64_t seed = 1);

  /// Drops all pending calls. Timers may outlive the loop.
  ~SimulatedLoop() override;
  SimulatedLoop(const SimulatedLoop&) = delete;
  SimulatedLoop& operator=(const SimulatedLoop&) = delete;

  /// Advances with the monotonic clock, and jumps when `SetClock` sets it.
  absl::Time Now() const override;
  MonotonicTime MonotonicNow() const override;

  /// Not thread-safe, unlike other loops: the simulation has one thread.
  void PostFromAnyThread(absl::AnyInvocable<void()> call) override;

  /// A negative delay counts as zero; an infinite one is never due.
  [[nodiscard]] Timer RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) override;

  /// Sets the system's clock to `now`, forward or back. Does not change the monotonic clock and the
  /// timers.
  void SetClock(absl::Time now);

  /// Makes calls until none is due now. Time does not advance. Returns the number of calls. Stops
  /// after `max_calls`, which guards against endless loops: check the result.
  size_t RunReady(size_t max_calls = 1'000'000);

  /// Makes calls for `duration`, advancing time from timer to timer. Time then has advanced by
  /// exactly `duration`, unless `max_calls` stopped it. Returns the number of calls.
  size_t RunFor(absl::Duration duration, size_t max_calls = 1'000'000);

  /// Advances time from timer to timer until no call is pending, except with an infinite delay.
  /// Returns the number of calls, at most `max_calls`.
  size_t RunUntilIdle(size_t max_calls = 1'000'000);

  /// Returns a random source that depends on the seed only, for latencies, chunk sizes and so on.
  std::mt19937_64& random();

 private:
  struct State;

  size_t RunUntil(MonotonicTime end, size_t max_calls);

  std::shared_ptr<State> state_;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTING_SIMULATED_LOOP_H_
