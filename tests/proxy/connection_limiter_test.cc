#include "trestle/proxy/connection_limiter.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

Endpoint Client(absl::string_view address) { return *Endpoint::Parse(address); }

class ConnectionLimiterTest : public ::testing::Test {
 protected:
  ConnectionLimiter& Limiter(const ConnectionLimits& limits) {
    limiter_ = *ConnectionLimiter::Create(limits);
    return *limiter_;
  }

  // Returns how many of `count` handshakes may begin now.
  int Begin(ConnectionLimiter& limiter, int count, absl::string_view client = "192.0.2.1:1") {
    int begun = 0;
    for (int i = 0; i < count; ++i) {
      last_ = limiter.Begin(Client(client), now_);
      begun += last_.ok() ? 1 : 0;
    }
    return begun;
  }

  MonotonicTime now_ = MonotonicTime::FromStart(absl::Hours(1));
  absl::Status last_;
  std::shared_ptr<ConnectionLimiter> limiter_;
};

TEST_F(ConnectionLimiterTest, ThereIsNoLimitByDefault) {
  ConnectionLimiter& limiter = Limiter({});
  EXPECT_FALSE(limiter.active());
  EXPECT_TRUE(limiter.OpenConnection());
  EXPECT_EQ(Begin(limiter, 10'000), 10'000);
}

TEST_F(ConnectionLimiterTest, OpenConnectionsAreLimited) {
  ConnectionLimits limits;
  limits.connections = 2;
  ConnectionLimiter& limiter = Limiter(limits);
  EXPECT_FALSE(limiter.active()) << "handshakes are not limited";
  ConnectionSlot first = ConnectionSlot::Take(limiter_);
  ConnectionSlot second = ConnectionSlot::Take(limiter_);
  EXPECT_EQ(ConnectionSlot::Take(limiter_).limiter(), nullptr);
  EXPECT_EQ(ConnectionSlot::Take(limiter_).limiter(), nullptr);
  EXPECT_EQ(limiter.refused().connections, 2u);
  ConnectionSlot moved = std::move(first);
  EXPECT_EQ(limiter.open_connections(), 2u);
  second = std::move(moved);
  EXPECT_EQ(limiter.open_connections(), 1u);
  second.Release();
  EXPECT_EQ(limiter.open_connections(), 0u);
}

TEST_F(ConnectionLimiterTest, ThreadsShareIt) {
  ConnectionLimits limits;
  limits.connections = 50;
  limits.full_handshakes = 50;
  ConnectionLimiter& limiter = Limiter(limits);
  std::atomic<int> begun = 0;
  std::atomic<int> opened = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) {
        if (limiter.OpenConnection()) ++opened;
        if (limiter.Begin(Client("192.0.2.1:1"), now_).ok()) ++begun;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(opened, 50);
  EXPECT_EQ(begun, 50);
  EXPECT_EQ(limiter.refused().connections, 4000u - 50);
}

TEST_F(ConnectionLimiterTest, ConcurrentHandshakesAreLimited) {
  ConnectionLimits limits;
  limits.full_handshakes = 3;
  ConnectionLimiter& limiter = Limiter(limits);
  EXPECT_EQ(Begin(limiter, 5), 3);
  const std::optional<Error> error = GetError(last_);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, ErrorCode::kOverLimit);
  EXPECT_THAT(error->detail, HasSubstr("more than 3 full handshakes would be under way"));
  EXPECT_EQ(limiter.refused().full_handshakes, 2u);
  limiter.Finish();
  EXPECT_EQ(limiter.under_way(), 2u);
  EXPECT_EQ(Begin(limiter, 5), 1);
}

TEST_F(ConnectionLimiterTest, HandshakesPerSecondAreLimited) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second = 10;
  ConnectionLimiter& limiter = Limiter(limits);
  EXPECT_EQ(Begin(limiter, 15), 10) << "the handshakes of one second at once";
  EXPECT_THAT(GetError(last_)->detail, HasSubstr("more than 10 full handshakes a second"));
  EXPECT_EQ(limiter.refused().full_handshakes_per_second, 5u);
  now_ += absl::Milliseconds(300);
  EXPECT_EQ(Begin(limiter, 15), 3);
  now_ += absl::Hours(1);
  EXPECT_EQ(Begin(limiter, 15), 10) << "at most the handshakes of one second accumulate";
  now_ += -absl::Minutes(1);
  EXPECT_EQ(Begin(limiter, 15), 0) << "a clock that is set back adds nothing";
}

TEST_F(ConnectionLimiterTest, LessThanOnePerSecondIsAllowed) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second = 0.1;
  ConnectionLimiter& limiter = Limiter(limits);
  EXPECT_EQ(Begin(limiter, 2), 1);
  now_ += absl::Seconds(9);
  EXPECT_EQ(Begin(limiter, 2), 0);
  now_ += absl::Seconds(2);
  EXPECT_EQ(Begin(limiter, 2), 1);
}

TEST_F(ConnectionLimiterTest, EachClientNetworkHasItsOwnRate) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second_per_client = 2;
  ConnectionLimiter& limiter = Limiter(limits);
  EXPECT_EQ(Begin(limiter, 5, "192.0.2.1:1000"), 2);
  EXPECT_EQ(Begin(limiter, 5, "192.0.2.1:1001"), 0) << "the port makes no difference";
  EXPECT_EQ(Begin(limiter, 5, "192.0.2.2:1000"), 2);
  EXPECT_EQ(Begin(limiter, 5, "[2001:db8:0:1::1]:1"), 2);
  EXPECT_EQ(Begin(limiter, 5, "[2001:db8:0:1:ffff::2]:1"), 0) << "one /64 is one client";
  EXPECT_EQ(Begin(limiter, 5, "[2001:db8:0:2::1]:1"), 2);
  EXPECT_THAT(GetError(last_)->detail, HasSubstr("from this client's network"));
  EXPECT_EQ(limiter.refused().full_handshakes_per_second_per_client, 3u + 5 + 3 + 3 + 5 + 3);
  now_ += absl::Milliseconds(500);
  EXPECT_EQ(Begin(limiter, 5, "192.0.2.1:1"), 1);
}

// As dual-stack sockets and PROXY headers report them; one /64 would include all of IPv4.
TEST_F(ConnectionLimiterTest, IPv4MappedAddressesAreClientsOfTheirOwn) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second_per_client = 1;
  ConnectionLimiter& limiter = Limiter(limits);
  EXPECT_EQ(Begin(limiter, 5, "[::ffff:192.0.2.1]:1"), 1);
  EXPECT_EQ(Begin(limiter, 5, "[::ffff:192.0.2.2]:1"), 1);
  EXPECT_EQ(Begin(limiter, 5, "192.0.2.1:1"), 0) << "the same client";
}

TEST_F(ConnectionLimiterTest, ClientNetworksHaveTheConfiguredWidth) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second_per_client = 1;
  limits.client_ipv4_bits = 23;
  limits.client_ipv6_bits = 48;
  ConnectionLimiter& limiter = Limiter(limits);
  EXPECT_EQ(Begin(limiter, 1, "192.0.2.1:1"), 1);
  EXPECT_EQ(Begin(limiter, 1, "192.0.3.1:1"), 0);
  EXPECT_EQ(Begin(limiter, 1, "192.0.4.1:1"), 1);
  EXPECT_EQ(Begin(limiter, 1, "[2001:db8:7:1::1]:1"), 1);
  EXPECT_EQ(Begin(limiter, 1, "[2001:db8:7:2::1]:1"), 0);
  EXPECT_EQ(Begin(limiter, 1, "[2001:db8:8:1::1]:1"), 1);
}

TEST_F(ConnectionLimiterTest, AClientOverItsOwnLimitDoesNotUseTheSharedOne) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second = 10;
  limits.full_handshakes_per_second_per_client = 2;
  ConnectionLimiter& limiter = Limiter(limits);
  EXPECT_EQ(Begin(limiter, 100, "192.0.2.1:1"), 2);
  EXPECT_EQ(limiter.refused().full_handshakes_per_second, 0u);
  int others = 0;
  for (int i = 2; i < 20; ++i) others += Begin(limiter, 1, absl::StrCat("192.0.2.", i, ":1"));
  EXPECT_EQ(others, 8);
  EXPECT_EQ(limiter.refused().full_handshakes_per_second, 10u);
}

TEST_F(ConnectionLimiterTest, AFloodFromManyNetworksUsesBoundedMemory) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second_per_client = 1;
  ConnectionLimiter& limiter = Limiter(limits);
  const auto address = [](size_t i) {
    return absl::StrCat("10.", i >> 16, ".", (i >> 8) & 0xff, ".", i & 0xff, ":1");
  };
  for (size_t i = 0; i < ConnectionLimiter::kMaxClients; ++i) {
    ASSERT_EQ(Begin(limiter, 1, address(i)), 1);
  }
  EXPECT_EQ(Begin(limiter, 1, "192.0.2.1:1"), 1) << "the bucket of all new networks";
  EXPECT_EQ(Begin(limiter, 1, "192.0.2.2:1"), 0) << "the bucket is shared";
  EXPECT_EQ(Begin(limiter, 1, address(7)), 0) << "known networks keep their bucket";
  now_ += absl::Seconds(2);
  EXPECT_EQ(Begin(limiter, 1, "192.0.2.3:1"), 1) << "idle clients are forgotten";
  EXPECT_EQ(Begin(limiter, 1, "192.0.2.4:1"), 1);
}

}  // namespace
}  // namespace trestle
