// The system's clock is set while connections are open. Time limits are not affected, and dates are
// compared with the current clock.
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/proxy/bridge_fixture.h"

namespace trestle {
namespace {

constexpr absl::Duration kMonth = absl::Hours(30 * 24);

class ClockStepTest : public BridgeTest, public ::testing::WithParamInterface<absl::Duration> {
 protected:
  void Step() { loop.SetClock(loop.Now() + GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(
    Steps, ClockStepTest, ::testing::Values(absl::Minutes(6), -absl::Minutes(6), kMonth, -kMonth),
    [](const auto& info) {
      return std::string(info.param < absl::ZeroDuration() ? "Back" : "Ahead") +
             (info.param == kMonth || info.param == -kMonth ? "AMonth" : "SixMinutes");
    });

TEST_P(ClockStepTest, AConnectionThatMovesBytesIsNotIdle) {
  Connect().Send("question");
  loop.RunReady();
  Step();
  loop.RunFor(absl::Minutes(4));
  client->Send(" and more");
  loop.RunFor(absl::Minutes(4));
  EXPECT_EQ(servers.at(0)->received(), "question and more");
  EXPECT_TRUE(observer.closed.empty());
  loop.RunFor(absl::Minutes(2));
  ASSERT_EQ(observer.closed.size(), 1u) << "nor is the idle time longer";
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
}

TEST_P(ClockStepTest, TheLimitsOfAHandshakeDoNotChange) {
  bridge = *Make("internal.test");
  const std::unique_ptr<Transport> silent = ConnectTo(*bridge, loop);
  Step();
  loop.RunFor(Options("").connection.hello_timeout - absl::Milliseconds(1));
  EXPECT_TRUE(observer.closed.empty());
  loop.RunFor(absl::Minutes(1));
  ASSERT_EQ(observer.closed.size(), 1u);
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(observer.error()->detail,
            "not finished within " + absl::FormatDuration(Options("").connection.hello_timeout));
}

TEST_P(ClockStepTest, TheLimitOfADialDoesNotChange) {
  dialer.Refuse(backend.endpoint, absl::OkStatus(), absl::InfiniteDuration());
  Connect().Send("question");
  loop.RunReady();
  Step();
  loop.RunFor(absl::Minutes(1));
  client->End();
  loop.RunFor(absl::Minutes(1));
  ASSERT_EQ(observer.closed.size(), 1u);
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(observer.closed[0].times.dial, Options("").connection.dial_timeout);
}

TEST_P(ClockStepTest, ReportsHaveTheRealDurations) {
  Connect().Send("question");
  loop.RunFor(absl::Seconds(3));
  Step();
  loop.RunFor(absl::Seconds(4));
  client->End();
  servers.at(0)->End();
  loop.RunReady();
  ASSERT_EQ(observer.closed.size(), 1u);
  EXPECT_EQ(observer.closed[0].duration, absl::Seconds(7));
  EXPECT_EQ(observer.closed[0].times.relay, absl::Seconds(7));
}

TEST_P(ClockStepTest, BackendsAreAcceptedAgainAfterTheClockIsCorrected) {
  testing::LeafSpec leaf{{"internal.test"}};
  leaf.not_before = loop.Now() - absl::Hours(1);
  leaf.not_after = loop.Now() + absl::Hours(1);
  ServeBackend(back_pki, leaf);
  back_sessions.max_sessions = 0;
  ConnectAndClose();
  const absl::Duration step = GetParam() > absl::ZeroDuration() ? kMonth : -kMonth;
  loop.SetClock(loop.Now() + step);
  client.reset();
  servers.clear();
  observer.established.clear();
  EXPECT_EQ(BackFailure().code, ErrorCode::kCertificateExpired) << "by the current clock";
  loop.SetClock(loop.Now() - step);
  servers.clear();
  ConnectAndClose();
}

TEST_P(ClockStepTest, SessionsAreResumedForTheirLifetimeOnly) {
  back_sessions.max_age = absl::Minutes(10);
  ConnectAndClose();
  Step();
  loop.SetClock(loop.Now() - GetParam());
  EXPECT_TRUE(ConnectAndClose().resumed);
  loop.RunFor(absl::Minutes(11));
  EXPECT_FALSE(ConnectAndClose().resumed);
}

}  // namespace
}  // namespace trestle
