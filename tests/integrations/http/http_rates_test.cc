// HttpGateway: the minimum rate of bodies, and the age of kept connections. http2_gateway_test has
// the rate of responses.

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/http/rate_meter.h"
#include "tests/integrations/http/gateway_fixture.h"
#include "trestle/base/monotonic_time.h"

namespace trestle {
namespace {

using ::testing::StartsWith;

constexpr char kUpload[] = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000\r\n\r\n";

TEST(RateMeterTest, OnlyThePeersOwnDelayCounts) {
  const MinimumRate rate = {100, absl::Seconds(10)};
  testing::SimulatedLoop loop;
  MonotonicTime now = loop.MonotonicNow();
  RateMeter meter;
  EXPECT_FALSE(meter.IsTooSlow(rate, now, 0, true));
  // Fast enough.
  for (int i = 0; i < 50; ++i) {
    now = now + absl::Seconds(1);
    EXPECT_FALSE(meter.IsTooSlow(rate, now, 100, true));
  }
  // Nothing is owed.
  EXPECT_FALSE(meter.IsTooSlow(rate, now, 0, false));
  now = now + absl::Hours(1);
  EXPECT_FALSE(meter.IsTooSlow(rate, now, 0, true));
  // Too slow.
  int seconds = 0;
  do {
    now = now + absl::Seconds(1);
    ASSERT_LE(++seconds, 20);
  } while (!meter.IsTooSlow(rate, now, 99, true));
  EXPECT_GE(seconds, 10);
}

class HttpRatesTest : public GatewayFixture {
 protected:
  /// Sends `piece` each second, for `seconds` or until the client gets an answer.
  void SendSlowly(StreamPeer& client, const std::string& piece, int seconds) {
    for (int i = 0; i < seconds && client.received().empty(); ++i) {
      Send(client, piece);
      loop.RunFor(absl::Seconds(1));
    }
  }
};

TEST_F(HttpRatesTest, ABodyThatTricklesIs408) {
  const auto client = Connect();
  Send(*client, kUpload);
  SendSlowly(*client, "x", 40);
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(Report().reason, HttpReason::kBodyTooSlow);
  EXPECT_GE(Report().bytes_in, 29u);
}

TEST_F(HttpRatesTest, ABodyThatTricklesIntoAJudgeIs408) {
  struct Never final : public RequestJudge {
    size_t body_bytes() const override { return 1 << 20; }
    absl::StatusOr<std::unique_ptr<JudgeCall>> Judge(JudgedRequest, JudgeVerdict) override {
      return absl::InternalError("the body isn't complete");
    }
  } judge;
  options.judge = &judge;
  const auto client = Connect();
  Send(*client, kUpload);
  SendSlowly(*client, "x", 40);
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(Report().reason, HttpReason::kBodyTooSlow);
}

TEST_F(HttpRatesTest, ABodyAboveTheRateGoesOn) {
  const auto client = Connect();
  Send(*client, kUpload);
  SendSlowly(*client, std::string(65, 'x'), 120);
  EXPECT_EQ(client->received(), "");
  EXPECT_EQ(gateway().open_requests(), 1u);
}

TEST_F(HttpRatesTest, ABodyOfAnAnsweredRequestMayTrickle) {
  const auto client = Connect();
  Send(*client, kUpload);
  Send(*a[0], "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
  for (int i = 0; i < 120; ++i) {
    Send(*client, "x");
    Send(*a[0], "1\r\nx\r\n");
    loop.RunFor(absl::Seconds(1));
  }
  EXPECT_EQ(gateway().open_requests(), 1u);
}

TEST_F(HttpRatesTest, WithoutARateABodyMayTrickle) {
  options.body_rate.bytes_per_second = 0;
  const auto client = Connect();
  Send(*client, kUpload);
  SendSlowly(*client, "x", 120);
  EXPECT_EQ(gateway().open_requests(), 1u);
}

TEST_F(HttpRatesTest, AnOldConnectionGetsNoFurtherRequests) {
  options.pool.max_age = absl::Minutes(1);
  const auto client = Connect();
  for (int i = 0; i < 13; ++i) {
    Send(*client, Get("/"));
    Send(*a.back(), kOk);
    loop.RunFor(absl::Seconds(10));
  }
  EXPECT_EQ(reports.size(), 13u);
  EXPECT_EQ(reports.back().status, 200);
  EXPECT_EQ(a.size(), 3u);
}

TEST_F(HttpRatesTest, ARequestOnAnOldConnectionFinishes) {
  options.pool.max_age = absl::Seconds(5);
  const auto client = Connect();
  Send(*client, Get("/"));
  loop.RunFor(absl::Seconds(20));
  Send(*a[0], kOk);
  EXPECT_EQ(Report().status, 200);
  Send(*client, Get("/"));
  EXPECT_EQ(a.size(), 2u);
}

TEST_F(HttpRatesTest, LimitsOfZeroAreRefused) {
  options.body_rate.window = absl::ZeroDuration();
  EXPECT_FALSE(HttpGateway::Create(loop, dialer, options).ok());
  options.body_rate.window = absl::Seconds(1);
  options.pool.max_age = absl::ZeroDuration();
  EXPECT_FALSE(HttpGateway::Create(loop, dialer, options).ok());
}

}  // namespace
}  // namespace trestle
