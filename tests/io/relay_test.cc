#include "trestle/io/relay.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/stream_peer.h"
#include "trestle/base/error.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {
namespace {

using testing::MemoryLink;
using testing::NewMemoryPair;
using testing::SimulatedLoop;

std::string Pattern(size_t bytes, uint32_t seed) {
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return text;
}

/// A client and a backend with a relay between them.
struct Relayed {
  explicit Relayed(SimulatedLoop& loop, const MemoryLink& link = {},
                   const RelayOptions& options = {})
      : loop(loop) {
    auto [client_end, front_end] = NewMemoryPair(loop, link, link);
    auto [back_end, backend_end] = NewMemoryPair(loop, link, link);
    front = std::move(front_end);
    back = std::move(back_end);
    client.emplace(loop, std::move(client_end));
    backend.emplace(loop, std::move(backend_end));
    relay = std::make_unique<Relay>(loop, *front, *back, nullptr, options);
    relay->Start([this](absl::Status status) {
      ++done_calls;
      outcome = std::move(status);
    });
  }

  std::optional<Error> error() const {
    return outcome.has_value() ? GetError(*outcome) : std::nullopt;
  }

  SimulatedLoop& loop;
  std::unique_ptr<Transport> front;
  std::unique_ptr<Transport> back;
  std::optional<StreamPeer> client;
  std::optional<StreamPeer> backend;
  std::unique_ptr<Relay> relay;
  int done_calls = 0;
  std::optional<absl::Status> outcome;
};

TEST(RelayTest, CarriesBothDirectionsAndEndsCleanly) {
  SimulatedLoop loop;
  Relayed r(loop);
  r.client->Send("request");
  r.client->End();
  r.backend->Send("response");
  r.backend->End();
  loop.RunUntilIdle();
  EXPECT_EQ(r.backend->received(), "request");
  EXPECT_EQ(r.client->received(), "response");
  EXPECT_TRUE(r.client->saw_end());
  EXPECT_TRUE(r.backend->saw_end());
  ASSERT_TRUE(r.outcome.has_value());
  EXPECT_TRUE(r.outcome->ok()) << *r.outcome;
  EXPECT_EQ(r.relay->bytes_read(Leg::kFront), 7u);
  EXPECT_EQ(r.relay->bytes_written(Leg::kBack), 7u);
  EXPECT_EQ(r.relay->bytes_read(Leg::kBack), 8u);
  EXPECT_EQ(r.relay->bytes_written(Leg::kFront), 8u);
}

TEST(RelayTest, AHalfClosedClientStillGetsTheResponse) {
  SimulatedLoop loop;
  Relayed r(loop);
  r.client->Send("request");
  r.client->End();
  loop.RunReady();
  EXPECT_TRUE(r.backend->saw_end());
  EXPECT_FALSE(r.outcome.has_value());
  r.backend->Send("late answer");
  r.backend->End();
  loop.RunUntilIdle();
  EXPECT_EQ(r.client->received(), "late answer");
  EXPECT_TRUE(r.outcome->ok());
}

TEST(RelayTest, AHalfClosedBackendStillGetsTheRest) {
  SimulatedLoop loop;
  Relayed r(loop);
  r.backend->End();
  loop.RunReady();
  EXPECT_TRUE(r.client->saw_end());
  r.client->Send("upload");
  r.client->End();
  loop.RunUntilIdle();
  EXPECT_EQ(r.backend->received(), "upload");
  EXPECT_TRUE(r.outcome->ok());
}

// The output equals the input for all links, and exactly one end is reported.
class RelaySimulationTest : public ::testing::TestWithParam<int> {};

TEST_P(RelaySimulationTest, OutputEqualsInput) {
  SimulatedLoop loop(GetParam());
  MemoryLink link;
  link.capacity_bytes = 1 + loop.random()() % 70000;
  link.chunk_bytes = 1 + loop.random()() % 20000;
  link.random_chunks = true;
  link.seed = loop.random()();
  link.latency = absl::Microseconds(loop.random()() % 2000);
  RelayOptions options;
  options.buffer_bytes = 1 + loop.random()() % 66000;
  options.turn_bytes = 1 + loop.random()() % 300000;
  Relayed r(loop, link, options);
  const std::string up = Pattern(loop.random()() % 300000, GetParam());
  const std::string down = Pattern(loop.random()() % 300000, GetParam() + 1);
  r.client->Send(up);
  r.client->End();
  r.backend->Send(down);
  r.backend->End();
  loop.RunFor(absl::Hours(2), 30'000'000);
  EXPECT_TRUE(r.backend->received() == up);
  EXPECT_TRUE(r.client->received() == down);
  ASSERT_EQ(r.done_calls, 1);
  EXPECT_TRUE(r.outcome->ok()) << *r.outcome;
  EXPECT_FALSE(r.relay->holds_buffers());
  EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RelaySimulationTest, ::testing::Range(0, 200));

TEST(RelayTest, ASlowReaderSlowsTheSenderDownAndMemoryStaysBounded) {
  SimulatedLoop loop;
  Relayed r(loop);
  r.client->SetReading(false);
  constexpr size_t kBytes = 64 * 1024 * 1024;
  r.backend->Send(std::string(kBytes, 'x'));
  loop.RunReady();
  // Two links of 64 KiB and one buffer are between the backend and the client.
  EXPECT_GE(r.backend->unsent_bytes(), kBytes - 256 * 1024);
  EXPECT_LE(loop.buffers().lent_blocks(), 2u);
}

// Servers end kept connections in this way.
TEST(RelayTest, ABackendThatEndsUnmarkedAfterOurEndIsNoFailure) {
  SimulatedLoop loop;
  Relayed r(loop);
  r.client->Send("request");
  loop.RunReady();
  r.backend->Send("response");
  loop.RunReady();
  r.client->End();
  loop.RunReady();
  ASSERT_TRUE(r.backend->saw_end());
  r.backend->transport().Abort();
  loop.RunReady();
  ASSERT_TRUE(r.outcome.has_value());
  EXPECT_TRUE(r.outcome->ok()) << *r.outcome;
  EXPECT_TRUE(r.relay->left_unmarked(Leg::kBack));
  EXPECT_FALSE(r.relay->left_unmarked(Leg::kFront));
  EXPECT_FALSE(r.client->saw_end()) << "an unmarked end must not look complete";
}

void ExpectLeftUnmarked(Relayed& r) {
  ASSERT_TRUE(r.outcome.has_value());
  EXPECT_TRUE(r.outcome->ok()) << *r.outcome;
  EXPECT_TRUE(r.relay->left_unmarked(Leg::kFront));
  EXPECT_FALSE(r.backend->saw_end()) << "an unmarked end must not look complete";
}

// Browsers leave kept connections in this way.
TEST(RelayTest, AClientThatLeavesAnAnsweredConnectionUnmarkedIsNoFailure) {
  SimulatedLoop loop;
  Relayed r(loop);
  r.client->Send("request");
  loop.RunReady();
  r.backend->Send("response");
  loop.RunReady();
  r.client->transport().Abort();
  loop.RunReady();
  ExpectLeftUnmarked(r);
}

// Browsers open connections in advance and don't use all.
TEST(RelayTest, AClientThatLeavesAnUnusedConnectionUnmarkedIsNoFailure) {
  SimulatedLoop loop;
  Relayed r(loop);
  loop.RunReady();
  r.client->transport().Abort();
  loop.RunReady();
  ExpectLeftUnmarked(r);
}

// It may have waited for a server that speaks first.
TEST(RelayTest, AClientThatLeavesUnmarkedAfterAGreetingFailed) {
  SimulatedLoop loop;
  Relayed r(loop);
  r.backend->Send("220 ready");
  loop.RunReady();
  r.client->transport().Abort();
  loop.RunReady();
  ASSERT_TRUE(r.error().has_value());
  EXPECT_EQ(r.error()->code, ErrorCode::kTruncated);
  EXPECT_EQ(r.error()->leg, Leg::kFront);
}

TEST(RelayTest, AClientThatLeavesBeforeItsAnswerFailed) {
  SimulatedLoop loop;
  Relayed r(loop);
  r.client->Send("first request");
  loop.RunReady();
  r.backend->Send("first response");
  loop.RunReady();
  r.client->Send("second request");
  loop.RunReady();
  r.client->transport().Abort();
  loop.RunReady();
  ASSERT_TRUE(r.error().has_value());
  EXPECT_EQ(r.error()->code, ErrorCode::kTruncated);
  EXPECT_EQ(r.error()->leg, Leg::kFront);
  EXPECT_FALSE(r.relay->left_unmarked(Leg::kFront));
}

TEST(RelayTest, ABackendTruncatedWithinItsLateResponseFailed) {
  SimulatedLoop loop;
  Relayed r(loop);
  r.client->Send("request");
  r.client->End();
  loop.RunReady();
  r.backend->Send("half of the ans");
  loop.RunReady();
  r.backend->transport().Abort();
  loop.RunReady();
  ASSERT_TRUE(r.error().has_value());
  EXPECT_EQ(r.error()->code, ErrorCode::kTruncated);
  EXPECT_EQ(r.error()->leg, Leg::kBack);
  EXPECT_FALSE(r.relay->left_unmarked(Leg::kBack));
}

TEST(RelayTest, ABackendThatEndsUnmarkedWithoutAResponseFailed) {
  SimulatedLoop loop;
  Relayed r(loop);
  r.client->Send("first request");
  loop.RunReady();
  r.backend->Send("first response");
  loop.RunReady();
  r.client->Send("second request");
  r.client->End();
  loop.RunReady();
  ASSERT_TRUE(r.backend->saw_end());
  r.backend->transport().Abort();
  loop.RunReady();
  ASSERT_TRUE(r.error().has_value());
  EXPECT_EQ(r.error()->code, ErrorCode::kTruncated);
  EXPECT_EQ(r.error()->leg, Leg::kBack);
  EXPECT_FALSE(r.relay->left_unmarked(Leg::kBack));
}

TEST(RelayTest, ABackendThatEndsUnmarkedBeforeOurEndFailed) {
  SimulatedLoop loop;
  Relayed r(loop);
  r.client->Send("request");
  loop.RunReady();
  r.backend->transport().Abort();
  loop.RunReady();
  r.client->End();
  loop.RunReady();
  ASSERT_TRUE(r.error().has_value());
  EXPECT_EQ(r.error()->leg, Leg::kBack);
}

// Some clients close immediately after their end: a RST answers the backend's last bytes.
TEST(RelayTest, AClientThatClosedAfterItsEndIsNoFailure) {
  SimulatedLoop loop;
  Relayed r(loop);
  loop.RunReady();
  r.backend->transport().Write(AsBytes("last words"));
  r.backend->transport().ShutdownWrite(StreamEnd::kClean);
  r.client.reset();
  loop.RunReady();
  ASSERT_TRUE(r.outcome.has_value());
  EXPECT_TRUE(r.outcome->ok()) << *r.outcome;
  EXPECT_TRUE(r.backend->saw_end());
}

// A client that closes with the backend's close_notify unread sends its own and a RST.
TEST(RelayTest, AClientThatResetsAfterTheEndMaySendAnAlertBefore) {
  for (const size_t allowed : {0, 24}) {
    for (const size_t sent : {1, 24, 25}) {
      SCOPED_TRACE(absl::StrCat(sent, " bytes, allowed ", allowed));
      SimulatedLoop loop;
      RelayOptions options;
      options.client_alert_bytes = allowed;
      Relayed r(loop, {}, options);
      r.backend->Send("answer");
      r.backend->End();
      loop.RunReady();
      ASSERT_TRUE(r.client->saw_end());
      r.client->Send(std::string(sent, 'a'));
      loop.RunReady();
      r.client->transport().Abort();
      loop.RunReady();
      ASSERT_TRUE(r.outcome.has_value());
      EXPECT_EQ(r.outcome->ok(), sent <= allowed) << *r.outcome;
      EXPECT_EQ(r.relay->left_unmarked(Leg::kFront), sent <= allowed);
      EXPECT_FALSE(r.backend->saw_end()) << "a truncated upload must not look complete";
    }
  }
}

TEST(RelayTest, ABackendThatResetsAfterTheEndMaySendNothingBefore) {
  SimulatedLoop loop;
  RelayOptions options;
  options.client_alert_bytes = 24;
  Relayed r(loop, {}, options);
  r.client->End();
  loop.RunReady();
  r.backend->Send("a");
  loop.RunReady();
  r.backend->transport().Abort();
  loop.RunReady();
  ASSERT_TRUE(r.error().has_value());
  EXPECT_EQ(r.error()->leg, Leg::kBack);
}

TEST(RelayTest, AClientThatBreaksBeforeItsEndFailed) {
  SimulatedLoop loop;
  Relayed r(loop);
  loop.RunReady();
  r.backend->transport().Write(AsBytes("last words"));
  r.backend->transport().ShutdownWrite(StreamEnd::kClean);
  r.client->transport().Abort();
  loop.RunReady();
  ASSERT_TRUE(r.error().has_value());
  EXPECT_EQ(r.error()->code, ErrorCode::kTruncated);
  EXPECT_EQ(r.error()->leg, Leg::kFront);
  EXPECT_FALSE(r.relay->left_unmarked(Leg::kFront));
  EXPECT_FALSE(r.backend->saw_end());
}

// A passthrough client closes with the backend's close_notify unread. Its alert and a RST arrive
// while the backend's end is still in flight.
TEST(RelayTest, AClientThatResetsAfterItsAlertMayMissTheEnd) {
  for (const size_t sent : {24, 25}) {
    SCOPED_TRACE(sent);
    SimulatedLoop loop;
    auto [client_end, front_end] = NewMemoryPair(loop, [&] {
      MemoryLink link;
      link.reset_after_bytes = 8 + sent;
      return link;
    }());
    auto [back_end, backend_end] = NewMemoryPair(loop);
    RelayOptions options;
    options.client_alert_bytes = 24;
    Relay relay(loop, *front_end, *back_end, nullptr, options);
    std::optional<absl::Status> outcome;
    relay.Start([&](absl::Status status) { outcome = std::move(status); });
    client_end->Write(AsBytes("question"));
    loop.RunReady();
    backend_end->Write(AsBytes("answer"));
    loop.RunReady();
    backend_end->ShutdownWrite(StreamEnd::kClean);
    client_end->Write(AsBytes(std::string(sent, 'a')));
    loop.RunReady();
    ASSERT_TRUE(outcome.has_value());
    EXPECT_EQ(outcome->ok(), sent == 24) << *outcome;
    EXPECT_EQ(relay.left_unmarked(Leg::kFront), sent == 24);
  }
}

// A browser that exits resets its idle passthrough connections, some after an alert.
TEST(RelayTest, APassthroughClientThatResetsAnIdleConnectionIsNoFailure) {
  for (const size_t sent : {0, 24, 25}) {
    SCOPED_TRACE(sent);
    SimulatedLoop loop;
    RelayOptions options;
    options.client_alert_bytes = 24;
    Relayed r(loop, {}, options);
    r.client->Send("question");
    loop.RunReady();
    r.backend->Send("answer");
    loop.RunReady();
    if (sent > 0) r.client->Send(std::string(sent, 'a'));
    loop.RunReady();
    r.client->transport().Abort();
    loop.RunReady();
    ASSERT_TRUE(r.outcome.has_value());
    EXPECT_EQ(r.outcome->ok(), sent <= 24) << *r.outcome;
    EXPECT_EQ(r.relay->left_unmarked(Leg::kFront), sent <= 24);
    EXPECT_FALSE(r.backend->saw_end()) << "an unmarked end must not look complete";
  }
}

TEST(RelayTest, HoldsNoBufferWhileIdle) {
  SimulatedLoop loop;
  Relayed r(loop);
  r.client->Send("ping");
  r.backend->Send("pong");
  loop.RunReady();
  EXPECT_EQ(r.backend->received(), "ping");
  EXPECT_FALSE(r.relay->holds_buffers());
  EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
}

TEST(RelayTest, IdleConnectionsTimeOut) {
  SimulatedLoop loop;
  RelayOptions options;
  options.idle_timeout = absl::Seconds(30);
  Relayed r(loop, {}, options);
  loop.RunFor(absl::Seconds(29));
  r.client->Send("still here");
  loop.RunFor(absl::Seconds(29));
  EXPECT_FALSE(r.outcome.has_value()) << "a byte must restart the idle time";
  loop.RunFor(absl::Seconds(2));
  ASSERT_TRUE(r.error().has_value());
  EXPECT_EQ(r.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(r.done_calls, 1);
}

TEST(RelayTest, ATruncatedBackendIsReportedAfterAllItsBytes) {
  SimulatedLoop loop;
  Relayed r(loop);
  const std::string part = Pattern(200'000, 7);
  r.backend->Send(part);
  r.backend->End(StreamEnd::kTruncated);
  loop.RunUntilIdle();
  EXPECT_TRUE(r.client->received() == part);
  EXPECT_FALSE(r.client->saw_end()) << "a truncated stream must not look complete";
  ASSERT_TRUE(r.error().has_value());
  EXPECT_EQ(r.error()->code, ErrorCode::kTruncated);
  EXPECT_EQ(r.error()->leg, Leg::kBack);
  EXPECT_EQ(r.error()->phase, Phase::kRelay);
}

TEST(RelayTest, AClientThatIsGoneIsReported) {
  SimulatedLoop loop;
  Relayed r(loop);
  r.backend->Send(std::string(1'000'000, 'x'));
  loop.RunReady();
  r.client->Abort();
  loop.RunFor(absl::Seconds(1));
  ASSERT_TRUE(r.error().has_value());
  EXPECT_EQ(r.error()->leg, Leg::kFront);
  EXPECT_EQ(r.error()->code, ErrorCode::kTruncated);
  EXPECT_EQ(r.done_calls, 1);
}

TEST(RelayTest, AResponseBeforeARejectedUploadIsDelivered) {
  SimulatedLoop loop;
  MemoryLink small;
  small.capacity_bytes = 4096;
  Relayed r(loop, small);
  r.backend->SetReading(false);
  r.client->Send(std::string(1'000'000, 'u'));
  r.backend->Send("413 too large");
  loop.RunReady();
  r.backend.reset();  // close(2) with unread bytes: a reset.
  loop.RunFor(absl::Seconds(1));
  EXPECT_EQ(r.client->received(), "413 too large");
  ASSERT_TRUE(r.error().has_value());
  EXPECT_EQ(r.error()->leg, Leg::kBack);
}

TEST(RelayTest, APeerThatClosesAfterBothEndsIsNoFailure) {
  SimulatedLoop loop;
  Relayed r(loop);
  r.client->Send("q");
  r.client->End();
  r.backend->Send("a");
  r.backend->End();
  loop.RunReady(40);
  r.client.reset();
  loop.RunUntilIdle();
  ASSERT_EQ(r.done_calls, 1);
}

TEST(RelayTest, MayBeDestroyedAtAnyMomentAndInItsOwnCallback) {
  for (size_t calls = 0; calls < 60; ++calls) {
    SimulatedLoop loop(calls);
    MemoryLink link;
    link.chunk_bytes = 100;
    Relayed r(loop, link);
    r.client->Send(std::string(500, 'c'));
    r.client->End();
    r.backend->Send(std::string(500, 'b'));
    r.backend->End();
    loop.RunReady(calls);
    r.relay.reset();
    loop.RunFor(absl::Minutes(10));
    EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
  }
}

TEST(RelayTest, OneBusyConnectionLeavesOthersTheirTurn) {
  SimulatedLoop loop;
  RelayOptions options;
  options.turn_bytes = 64 * 1024;
  MemoryLink wide;
  wide.capacity_bytes = 8 * 1024 * 1024;
  Relayed busy(loop, wide, options);
  busy.client->Send(std::string(6 * 1024 * 1024, 'x'));
  loop.RunReady(3);
  uint64_t most = 0;
  uint64_t last = busy.relay->bytes_read(Leg::kFront);
  while (loop.RunReady(1) > 0) {
    const uint64_t now = busy.relay->bytes_read(Leg::kFront);
    most = std::max(most, now - last);
    last = now;
  }
  EXPECT_EQ(last, 6u * 1024 * 1024);
  EXPECT_LE(most, 192u * 1024) << "one turn moved far more than its bound";
}

}  // namespace
}  // namespace trestle
