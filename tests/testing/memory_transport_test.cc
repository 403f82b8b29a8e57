#include "trestle/testing/memory_transport.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/support/counting_handler.h"
#include "trestle/base/error.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::testing {
namespace {

// Reads once, at most `limit` bytes.
std::string ReadOnce(Transport& from, IoState* state, size_t limit = 1 << 16) {
  std::string bytes(limit, '\0');
  const IoResult result =
      from.Read(MutableByteView(reinterpret_cast<uint8_t*>(&bytes[0]), bytes.size()));
  *state = result.state;
  bytes.resize(result.bytes);
  return bytes;
}

// Reads until a state other than kOk, which it returns in `state`.
std::string ReadAll(Transport& from, IoState* state) {
  std::string all;
  do {
    all += ReadOnce(from, state);
  } while (*state == IoState::kOk);
  return all;
}

ErrorCode CodeOf(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  return error.has_value() ? error->code : ErrorCode::kInternal;
}

class MemoryTransportTest : public ::testing::Test {
 protected:
  void Connect(const MemoryLink& a_to_b = {}, const MemoryLink& b_to_a = {}) {
    std::tie(a_, b_) = NewMemoryPair(loop_, a_to_b, b_to_a);
    a_->SetHandler(&on_a_);
    b_->SetHandler(&on_b_);
  }

  SimulatedLoop loop_;
  CountingHandler on_a_;
  CountingHandler on_b_;
  std::unique_ptr<Transport> a_;
  std::unique_ptr<Transport> b_;
  IoState state_ = IoState::kOk;
};

TEST_F(MemoryTransportTest, CarriesBytesInBothDirections) {
  Connect();
  EXPECT_EQ(a_->Write(AsBytes("ping")).bytes, 4u);
  EXPECT_EQ(b_->Write(AsBytes("pong!")).bytes, 5u);
  EXPECT_EQ(ReadAll(*b_, &state_), "ping");
  EXPECT_EQ(state_, IoState::kWouldBlock);
  EXPECT_EQ(ReadAll(*a_, &state_), "pong!");
}

TEST_F(MemoryTransportTest, ReportsArtificialEndpointsAndNoFd) {
  Connect();
  EXPECT_EQ(a_->info().local.ToString(), "192.0.2.1:1");
  EXPECT_EQ(a_->info().peer, b_->info().local);
  EXPECT_EQ(b_->info().peer, a_->info().local);
}

TEST_F(MemoryTransportTest, EachBlockedReadGetsOneCallback) {
  Connect();
  a_->Write(AsBytes("x"));
  loop_.RunUntilIdle();
  EXPECT_EQ(on_b_.readable, 0) << "no call has blocked yet";
  EXPECT_EQ(ReadAll(*b_, &state_), "x");
  loop_.RunUntilIdle();
  EXPECT_EQ(on_b_.readable, 0) << "no progress is possible yet";
  a_->Write(AsBytes("y"));
  EXPECT_EQ(on_b_.readable, 0) << "not from inside Write";
  a_->Write(AsBytes("z"));
  loop_.RunUntilIdle();
  EXPECT_EQ(on_b_.readable, 1);
  a_->Write(AsBytes("w"));
  loop_.RunUntilIdle();
  EXPECT_EQ(on_b_.readable, 1) << "the last read did not block";
  EXPECT_EQ(ReadAll(*b_, &state_), "yzw");
}

TEST_F(MemoryTransportTest, TheCallbackGoesToTheCurrentHandler) {
  Connect();
  ReadAll(*b_, &state_);
  a_->Write(AsBytes("x"));
  CountingHandler other;
  b_->SetHandler(&other);
  loop_.RunUntilIdle();
  EXPECT_EQ(on_b_.readable, 0);
  EXPECT_EQ(other.readable, 1);
  b_->SetHandler(nullptr);
  ReadAll(*b_, &state_);
  a_->Write(AsBytes("x"));
  loop_.RunUntilIdle();
  EXPECT_EQ(other.readable, 1);
}

TEST_F(MemoryTransportTest, AStaleCallbackWaitsForProgress) {
  Connect();
  ReadAll(*b_, &state_);
  a_->Write(AsBytes("x"));
  EXPECT_EQ(ReadOnce(*b_, &state_), "x");
  loop_.RunUntilIdle();
  EXPECT_EQ(on_b_.readable, 0);
  a_->Write(AsBytes("y"));
  loop_.RunUntilIdle();
  EXPECT_EQ(on_b_.readable, 1);
}

TEST_F(MemoryTransportTest, AFullLinkBlocksUntilThePeerReads) {
  MemoryLink link;
  link.capacity_bytes = 10;
  Connect(link);
  const std::string text = "0123456789abcdef";
  EXPECT_EQ(a_->Write(AsBytes(text)).bytes, 10u);
  EXPECT_EQ(a_->Write(AsBytes(text)).state, IoState::kWouldBlock);
  loop_.RunUntilIdle();
  EXPECT_EQ(on_a_.writable, 0);
  EXPECT_EQ(ReadOnce(*b_, &state_, 3), "012");
  EXPECT_EQ(on_a_.writable, 0);
  loop_.RunUntilIdle();
  EXPECT_EQ(on_a_.writable, 1);
  EXPECT_EQ(a_->Write(AsBytes(text)).bytes, 3u);
}

TEST_F(MemoryTransportTest, ChunksBoundEveryRead) {
  MemoryLink link;
  link.chunk_bytes = 3;
  Connect(link);
  a_->Write(AsBytes("01234567"));
  EXPECT_EQ(ReadOnce(*b_, &state_), "012");
  EXPECT_EQ(ReadOnce(*b_, &state_), "345");
  EXPECT_EQ(ReadOnce(*b_, &state_), "67");
}

std::vector<size_t> RandomChunks(uint64_t seed) {
  SimulatedLoop loop;
  MemoryLink link;
  link.chunk_bytes = 10;
  link.random_chunks = true;
  link.seed = seed;
  auto [a, b] = NewMemoryPair(loop, link);
  a->Write(AsBytes(std::string(1000, 'x')));
  std::vector<size_t> sizes;
  IoState state;
  while (const size_t size = ReadOnce(*b, &state).size()) sizes.push_back(size);
  return sizes;
}

TEST_F(MemoryTransportTest, RandomChunksFollowTheSeed) {
  const std::vector<size_t> sizes = RandomChunks(5);
  EXPECT_EQ(*std::min_element(sizes.begin(), sizes.end()), 1u);
  EXPECT_EQ(*std::max_element(sizes.begin(), sizes.end()), 10u);
  EXPECT_EQ(sizes, RandomChunks(5));
  EXPECT_NE(sizes, RandomChunks(6));
}

TEST_F(MemoryTransportTest, LatencyDelaysBytesAndTheEnd) {
  MemoryLink link;
  link.latency = absl::Milliseconds(20);
  Connect(link);
  a_->Write(AsBytes("x"));
  EXPECT_EQ(a_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  EXPECT_EQ(ReadAll(*b_, &state_), "");
  EXPECT_EQ(state_, IoState::kWouldBlock);
  loop_.RunFor(absl::Milliseconds(19));
  EXPECT_EQ(on_b_.readable, 0);
  loop_.RunFor(absl::Milliseconds(1));
  EXPECT_EQ(on_b_.readable, 1);
  EXPECT_EQ(ReadAll(*b_, &state_), "x");
  EXPECT_EQ(state_, IoState::kEndOfStream);
}

TEST_F(MemoryTransportTest, HalfCloseLeavesTheOtherDirectionOpen) {
  Connect();
  a_->Write(AsBytes("question"));
  EXPECT_EQ(a_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  EXPECT_EQ(ReadAll(*b_, &state_), "question");
  EXPECT_EQ(state_, IoState::kEndOfStream);
  ReadAll(*a_, &state_);
  b_->Write(AsBytes("answer"));
  b_->ShutdownWrite(StreamEnd::kClean);
  loop_.RunUntilIdle();
  EXPECT_EQ(on_a_.readable, 1);
  EXPECT_EQ(ReadAll(*a_, &state_), "answer");
  EXPECT_EQ(state_, IoState::kEndOfStream);
  EXPECT_TRUE(a_->status().ok());
}

TEST_F(MemoryTransportTest, TruncatedEndDeliversAllBytesFirst) {
  MemoryLink link;
  link.latency = absl::Milliseconds(5);
  Connect(link);
  ReadAll(*b_, &state_);
  a_->Write(AsBytes("half a rec"));
  EXPECT_EQ(a_->ShutdownWrite(StreamEnd::kTruncated).state, IoState::kWouldBlock);
  EXPECT_EQ(ReadAll(*a_, &state_), "");
  EXPECT_EQ(state_, IoState::kWouldBlock) << "reading continues until the truncation";
  loop_.RunUntilIdle();
  EXPECT_EQ(on_a_.writable, 1);
  EXPECT_EQ(a_->ShutdownWrite(StreamEnd::kTruncated).state, IoState::kOk);
  loop_.RunFor(link.latency);
  EXPECT_EQ(ReadAll(*b_, &state_), "half a rec");
  EXPECT_EQ(state_, IoState::kFailed);
  EXPECT_EQ(CodeOf(b_->status()), ErrorCode::kTruncated);
  EXPECT_EQ(on_a_.readable, 1) << "the blocked read can make progress: it fails";
  ReadAll(*a_, &state_);
  EXPECT_EQ(state_, IoState::kFailed);
  EXPECT_EQ(CodeOf(a_->status()), ErrorCode::kCancelled);
}

TEST_F(MemoryTransportTest, AbortResetsThePeerAndDropsUnreadBytes) {
  Connect();
  ReadAll(*a_, &state_);
  ReadAll(*b_, &state_);
  a_->Write(AsBytes("lost"));
  a_->Abort();
  a_->Abort();
  loop_.RunUntilIdle();
  EXPECT_EQ(on_a_.readable, 0);
  EXPECT_EQ(on_b_.readable, 1);
  EXPECT_EQ(ReadAll(*b_, &state_), "");
  EXPECT_EQ(state_, IoState::kFailed);
  EXPECT_EQ(CodeOf(b_->status()), ErrorCode::kTruncated);
  EXPECT_EQ(b_->Write(AsBytes("x")).state, IoState::kFailed);
  EXPECT_EQ(b_->ShutdownWrite(StreamEnd::kClean).state, IoState::kFailed);
}

TEST_F(MemoryTransportTest, AbortWakesABlockedWriter) {
  MemoryLink link;
  link.capacity_bytes = 1;
  Connect(link);
  a_->Write(AsBytes("x"));
  EXPECT_EQ(a_->Write(AsBytes("y")).state, IoState::kWouldBlock);
  b_->Abort();
  loop_.RunUntilIdle();
  EXPECT_EQ(on_a_.writable, 1);
  EXPECT_EQ(a_->Write(AsBytes("y")).state, IoState::kFailed);
}

TEST_F(MemoryTransportTest, DestructionIsACleanEndWhenAllWasRead) {
  Connect();
  a_->Write(AsBytes("bye"));
  a_.reset();
  EXPECT_EQ(ReadAll(*b_, &state_), "bye");
  EXPECT_EQ(state_, IoState::kEndOfStream);
  EXPECT_EQ(b_->Write(AsBytes("nobody")).state, IoState::kOk)
      << "as with TCP, the RST comes back later";
  EXPECT_EQ(b_->Write(AsBytes("nobody")).state, IoState::kFailed);
}

TEST_F(MemoryTransportTest, DestructionWithUnreadBytesIsAReset) {
  Connect();
  b_->Write(AsBytes("unread"));
  a_.reset();
  ReadAll(*b_, &state_);
  EXPECT_EQ(state_, IoState::kFailed);
  EXPECT_EQ(CodeOf(b_->status()), ErrorCode::kTruncated);
}

TEST_F(MemoryTransportTest, BytesInFlightToADestroyedPeerCauseAReset) {
  MemoryLink slow;
  slow.latency = absl::Seconds(1);
  Connect({}, slow);
  b_->Write(AsBytes("late"));
  a_.reset();
  EXPECT_EQ(b_->Write(AsBytes("later")).state, IoState::kOk);
  loop_.RunFor(absl::Seconds(1));
  EXPECT_EQ(b_->Write(AsBytes("x")).state, IoState::kFailed);
  ReadAll(*b_, &state_);
  EXPECT_EQ(state_, IoState::kEndOfStream) << "its FIN came before the RST";
}

TEST_F(MemoryTransportTest, AResetAfterCountedBytesReachesBothEnds) {
  MemoryLink link;
  link.reset_after_bytes = 5;
  Connect(link);
  ReadAll(*a_, &state_);
  EXPECT_EQ(a_->Write(AsBytes("0123456789")).bytes, 5u);
  EXPECT_EQ(a_->Write(AsBytes("56789")).state, IoState::kFailed);
  loop_.RunUntilIdle();
  EXPECT_EQ(on_a_.readable, 1);
  EXPECT_EQ(CodeOf(a_->status()), ErrorCode::kTruncated);
  EXPECT_EQ(ReadAll(*b_, &state_), "01234");
  EXPECT_EQ(state_, IoState::kFailed);
}

TEST_F(MemoryTransportTest, AResetAfterCountedBytesHasTheLatency) {
  MemoryLink link;
  link.reset_after_bytes = 5;
  link.latency = absl::Seconds(1);
  Connect(link);
  EXPECT_EQ(a_->Write(AsBytes("0123456789")).bytes, 5u);
  EXPECT_EQ(a_->Write(AsBytes("56789")).state, IoState::kWouldBlock);
  loop_.RunUntilIdle();
  EXPECT_EQ(on_a_.writable, 1);
  EXPECT_EQ(a_->Write(AsBytes("56789")).state, IoState::kFailed);
}

TEST_F(MemoryTransportTest, AResetAfterNoBytesFailsTheFirstCalls) {
  MemoryLink link;
  link.reset_after_bytes = 0;
  Connect(link);
  EXPECT_EQ(a_->Write(AsBytes("x")).state, IoState::kFailed);
  ReadAll(*b_, &state_);
  EXPECT_EQ(state_, IoState::kFailed);
}

TEST_F(MemoryTransportTest, AStalledDirectionDeliversNothingMore) {
  MemoryLink link;
  link.stall_after_bytes = 5;
  Connect(link);
  EXPECT_EQ(a_->Write(AsBytes("0123456789")).bytes, 5u);
  EXPECT_EQ(a_->Write(AsBytes("56789")).state, IoState::kWouldBlock);
  EXPECT_EQ(ReadAll(*b_, &state_), "01234");
  EXPECT_EQ(state_, IoState::kWouldBlock);
  a_->ShutdownWrite(StreamEnd::kClean);
  a_->Abort();
  a_.reset();
  loop_.RunUntilIdle();
  ReadAll(*b_, &state_);
  EXPECT_EQ(state_, IoState::kWouldBlock) << "neither an end nor a reset arrives";
  EXPECT_EQ(on_b_.readable, 0);
}

TEST_F(MemoryTransportTest, TheOtherDirectionOfAStalledOneContinues) {
  MemoryLink link;
  link.stall_after_bytes = 0;
  Connect(link);
  EXPECT_EQ(a_->Write(AsBytes("x")).state, IoState::kWouldBlock);
  b_->Write(AsBytes("text"));
  b_->ShutdownWrite(StreamEnd::kClean);
  EXPECT_EQ(ReadAll(*a_, &state_), "text");
  EXPECT_EQ(state_, IoState::kEndOfStream);
}

TEST_F(MemoryTransportTest, ADirectionEndsAfterCountedBytes) {
  for (const uint64_t bytes : {0u, 5u}) {
    MemoryLink link;
    link.end_after_bytes = bytes;
    Connect(link);
    const std::string text = "0123456789";
    for (size_t sent = 0; sent < text.size();) {
      const IoResult result = a_->Write(AsBytes(text).subspan(sent));
      ASSERT_EQ(result.state, IoState::kOk) << "the writer gets no error";
      sent += result.bytes;
    }
    EXPECT_EQ(ReadAll(*b_, &state_), text.substr(0, bytes));
    EXPECT_EQ(state_, IoState::kEndOfStream);
    b_->Write(AsBytes("text"));
    EXPECT_EQ(ReadAll(*a_, &state_), "text");
  }
}

struct Destroyer final : TransportHandler {
  void OnReadable() override { victim.reset(); }
  void OnWritable() override { FAIL() << "a callback after destruction"; }
  std::unique_ptr<Transport> victim;
};

TEST_F(MemoryTransportTest, MayBeDestroyedInsideACallback) {
  MemoryLink link;
  link.capacity_bytes = 1;
  Connect({}, link);
  b_->Write(AsBytes("x"));
  EXPECT_EQ(b_->Write(AsBytes("y")).state, IoState::kWouldBlock);
  ReadAll(*b_, &state_);
  a_->Write(AsBytes("z"));
  Destroyer destroyer;
  b_->SetHandler(&destroyer);
  destroyer.victim = std::move(b_);
  // Both callbacks are due; the first one destroys the transport.
  ReadOnce(*a_, &state_);
  loop_.RunUntilIdle();
  EXPECT_EQ(destroyer.victim, nullptr);
}

using MemoryTransportDeathTest = MemoryTransportTest;

TEST_F(MemoryTransportDeathTest, ViolationsOfTheContractAreDetected) {
  Connect();
  EXPECT_DEATH(
      {
        a_->Abort();
        ReadAll(*a_, &state_);
      },
      "Read after Abort");
  EXPECT_DEATH(
      {
        a_->ShutdownWrite(StreamEnd::kClean);
        a_->Write(AsBytes("x"));
      },
      "Write after ShutdownWrite");
  EXPECT_DEATH(a_->Write({}), "Write of nothing");
}

TEST(MemoryDialerTest, ConnectsFromTheLoopAfterTheDelay) {
  SimulatedLoop loop;
  MemoryDialer dialer(loop);
  const Endpoint backend = *Endpoint::Parse("192.0.2.9:443");
  std::unique_ptr<Transport> near, far;
  dialer.Listen(
      backend, [&](std::unique_ptr<Transport> end) { far = std::move(end); }, absl::Seconds(1));
  const std::unique_ptr<Dial> dial =
      dialer.Connect(backend, [&](absl::StatusOr<std::unique_ptr<Transport>> end) {
        ASSERT_TRUE(end.ok());
        near = *std::move(end);
      });
  loop.RunReady();
  EXPECT_EQ(near, nullptr);
  loop.RunFor(absl::Seconds(1));
  ASSERT_NE(near, nullptr);
  ASSERT_NE(far, nullptr);
  EXPECT_EQ(near->info().peer, backend);
  EXPECT_EQ(far->info().peer, near->info().local);
  near->Write(AsBytes("hello"));
  IoState state;
  EXPECT_EQ(ReadAll(*far, &state), "hello");
  EXPECT_EQ(dialer.dials(), 1u);
}

TEST(MemoryDialerTest, RefusesWithoutAListener) {
  SimulatedLoop loop;
  MemoryDialer dialer(loop);
  absl::Status status;
  const std::unique_ptr<Dial> dial = dialer.Connect(
      *Endpoint::Parse("192.0.2.9:1"),
      [&](absl::StatusOr<std::unique_ptr<Transport>> end) { status = end.status(); });
  EXPECT_TRUE(status.ok()) << "never from inside Connect";
  loop.RunUntilIdle();
  EXPECT_EQ(CodeOf(status), ErrorCode::kTransport);
  EXPECT_EQ(GetError(status)->detail, "192.0.2.9:1 refused the connection");
}

TEST(MemoryDialerTest, FailsAsConfiguredOrNeverAnswers) {
  SimulatedLoop loop;
  MemoryDialer dialer(loop);
  const Endpoint slow = *Endpoint::Parse("192.0.2.9:1");
  const Endpoint silent = *Endpoint::Parse("192.0.2.9:2");
  dialer.Refuse(slow, absl::UnavailableError("told so"), absl::Seconds(3));
  dialer.Refuse(silent, absl::UnavailableError("never"), absl::InfiniteDuration());
  absl::Status status;
  const std::unique_ptr<Dial> first = dialer.Connect(
      slow, [&](absl::StatusOr<std::unique_ptr<Transport>> end) { status = end.status(); });
  const std::unique_ptr<Dial> second =
      dialer.Connect(silent, [](absl::StatusOr<std::unique_ptr<Transport>>) { FAIL(); });
  loop.RunUntilIdle();
  EXPECT_EQ(status.message(), "told so");
}

TEST(MemoryDialerTest, DestroyingTheDialCancelsIt) {
  SimulatedLoop loop;
  MemoryDialer dialer(loop);
  const Endpoint backend = *Endpoint::Parse("192.0.2.9:443");
  dialer.Listen(backend, [](std::unique_ptr<Transport>) { FAIL(); });
  std::unique_ptr<Dial> dial =
      dialer.Connect(backend, [](absl::StatusOr<std::unique_ptr<Transport>>) { FAIL(); });
  dial.reset();
  EXPECT_EQ(loop.RunUntilIdle(), 0u);
}

TEST(MemoryDialerTest, DialMayBeDestroyedInsideItsCallback) {
  SimulatedLoop loop;
  MemoryDialer dialer(loop);
  const Endpoint backend = *Endpoint::Parse("192.0.2.9:443");
  std::unique_ptr<Transport> far;
  dialer.Listen(backend, [&](std::unique_ptr<Transport> end) { far = std::move(end); });
  std::unique_ptr<Dial> dial;
  int calls = 0;
  dial = dialer.Connect(backend, [&](absl::StatusOr<std::unique_ptr<Transport>> end) {
    dial.reset();
    calls += end.ok() ? 1 : 0;
  });
  loop.RunUntilIdle();
  EXPECT_EQ(calls, 1);
  ASSERT_NE(far, nullptr);
}

}  // namespace
}  // namespace trestle::testing
