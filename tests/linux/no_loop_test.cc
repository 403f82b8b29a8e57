#include "trestle/linux/no_loop.h"

#include <memory>
#include <thread>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace trestle {
namespace {

TEST(NoLoopTest, MakesNoCallBeforeItIsToldTo) {
  NoLoop loop;
  int calls = 0;
  loop.PostFromAnyThread([&] { ++calls; });
  const Timer timer = loop.RunAfter(absl::ZeroDuration(), [&] { ++calls; });
  const Timer later = loop.RunAfter(absl::Hours(1), [&] { ++calls; });
  EXPECT_EQ(calls, 0);
  EXPECT_TRUE(loop.MakeCalls(absl::ZeroDuration()));
  EXPECT_EQ(calls, 2);
  EXPECT_FALSE(loop.MakeCalls(absl::ZeroDuration()));
}

TEST(NoLoopTest, CallsThatCallsAddWait) {
  NoLoop loop;
  int calls = 0;
  loop.PostFromAnyThread([&] { loop.PostFromAnyThread([&] { ++calls; }); });
  EXPECT_TRUE(loop.MakeCalls(absl::ZeroDuration()));
  EXPECT_EQ(calls, 0);
  EXPECT_TRUE(loop.MakeCalls(absl::ZeroDuration()));
  EXPECT_EQ(calls, 1);
}

TEST(NoLoopTest, WaitsForAnotherThreadAndForTimers) {
  NoLoop loop;
  bool posted = false;
  bool timed = false;
  std::thread other([&] { loop.PostFromAnyThread([&] { posted = true; }); });
  while (!posted) loop.MakeCalls(absl::InfiniteDuration());
  other.join();
  const Timer timer = loop.RunAfter(absl::Milliseconds(1), [&] { timed = true; });
  while (!timed) loop.MakeCalls(absl::InfiniteDuration());
}

TEST(NoLoopTest, DropsCallsAtItsEndAndTimersMayOutliveIt) {
  auto loop = std::make_unique<NoLoop>();
  auto held = std::make_shared<int>(1);
  const Timer timer = loop->RunAfter(absl::ZeroDuration(), [held] { FAIL(); });
  loop->PostFromAnyThread([held] { FAIL(); });
  loop.reset();
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace trestle
