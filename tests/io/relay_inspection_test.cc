// The relay with an inspector: verdicts, bounds, and the end of the stream.
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/stream_peer.h"
#include "trestle/base/error.h"
#include "trestle/io/relay.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using testing::NewMemoryPair;
using testing::SimulatedLoop;

/// Decides about bytes to the backend with a function; forwards the other direction.
class FunctionInspector final : public Inspector {
 public:
  using Judge = std::function<Verdict(absl::string_view pending, bool end)>;
  explicit FunctionInspector(Judge judge, Direction direction = Direction::kToBackend)
      : judge_(std::move(judge)), direction_(direction) {}

  Verdict Inspect(Direction direction, ByteView pending, bool end) override {
    if (direction == direction_) return judge_(AsText(pending), end);
    other += AsText(pending);
    other_ended = end;
    return Verdict::Forward(pending.size());
  }

  std::string other;  // The bytes of the other direction.
  bool other_ended = false;

 private:
  Judge judge_;
  const Direction direction_;
};

struct Inspected {
  Inspected(SimulatedLoop& loop, FunctionInspector::Judge judge,
            Direction direction = Direction::kToBackend)
      : inspector(std::move(judge), direction) {
    auto [client_end, front_end] = NewMemoryPair(loop);
    auto [back_end, backend_end] = NewMemoryPair(loop);
    front = std::move(front_end);
    back = std::move(back_end);
    client.emplace(loop, std::move(client_end));
    backend.emplace(loop, std::move(backend_end));
    RelayOptions options;
    options.buffer_bytes = 1000;
    relay = std::make_unique<Relay>(loop, *front, *back, &inspector, options);
    relay->Start([this](absl::Status status) { outcome = std::move(status); });
  }

  FunctionInspector inspector;
  std::unique_ptr<Transport> front;
  std::unique_ptr<Transport> back;
  std::optional<StreamPeer> client;
  std::optional<StreamPeer> backend;
  std::unique_ptr<Relay> relay;
  std::optional<absl::Status> outcome;
};

TEST(RelayInspectionTest, ForwardsPartsAndIsCalledAgainForTheRest) {
  SimulatedLoop loop;
  std::vector<std::string> seen;
  Inspected r(loop, [&](absl::string_view pending, bool) {
    seen.emplace_back(pending);
    return Verdict::Forward(std::min<size_t>(pending.size(), 2));
  });
  r.client->Send("abcde");
  loop.RunReady();
  EXPECT_EQ(r.backend->received(), "abcde");
  EXPECT_THAT(seen, ::testing::ElementsAre("abcde", "cde", "e"));
}

TEST(RelayInspectionTest, ReplacesAndInserts) {
  SimulatedLoop loop;
  bool inserted = false;
  Inspected r(loop, [&](absl::string_view pending, bool) {
    if (!std::exchange(inserted, true)) return Verdict::Replace(0, "X-Added: 1\n");
    return Verdict::Replace(pending.size(), std::string(pending.size(), '*'));
  });
  r.client->Send("secret");
  loop.RunReady();
  EXPECT_EQ(r.backend->received(), "X-Added: 1\n******");
}

TEST(RelayInspectionTest, HeldBytesWaitForTheInspector) {
  SimulatedLoop loop;
  Inspected r(loop, [](absl::string_view pending, bool) {
    const size_t line = pending.find('\n');
    return line == absl::string_view::npos ? Verdict::Hold() : Verdict::Forward(line + 1);
  });
  r.client->Send("GET /");
  loop.RunReady();
  EXPECT_EQ(r.backend->received(), "");
  r.client->Send(" HTTP/1.1\n");
  loop.RunReady();
  EXPECT_EQ(r.backend->received(), "GET / HTTP/1.1\n");
}

TEST(RelayInspectionTest, HoldingAtTheLimitBlocks) {
  SimulatedLoop loop;
  Inspected r(loop, [](absl::string_view, bool) { return Verdict::Hold(); });
  r.client->Send(std::string(5000, 'x'));
  loop.RunFor(absl::Seconds(1));
  ASSERT_TRUE(r.outcome.has_value());
  EXPECT_EQ(GetError(*r.outcome)->code, ErrorCode::kBlockedByInspector);
  EXPECT_THAT(std::string(r.outcome->message()), HasSubstr("undecided about 1000 bytes"));
  EXPECT_EQ(r.backend->received(), "");
}

TEST(RelayInspectionTest, HoldingAtTheEndBlocks) {
  SimulatedLoop loop;
  Inspected r(loop, [](absl::string_view, bool) { return Verdict::Hold(); });
  r.client->Send("half a request");
  r.client->End();
  loop.RunFor(absl::Seconds(1));
  ASSERT_TRUE(r.outcome.has_value());
  EXPECT_EQ(GetError(*r.outcome)->code, ErrorCode::kBlockedByInspector);
  EXPECT_EQ(r.backend->received(), "");
}

TEST(RelayInspectionTest, BlocksWithLastWordsToTheClient) {
  SimulatedLoop loop;
  Inspected r(loop, [](absl::string_view, bool) {
    return Verdict::Block("found an attack", "HTTP/1.1 403 Forbidden\r\n\r\n");
  });
  r.backend->Send("banner;");
  loop.RunReady();
  r.client->Send("' OR 1=1");
  loop.RunFor(absl::Seconds(1));
  ASSERT_TRUE(r.outcome.has_value());
  const std::optional<Error> error = GetError(*r.outcome);
  EXPECT_EQ(error->code, ErrorCode::kBlockedByInspector);
  EXPECT_EQ(error->leg, Leg::kFront);
  EXPECT_EQ(error->detail, "found an attack");
  EXPECT_EQ(r.client->received(), "banner;HTTP/1.1 403 Forbidden\r\n\r\n");
  EXPECT_EQ(r.backend->received(), "");
}

TEST(RelayInspectionTest, BlocksTheBackendsBytesToo) {
  SimulatedLoop loop;
  Inspected r(
      loop, [](absl::string_view, bool) { return Verdict::Block("card number", "withheld"); },
      Direction::kToClient);
  r.backend->Send("4111 1111 1111 1111");
  loop.RunFor(absl::Seconds(1));
  EXPECT_EQ(r.client->received(), "withheld");
  EXPECT_EQ(GetError(*r.outcome)->leg, Leg::kBack);
}

TEST(RelayInspectionTest, TheEndIsSeenOnceAndMayAppend) {
  SimulatedLoop loop;
  int ends = 0;
  Inspected r(loop, [&](absl::string_view pending, bool end) {
    if (end) return ++ends, Verdict::Replace(pending.size(), absl::StrCat(pending, "|trailer"));
    return Verdict::Forward(pending.size());
  });
  r.client->Send("body");
  loop.RunReady();
  r.client->End();
  loop.RunReady();
  EXPECT_EQ(r.backend->received(), "body|trailer");
  EXPECT_TRUE(r.backend->saw_end());
  EXPECT_EQ(ends, 1);
}

TEST(RelayInspectionTest, WaitingEndsWithBytesOfTheOtherDirection) {
  SimulatedLoop loop;
  int asked = 0;
  Inspected* self = nullptr;
  Inspected r(loop, [&](absl::string_view pending, bool) {
    ++asked;
    if (self->inspector.other != "ready") return Verdict::Wait();
    return Verdict::Forward(pending.size());
  });
  self = &r;
  // More bytes than the buffer holds, and the end: neither blocks.
  r.client->Send(std::string(5000, 'x'));
  r.client->End();
  loop.RunFor(absl::Seconds(1));
  EXPECT_EQ(asked, 1);
  r.backend->Send("rea");
  loop.RunReady();
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(r.backend->received(), "");
  r.backend->Send("dy");
  loop.RunReady();
  EXPECT_EQ(r.backend->received(), std::string(5000, 'x'));
  EXPECT_TRUE(r.backend->saw_end());
  EXPECT_EQ(r.client->received(), "ready");
  EXPECT_FALSE(r.outcome.has_value());
}

TEST(RelayInspectionTest, WaitingEndsWithTheOtherDirectionsEnd) {
  for (const bool goes_on : {true, false}) {
    SimulatedLoop loop;
    Inspected* self = nullptr;
    Inspected r(loop, [&](absl::string_view pending, bool) {
      const bool wait = !goes_on || !self->inspector.other_ended;
      return wait ? Verdict::Wait() : Verdict::Forward(pending.size());
    });
    self = &r;
    r.client->Send("late");
    loop.RunReady();
    r.backend->End();
    loop.RunReady();
    EXPECT_EQ(r.backend->received(), goes_on ? "late" : "");
    EXPECT_EQ(r.outcome.has_value(), !goes_on);
    if (goes_on) continue;
    EXPECT_EQ(GetError(*r.outcome)->code, ErrorCode::kBlockedByInspector);
    EXPECT_EQ(GetError(*r.outcome)->detail,
              "the inspector still waited with 4 bytes when the other direction had ended");
  }
}

TEST(RelayInspectionTest, ABrokenLegIsDetectedWhileWaiting) {
  SimulatedLoop loop;
  Inspected r(loop, [](absl::string_view, bool) { return Verdict::Wait(); });
  r.client->Send("x");
  loop.RunReady();
  r.client->End(StreamEnd::kTruncated);
  loop.RunFor(absl::Seconds(1));
  ASSERT_TRUE(r.outcome.has_value());
  EXPECT_EQ(GetError(*r.outcome)->leg, Leg::kFront);
}

}  // namespace
}  // namespace trestle
