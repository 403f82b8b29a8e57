#include "trestle/proxy/handshake_limiter.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

Endpoint Client(absl::string_view address) { return *Endpoint::Parse(address); }

class HandshakeLimiterTest : public ::testing::Test {
 protected:
  // How many of `count` handshakes may begin now.
  int Begin(HandshakeLimiter& limiter, int count, absl::string_view client = "192.0.2.1:1") {
    int begun = 0;
    for (int i = 0; i < count; ++i) {
      last_ = limiter.Begin(Client(client), now_);
      begun += last_.ok() ? 1 : 0;
    }
    return begun;
  }

  MonotonicTime now_ = MonotonicTime::FromStart(absl::Hours(1));
  absl::Status last_;
};

TEST_F(HandshakeLimiterTest, NoLimitIsTheDefault) {
  HandshakeLimiter limiter({}, now_);
  EXPECT_FALSE(limiter.active());
  EXPECT_TRUE(limiter.AllowsConnection(1'000'000));
  EXPECT_EQ(Begin(limiter, 10'000), 10'000);
}

TEST_F(HandshakeLimiterTest, ConnectionsAtATime) {
  ConnectionLimits limits;
  limits.connections = 2;
  HandshakeLimiter limiter(limits, now_);
  EXPECT_FALSE(limiter.active()) << "handshakes are not limited";
  EXPECT_TRUE(limiter.AllowsConnection(1));
  EXPECT_FALSE(limiter.AllowsConnection(2));
  EXPECT_FALSE(limiter.AllowsConnection(3));
  EXPECT_EQ(limiter.refused().connections, 2u);
}

TEST_F(HandshakeLimiterTest, HandshakesAtATime) {
  ConnectionLimits limits;
  limits.full_handshakes = 3;
  HandshakeLimiter limiter(limits, now_);
  EXPECT_EQ(Begin(limiter, 5), 3);
  const std::optional<TlsError> error = GetTlsError(last_);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, ErrorCode::kOverLimit);
  EXPECT_THAT(error->detail, HasSubstr("more than 3 full handshakes would be under way"));
  EXPECT_EQ(limiter.refused().full_handshakes, 2u);
  limiter.Finish();
  EXPECT_EQ(limiter.under_way(), 2u);
  EXPECT_EQ(Begin(limiter, 5), 1);
}

TEST_F(HandshakeLimiterTest, HandshakesASecond) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second = 10;
  HandshakeLimiter limiter(limits, now_);
  EXPECT_EQ(Begin(limiter, 15), 10) << "a second's worth at once";
  EXPECT_THAT(GetTlsError(last_)->detail, HasSubstr("more than 10 full handshakes a second"));
  EXPECT_EQ(limiter.refused().full_handshakes_per_second, 5u);
  now_ += absl::Milliseconds(300);
  EXPECT_EQ(Begin(limiter, 15), 3);
  now_ += absl::Hours(1);
  EXPECT_EQ(Begin(limiter, 15), 10) << "no more than a second's worth is saved up";
  now_ += -absl::Minutes(1);
  EXPECT_EQ(Begin(limiter, 15), 0) << "a clock that goes back gives nothing";
}

TEST_F(HandshakeLimiterTest, LessThanOneASecond) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second = 0.1;
  HandshakeLimiter limiter(limits, now_);
  EXPECT_EQ(Begin(limiter, 2), 1);
  now_ += absl::Seconds(9);
  EXPECT_EQ(Begin(limiter, 2), 0);
  now_ += absl::Seconds(2);
  EXPECT_EQ(Begin(limiter, 2), 1);
}

TEST_F(HandshakeLimiterTest, EachClientNetworkHasItsOwnRate) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second_per_client = 2;
  HandshakeLimiter limiter(limits, now_);
  EXPECT_EQ(Begin(limiter, 5, "192.0.2.1:1000"), 2);
  EXPECT_EQ(Begin(limiter, 5, "192.0.2.1:1001"), 0) << "the port makes no difference";
  EXPECT_EQ(Begin(limiter, 5, "192.0.2.2:1000"), 2);
  EXPECT_EQ(Begin(limiter, 5, "[2001:db8:0:1::1]:1"), 2);
  EXPECT_EQ(Begin(limiter, 5, "[2001:db8:0:1:ffff::2]:1"), 0) << "one /64 is one client";
  EXPECT_EQ(Begin(limiter, 5, "[2001:db8:0:2::1]:1"), 2);
  EXPECT_THAT(GetTlsError(last_)->detail, HasSubstr("from this client's network"));
  EXPECT_EQ(limiter.refused().full_handshakes_per_second_per_client, 3u + 5 + 3 + 3 + 5 + 3);
  now_ += absl::Milliseconds(500);
  EXPECT_EQ(Begin(limiter, 5, "192.0.2.1:1"), 1);
}

// As dual-stack sockets and PROXY headers tell them: one /64 has all of IPv4.
TEST_F(HandshakeLimiterTest, IPv4MappedAddressesAreClientsOfTheirOwn) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second_per_client = 1;
  HandshakeLimiter limiter(limits, now_);
  EXPECT_EQ(Begin(limiter, 5, "[::ffff:192.0.2.1]:1"), 1);
  EXPECT_EQ(Begin(limiter, 5, "[::ffff:192.0.2.2]:1"), 1);
  EXPECT_EQ(Begin(limiter, 5, "192.0.2.1:1"), 0) << "the same client";
}

TEST_F(HandshakeLimiterTest, ClientNetworksAreAsWideAsAskedFor) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second_per_client = 1;
  limits.client_ipv4_bits = 23;
  limits.client_ipv6_bits = 48;
  HandshakeLimiter limiter(limits, now_);
  EXPECT_EQ(Begin(limiter, 1, "192.0.2.1:1"), 1);
  EXPECT_EQ(Begin(limiter, 1, "192.0.3.1:1"), 0);
  EXPECT_EQ(Begin(limiter, 1, "192.0.4.1:1"), 1);
  EXPECT_EQ(Begin(limiter, 1, "[2001:db8:7:1::1]:1"), 1);
  EXPECT_EQ(Begin(limiter, 1, "[2001:db8:7:2::1]:1"), 0);
  EXPECT_EQ(Begin(limiter, 1, "[2001:db8:8:1::1]:1"), 1);
}

TEST_F(HandshakeLimiterTest, WhoIsOverTheOwnLimitLeavesTheOthersTheirs) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second = 10;
  limits.full_handshakes_per_second_per_client = 2;
  HandshakeLimiter limiter(limits, now_);
  EXPECT_EQ(Begin(limiter, 100, "192.0.2.1:1"), 2);
  EXPECT_EQ(limiter.refused().full_handshakes_per_second, 0u);
  int others = 0;
  for (int i = 2; i < 20; ++i) others += Begin(limiter, 1, absl::StrCat("192.0.2.", i, ":1"));
  EXPECT_EQ(others, 8);
  EXPECT_EQ(limiter.refused().full_handshakes_per_second, 10u);
}

TEST_F(HandshakeLimiterTest, AFloodFromEverywhereCostsBoundedMemory) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second_per_client = 1;
  HandshakeLimiter limiter(limits, now_);
  const auto address = [](size_t i) {
    return absl::StrCat("10.", i >> 16, ".", (i >> 8) & 0xff, ".", i & 0xff, ":1");
  };
  for (size_t i = 0; i < HandshakeLimiter::kMaxClients; ++i) {
    ASSERT_EQ(Begin(limiter, 1, address(i)), 1);
  }
  EXPECT_EQ(Begin(limiter, 1, "192.0.2.1:1"), 1) << "the crowd's one";
  EXPECT_EQ(Begin(limiter, 1, "192.0.2.2:1"), 0) << "is shared";
  EXPECT_EQ(Begin(limiter, 1, address(7)), 0) << "who is remembered still is";
  now_ += absl::Seconds(2);
  EXPECT_EQ(Begin(limiter, 1, "192.0.2.3:1"), 1) << "clients that are quiet again are forgotten";
  EXPECT_EQ(Begin(limiter, 1, "192.0.2.4:1"), 1);
}

}  // namespace
}  // namespace trestle
