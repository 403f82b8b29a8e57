#include "examples/support/watchdog.h"

#include <utility>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::examples {
namespace {

using testing::SimulatedLoop;

class WatchdogTest : public ::testing::Test {
 protected:
  Watchdog Start() {
    Watchdog::Calls calls;
    calls.alive = [this] { ++alive_; };
    calls.late = [this] { ++late_; };
    return Watchdog(main_, {&first_, &second_}, absl::Seconds(10), std::move(calls));
  }

  // Lets the workers turn, or only the first one.
  void Turn(bool second = true) {
    first_.RunReady();
    if (second) second_.RunReady();
    main_.RunReady();
  }

  SimulatedLoop main_;
  SimulatedLoop first_;
  SimulatedLoop second_;
  int alive_ = 0;
  int late_ = 0;
};

TEST_F(WatchdogTest, TellsOncePerPeriod) {
  const Watchdog watchdog = Start();
  for (int period = 1; period <= 3; ++period) {
    Turn();
    EXPECT_EQ(alive_, period);
    main_.RunFor(absl::Seconds(9));
    Turn();
    EXPECT_EQ(alive_, period);
    main_.RunFor(absl::Seconds(1));
  }
  EXPECT_EQ(late_, 0);
}

TEST_F(WatchdogTest, AThreadThatHangsStopsIt) {
  const Watchdog watchdog = Start();
  Turn(/*second=*/false);
  EXPECT_EQ(alive_, 0);
  main_.RunFor(absl::Minutes(5));
  Turn(/*second=*/false);
  EXPECT_EQ(alive_, 0);
  EXPECT_EQ(late_, 1) << "once, not in each period";

  Turn();  // It turns again.
  EXPECT_EQ(alive_, 1);
  Turn();
  EXPECT_EQ(alive_, 2) << "asked again at once";
  main_.RunFor(absl::Seconds(10));
  Turn();
  EXPECT_EQ(alive_, 3);
  EXPECT_EQ(late_, 1);
}

}  // namespace
}  // namespace trestle::examples
