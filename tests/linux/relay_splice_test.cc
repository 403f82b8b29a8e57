// The relay over sockets behaves the same with splice(2) and with copies of bulk.
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/linux/kernel_pipe.h"
#include "tests/linux/loopback.h"
#include "tests/support/stream_peer.h"
#include "trestle/io/inspector.h"
#include "trestle/io/prefixed_transport.h"
#include "trestle/io/relay.h"
#include "trestle/linux/tcp_transport.h"

namespace trestle {
namespace {

constexpr size_t kBulk = 3'000'000;

std::string Pattern(size_t bytes, uint32_t seed) {
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return text;
}

/// Two ends of a connection over loopback.
std::pair<OwnedFd, OwnedFd> SocketPair() {
  const OwnedFd listener = RawListener();
  OwnedFd near = RawClient(LocalEndpoint(listener.get()));
  OwnedFd far(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK));
  EXPECT_TRUE(near.valid() && far.valid());
  fcntl(near.get(), F_SETFL, O_NONBLOCK);
  const int on = 1;
  setsockopt(far.get(), SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
  return {std::move(near), std::move(far)};
}

std::unique_ptr<Transport> TransportOver(EpollLoop& loop, OwnedFd socket) {
  auto transport = TcpTransport::Create(loop, std::move(socket));
  EXPECT_TRUE(transport.ok()) << transport.status();
  return *std::move(transport);
}

/// A client and a backend with a relay between them, all on one loop.
struct Relayed {
  Relayed(EpollLoop& loop, const RelayOptions& options, std::string prefix = "",
          Inspector* inspector = nullptr) {
    auto [client_end, front_end] = SocketPair();
    auto [backend_end, back_end] = SocketPair();
    front = std::make_unique<PrefixedTransport>(std::move(prefix),
                                                TransportOver(loop, std::move(front_end)));
    back = TransportOver(loop, std::move(back_end));
    client = std::make_unique<StreamPeer>(loop, TransportOver(loop, std::move(client_end)));
    backend = std::make_unique<StreamPeer>(loop, TransportOver(loop, std::move(backend_end)));
    relay = std::make_unique<Relay>(loop, *front, *back, inspector, options);
    relay->Start([this](absl::Status status) { outcome = std::move(status); });
  }

  uint64_t bytes_inside(Leg source) const {
    const Leg sink = source == Leg::kFront ? Leg::kBack : Leg::kFront;
    return relay->bytes_read(source) - relay->bytes_written(sink);
  }

  std::optional<Error> error() const {
    return outcome.has_value() ? GetError(*outcome) : std::nullopt;
  }

  std::unique_ptr<Transport> front;
  std::unique_ptr<Transport> back;
  std::unique_ptr<StreamPeer> client;
  std::unique_ptr<StreamPeer> backend;
  std::unique_ptr<Relay> relay;
  std::optional<absl::Status> outcome;
};

class RelaySpliceTest : public ::testing::TestWithParam<bool> {
 protected:
  RelaySpliceTest() { options_.splice = GetParam(); }

  // Expects that bulk was spliced if enabled, except for its beginning.
  void ExpectBulk(uint64_t bytes_spliced, uint64_t bytes) const {
    if (GetParam()) {
      EXPECT_GE(bytes_spliced, bytes / 2);
    } else {
      EXPECT_EQ(bytes_spliced, 0u);
    }
  }

  // Runs the loop until a turn has nothing to do, which never happens if the relay spins.
  bool TurnUntilIdle() {
    return TurnUntil(*loop_, [&] {
      const auto start = std::chrono::steady_clock::now();
      loop_->RunTurn(absl::Milliseconds(10));
      return std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(10);
    });
  }

  size_t lent() { return loop_->kernel_pipe_pool().lent(); }

  std::unique_ptr<EpollLoop> loop_ = *EpollLoop::Create();
  RelayOptions options_;
};

INSTANTIATE_TEST_SUITE_P(Direct, RelaySpliceTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Spliced" : "Copied"; });

TEST_P(RelaySpliceTest, CarriesBulkInBothDirectionsAndEndsCleanly) {
  Relayed r(*loop_, options_);
  const std::string up = Pattern(kBulk, 1);
  const std::string down = Pattern(2 * kBulk + 1, 2);
  r.client->Send(up);
  r.client->End();
  r.backend->Send(down);
  r.backend->End();
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.outcome && r.client->saw_end(); }));
  EXPECT_TRUE(r.outcome->ok()) << *r.outcome;
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return r.backend->saw_end(); }));
  EXPECT_TRUE(r.backend->received() == up);
  EXPECT_TRUE(r.client->received() == down);
  EXPECT_EQ(r.relay->bytes_read(Leg::kFront), up.size());
  EXPECT_EQ(r.relay->bytes_written(Leg::kBack), up.size());
  EXPECT_EQ(r.relay->bytes_read(Leg::kBack), down.size());
  EXPECT_EQ(r.relay->bytes_written(Leg::kFront), down.size());
  ExpectBulk(r.relay->bytes_spliced(Leg::kFront), down.size());
  EXPECT_FALSE(r.relay->holds_buffers());
  EXPECT_EQ(lent(), 0u);
}

TEST_P(RelaySpliceTest, AHalfClosedClientStillGetsTheResponse) {
  Relayed r(*loop_, options_);
  const std::string up = Pattern(kBulk, 3);
  r.client->Send(up);
  r.client->End();
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.backend->saw_end(); }));
  EXPECT_TRUE(r.backend->received() == up);
  EXPECT_FALSE(r.outcome.has_value());
  ExpectBulk(r.relay->bytes_spliced(Leg::kBack), up.size());
  const std::string down = Pattern(kBulk, 4);
  r.backend->Send(down);
  r.backend->End();
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.client->saw_end() && r.outcome; }));
  EXPECT_TRUE(r.client->received() == down);
  EXPECT_TRUE(r.outcome->ok());
}

TEST_P(RelaySpliceTest, AHalfClosedBackendStillGetsTheRest) {
  Relayed r(*loop_, options_);
  const std::string down = Pattern(kBulk, 5);
  r.backend->Send(down);
  r.backend->End();
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.client->saw_end(); }));
  EXPECT_TRUE(r.client->received() == down);
  const std::string up = Pattern(kBulk, 6);
  r.client->Send(up);
  r.client->End();
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.backend->saw_end() && r.outcome; }));
  EXPECT_TRUE(r.backend->received() == up);
  EXPECT_TRUE(r.outcome->ok());
}

TEST_P(RelaySpliceTest, ATruncatedBackendIsReportedAfterAllItsBytes) {
  for (const size_t bytes : {70'000, 1'000'000, 3'000'001}) {
    Relayed r(*loop_, options_);
    const std::string part = Pattern(bytes, 7);
    r.backend->Send(part);
    r.backend->End(StreamEnd::kTruncated);
    ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.outcome.has_value(); }));
    TurnUntil(*loop_, [&] { return r.client->received().size() == bytes; });
    EXPECT_TRUE(r.client->received() == part);
    EXPECT_FALSE(r.client->saw_end()) << "a truncated stream must not look complete";
    ASSERT_TRUE(r.error().has_value());
    EXPECT_EQ(r.error()->code, ErrorCode::kTruncated);
    EXPECT_EQ(r.error()->leg, Leg::kBack);
  }
}

// Also shows that no SIGPIPE ends this process.
TEST_P(RelaySpliceTest, AClientThatClosesDuringBulkIsReported) {
  Relayed r(*loop_, options_);
  r.backend->Send(Pattern(10 * kBulk, 8));
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.client->received().size() > kBulk; }));
  r.client->Abort();
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.outcome.has_value(); }));
  ASSERT_TRUE(r.error().has_value());
  EXPECT_EQ(r.error()->leg, Leg::kFront);
  EXPECT_EQ(r.error()->code, ErrorCode::kTruncated);
  r.relay.reset();
  EXPECT_EQ(lent(), 0u);
  EXPECT_EQ(loop_->buffers().lent_blocks(), 0u);
}

TEST_P(RelaySpliceTest, ASlowReaderSlowsTheSenderAndFewBytesAreHeld) {
  Relayed r(*loop_, options_);
  r.client->SetReading(false);
  const std::string down = Pattern(32 << 20, 9);
  r.backend->Send(down);
  uint64_t most_inside = 0;
  ASSERT_TRUE(TurnUntil(*loop_, [&] {
    most_inside = std::max(most_inside, r.bytes_inside(Leg::kBack));
    return r.relay->bytes_read(Leg::kBack) > kBulk;
  }));
  EXPECT_TRUE(TurnUntilIdle());
  most_inside = std::max(most_inside, r.bytes_inside(Leg::kBack));
  const size_t unsent = r.backend->unsent_bytes();
  EXPECT_GT(unsent, down.size() / 4);
  EXPECT_LE(most_inside, options_.buffer_bytes);
  EXPECT_LE(lent(), 1u);
  EXPECT_LE(loop_->buffers().lent_blocks(), 1u);
  r.client->SetReading(true);
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.client->received().size() == down.size(); }));
  EXPECT_TRUE(r.client->received() == down);
  ExpectBulk(r.relay->bytes_spliced(Leg::kFront), down.size());
}

TEST_P(RelaySpliceTest, OneTurnOfABusyConnectionIsBounded) {
  options_.turn_bytes = 64 * 1024;
  Relayed r(*loop_, options_);
  r.backend->Send(Pattern(10 * kBulk, 10));
  uint64_t most = 0;
  ASSERT_TRUE(TurnUntil(*loop_, [&] {
    const uint64_t before = r.relay->bytes_read(Leg::kBack);
    loop_->RunTurn(absl::ZeroDuration());
    most = std::max(most, r.relay->bytes_read(Leg::kBack) - before);
    return r.client->received().size() == 10 * kBulk;
  }));
  // A turn has at most a readable callback, a writable one and one continued turn.
  EXPECT_LE(most, 3 * (options_.turn_bytes + options_.buffer_bytes));
}

TEST_P(RelaySpliceTest, SmallMessagesAreCopied) {
  Relayed r(*loop_, options_);
  for (size_t i = 1; i <= 50; ++i) {
    r.client->Send(std::string(1000, 'q'));
    ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.backend->received().size() == i * 1000; }));
    r.backend->Send(std::string(20'000, 'a'));
    ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.client->received().size() == i * 20'000; }));
  }
  EXPECT_EQ(r.relay->bytes_spliced(Leg::kFront) + r.relay->bytes_spliced(Leg::kBack), 0u);
}

TEST_P(RelaySpliceTest, AnIdleConnectionHoldsNoPipe) {
  Relayed r(*loop_, options_);
  for (size_t i = 1; i <= 3; ++i) {
    r.backend->Send(Pattern(kBulk, 11));
    ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.client->received().size() == i * kBulk; }));
    EXPECT_TRUE(TurnUntilIdle());
    EXPECT_FALSE(r.relay->holds_buffers());
    EXPECT_EQ(lent(), 0u);
    ExpectBulk(r.relay->bytes_spliced(Leg::kFront), i * kBulk);
  }
}

TEST_P(RelaySpliceTest, BytesThatDoNotMoveTimeOut) {
  options_.idle_timeout = absl::Milliseconds(50);
  Relayed r(*loop_, options_);
  r.client->SetReading(false);
  r.backend->Send(Pattern(32 << 20, 12));
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.outcome.has_value(); }));
  EXPECT_EQ(r.error()->code, ErrorCode::kTimeout);
  r.relay.reset();
  EXPECT_EQ(lent(), 0u);
}

TEST_P(RelaySpliceTest, BytesReadAheadComeFirst) {
  const std::string prefix = Pattern(100'000, 13);
  Relayed r(*loop_, options_, prefix);
  const std::string up = Pattern(kBulk, 14);
  r.client->Send(up);
  r.client->End();
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.backend->saw_end(); }));
  EXPECT_TRUE(r.backend->received() == prefix + up);
  ExpectBulk(r.relay->bytes_spliced(Leg::kBack), up.size());
}

// splice(2) stops at an urgent mark, and then reports an end that isn't one.
TEST_P(RelaySpliceTest, AnUrgentByteDuringBulkLosesNothing) {
  Relayed r(*loop_, options_);
  std::string sent;
  const int fd = static_cast<TcpTransport&>(r.backend->transport()).fd();
  for (uint32_t i = 0; i < 20; ++i) {
    const std::string bulk = Pattern(400'000, i);
    r.backend->Send(bulk);
    ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.backend->unsent_bytes() == 0; }));
    sent += bulk;
    if (i < 10) continue;
    ASSERT_TRUE(TurnUntil(*loop_, [&] { return send(fd, "!", 1, MSG_OOB | MSG_NOSIGNAL) == 1; }));
    sent += "!";
  }
  r.backend->Send("the end");
  r.backend->End();
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.client->saw_end(); }));
  EXPECT_TRUE(r.client->received() == sent + "the end")
      << r.client->received().size() << " of " << sent.size();
}

TEST_P(RelaySpliceTest, CopiesIfDescriptorsHaveRunOut) {
  Relayed r(*loop_, options_);
  const DescriptorFamine famine;
  const std::string down = Pattern(kBulk, 15);
  r.backend->Send(down);
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.client->received().size() == down.size(); }));
  EXPECT_TRUE(r.client->received() == down);
  EXPECT_EQ(r.relay->bytes_spliced(Leg::kFront), 0u);
  EXPECT_EQ(loop_->kernel_pipe_pool().failures() > 0, GetParam());
}

TEST_P(RelaySpliceTest, TheSmallestBuffersWork) {
  for (const size_t buffer_bytes : {1, 3, 1000}) {
    options_.buffer_bytes = buffer_bytes;
    Relayed r(*loop_, options_);
    const std::string down = Pattern(20'000, 17);
    r.backend->Send(down);
    r.backend->End();
    ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.client->saw_end(); }));
    EXPECT_TRUE(r.client->received() == down);
    EXPECT_TRUE(TurnUntilIdle());
  }
}

TEST_P(RelaySpliceTest, InspectedBytesAreCopied) {
  struct PassAll final : Inspector {
    Verdict Inspect(Direction, ByteView pending, bool) override {
      return Verdict::Forward(pending.size());
    }
  } inspector;
  Relayed r(*loop_, options_, "", &inspector);
  const std::string down = Pattern(kBulk, 16);
  r.backend->Send(down);
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return r.client->received().size() == down.size(); }));
  EXPECT_EQ(r.relay->bytes_spliced(Leg::kFront), 0u);
}

TEST(KernelPipePoolTest, LendsABoundedNumberAndKeepsFew) {
  KernelPipePool pipes;
  std::vector<std::unique_ptr<SpliceBuffer>> lent;
  for (size_t i = 0; i < KernelPipePool::kMaxLentPipes; ++i) {
    lent.push_back(pipes.Take());
    ASSERT_NE(lent.back(), nullptr);
  }
  EXPECT_EQ(pipes.Take(), nullptr);
  EXPECT_EQ(pipes.failures(), 1u);
  for (auto& pipe : lent) pipes.Return(std::move(pipe));
  EXPECT_EQ(pipes.lent(), 0u);
  // Kept pipes are lent again although there are no descriptors; no others are.
  const DescriptorFamine famine;
  size_t kept = 0;
  for (lent.clear(); auto pipe = pipes.Take(); ++kept) lent.push_back(std::move(pipe));
  EXPECT_EQ(kept, KernelPipePool::kMaxFreePipes);
}

TEST(KernelPipePoolTest, APipeThatStillHoldsBytesIsNotLentAgain) {
  KernelPipePool pipes;
  auto [near, far] = SocketPair();
  RawSend(near.get(), "left over");
  std::unique_ptr<SpliceBuffer> pipe = pipes.Take();
  EXPECT_EQ(static_cast<KernelPipe&>(*pipe).Fill(far.get(), 100), 9);
  EXPECT_EQ(pipe->size(), 9u);
  pipes.Return(std::move(pipe));
  EXPECT_EQ(pipes.Take()->size(), 0u);
}

TEST(KernelPipePoolTest, RaisesNoSigpipeWhetherItIsBlockedOrNot) {
  for (const bool blocked : {false, true}) {
    sigset_t sigpipe;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &sigpipe, nullptr);
    const std::unique_ptr<KernelPipe> pipe = KernelPipe::Create();
    auto [near, far] = SocketPair();
    RawSend(near.get(), "bytes");
    EXPECT_EQ(pipe->Fill(far.get(), 100), 5);
    shutdown(far.get(), SHUT_WR);
    EXPECT_EQ(pipe->Drain(far.get()), -1);
    EXPECT_EQ(errno, EPIPE);
    sigset_t pending;
    sigpending(&pending);
    EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
    pthread_sigmask(SIG_UNBLOCK, &sigpipe, nullptr);
  }
}

}  // namespace
}  // namespace trestle
