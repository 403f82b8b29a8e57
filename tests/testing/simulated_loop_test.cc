#include "trestle/testing/simulated_loop.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace trestle::testing {
namespace {

TEST(SimulatedLoopTest, StartsAtTheDocumentedTime) {
  SimulatedLoop loop;
  EXPECT_EQ(absl::FormatTime(loop.Now(), absl::UTCTimeZone()), "2026-01-01T00:00:00+00:00");
}

TEST(SimulatedLoopTest, PostedCallsRunInOrderAndNeverInside) {
  SimulatedLoop loop(7);
  std::vector<int> order;
  loop.PostFromAnyThread([&] {
    order.push_back(1);
    loop.PostFromAnyThread([&] { order.push_back(3); });
    order.push_back(2);
  });
  EXPECT_TRUE(order.empty());
  EXPECT_EQ(loop.RunReady(), 2u);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(SimulatedLoopTest, TimersRunInOrderAndAdvanceTheClock) {
  SimulatedLoop loop;
  const absl::Time start = loop.Now();
  std::vector<absl::Duration> seen;
  const auto note = [&] { seen.push_back(loop.Now() - start); };
  Timer late = loop.RunAfter(absl::Seconds(5), note);
  Timer early = loop.RunAfter(absl::Seconds(1), note);
  EXPECT_EQ(loop.RunReady(), 0u);
  EXPECT_EQ(loop.RunFor(absl::Seconds(4)), 1u);
  EXPECT_EQ(loop.Now() - start, absl::Seconds(4));
  EXPECT_EQ(loop.RunUntilIdle(), 1u);
  EXPECT_EQ(loop.Now() - start, absl::Seconds(5));
  EXPECT_EQ(seen, (std::vector<absl::Duration>{absl::Seconds(1), absl::Seconds(5)}));
}

std::vector<int> OrderOfEqualTimers(uint64_t seed) {
  SimulatedLoop loop(seed);
  std::vector<int> order;
  std::vector<Timer> timers;
  for (int i = 0; i < 5; ++i) {
    timers.push_back(loop.RunAfter(absl::Seconds(1), [&order, i] { order.push_back(i); }));
  }
  loop.RunUntilIdle();
  return order;
}

TEST(SimulatedLoopTest, SeedDecidesTheOrderOfEqualTimers) {
  std::set<std::vector<int>> orders;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const std::vector<int> order = OrderOfEqualTimers(seed);
    EXPECT_EQ(order, OrderOfEqualTimers(seed));
    EXPECT_EQ(std::set<int>(order.begin(), order.end()).size(), 5u);
    orders.insert(order);
  }
  EXPECT_GT(orders.size(), 10u);
}

TEST(SimulatedLoopTest, DestroyingATimerCancelsIt) {
  SimulatedLoop loop;
  bool called = false;
  Timer timer = loop.RunAfter(absl::Seconds(1), [&] { called = true; });
  timer.reset();
  EXPECT_EQ(loop.RunUntilIdle(), 0u);
  EXPECT_FALSE(called);
}

TEST(SimulatedLoopTest, TimerMayBeDestroyedInsideItsOwnCall) {
  SimulatedLoop loop;
  Timer timer;
  int calls = 0;
  // The captured string would be read after its destruction if the timer destroyed its running
  // call.
  timer = loop.RunAfter(absl::Seconds(1), [&, text = std::string(100, 'x')] {
    timer.reset();
    calls += static_cast<int>(text.size()) / 100;
  });
  loop.RunUntilIdle();
  EXPECT_EQ(calls, 1);
}

TEST(SimulatedLoopTest, CallThatOwnsATimerMayBeCancelled) {
  SimulatedLoop loop;
  Timer inner = loop.RunAfter(absl::Seconds(1), [] { FAIL(); });
  Timer outer = loop.RunAfter(absl::Seconds(1), [inner = std::move(inner)] { FAIL(); });
  outer.reset();
  EXPECT_EQ(loop.RunUntilIdle(), 0u);
}

TEST(SimulatedLoopTest, TimersOutliveTheLoop) {
  Timer timer;
  auto loop = std::make_unique<SimulatedLoop>();
  timer = loop->RunAfter(absl::Seconds(1), [] { FAIL(); });
  Timer inner = loop->RunAfter(absl::Seconds(1), [] { FAIL(); });
  loop->PostFromAnyThread([inner = std::move(inner)] { FAIL(); });
  loop.reset();
  timer.reset();
}

TEST(SimulatedLoopTest, EndlessWorkStopsAtTheLimit) {
  SimulatedLoop loop;
  struct Again {
    SimulatedLoop& loop;
    void operator()() const { loop.PostFromAnyThread(Again{loop}); }
  };
  loop.PostFromAnyThread(Again{loop});
  EXPECT_EQ(loop.RunReady(100), 100u);
  const absl::Time before = loop.Now();
  EXPECT_EQ(loop.RunFor(absl::Seconds(1), 100), 100u);
  EXPECT_EQ(loop.Now(), before);
}

TEST(SimulatedLoopTest, InfiniteDelayIsNeverDue) {
  SimulatedLoop loop;
  Timer timer = loop.RunAfter(absl::InfiniteDuration(), [] { FAIL(); });
  Timer past = loop.RunAfter(-absl::Seconds(1), [] {});
  EXPECT_EQ(loop.RunUntilIdle(), 1u);
  EXPECT_LT(loop.Now(), absl::InfiniteFuture());
}

}  // namespace
}  // namespace trestle::testing
