// The relay with pipes that bypass its buffer, in virtual time: simulated pipes over memory.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/stream_peer.h"
#include "trestle/base/error.h"
#include "trestle/io/relay.h"
#include "trestle/io/splice_buffer.h"
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

struct FakePipe final : SpliceBuffer {
  size_t size() const override { return held.size(); }
  std::string held;
};

/// Sometimes has no pipe to lend.
struct FakePipes final : SplicePool {
  explicit FakePipes(SimulatedLoop& loop) : loop(loop) {}
  std::unique_ptr<SpliceBuffer> Take() override {
    if (loop.random()() % 8 == 0) return nullptr;
    ++lent;
    return std::make_unique<FakePipe>();
  }
  void Return(std::unique_ptr<SpliceBuffer> pipe) override {
    EXPECT_NE(pipe, nullptr);
    --lent;
  }
  SimulatedLoop& loop;
  int lent = 0;
};

/// A memory transport that can exchange bytes through pipes. It sometimes moves fewer bytes than it
/// could, and sometimes only by `Read`.
class DirectTransport final : public Transport {
 public:
  DirectTransport(FakePipes& pipes, std::unique_ptr<Transport> inner)
      : pipes_(pipes), inner_(std::move(inner)) {}

  IoResult Read(MutableByteView out) override { return inner_->Read(out); }
  IoResult Write(ByteView data) override { return inner_->Write(data); }
  IoResult ShutdownWrite(StreamEnd end) override { return inner_->ShutdownWrite(end); }
  void Abort() override { inner_->Abort(); }
  void SetHandler(TransportHandler* handler) override { inner_->SetHandler(handler); }
  absl::Status status() const override { return inner_->status(); }
  TransportInfo info() const override { return inner_->info(); }
  SplicePool* splice_pool() override { return &pipes_; }

  IoResult ReadInto(SpliceBuffer& pipe, size_t max_bytes) override {
    std::string& held = static_cast<FakePipe&>(pipe).held;
    EXPECT_TRUE(held.empty());
    if (pipes_.loop.random()() % 8 == 0) return {};
    held.resize(1 + pipes_.loop.random()() % max_bytes);
    const IoResult result =
        inner_->Read(MutableByteView(reinterpret_cast<uint8_t*>(&held[0]), held.size()));
    held.resize(result.bytes);
    return result;
  }

  IoResult WriteFrom(SpliceBuffer& pipe) override {
    std::string& held = static_cast<FakePipe&>(pipe).held;
    EXPECT_FALSE(held.empty());
    const IoResult result = inner_->Write(AsBytes(held));
    held.erase(0, result.bytes);
    return result;
  }

 private:
  FakePipes& pipes_;
  const std::unique_ptr<Transport> inner_;
};

/// A client and a backend with a relay between them.
struct Relayed {
  Relayed(SimulatedLoop& loop, const MemoryLink& link, const RelayOptions& options,
          bool one_kind = true)
      : pipes(loop), other_pipes(loop) {
    auto [client_end, front_end] = NewMemoryPair(loop, link, link);
    auto [back_end, backend_end] = NewMemoryPair(loop, link, link);
    front = std::make_unique<DirectTransport>(pipes, std::move(front_end));
    back = std::make_unique<DirectTransport>(one_kind ? pipes : other_pipes, std::move(back_end));
    client.emplace(loop, std::move(client_end));
    backend.emplace(loop, std::move(backend_end));
    relay = std::make_unique<Relay>(loop, *front, *back, nullptr, options);
    relay->Start([this](absl::Status status) {
      ++done_calls;
      outcome = std::move(status);
    });
  }

  FakePipes pipes;
  FakePipes other_pipes;
  std::unique_ptr<Transport> front;
  std::unique_ptr<Transport> back;
  std::optional<StreamPeer> client;
  std::optional<StreamPeer> backend;
  std::unique_ptr<Relay> relay;
  int done_calls = 0;
  std::optional<absl::Status> outcome;
};

MemoryLink RandomLink(SimulatedLoop& loop) {
  MemoryLink link;
  link.capacity_bytes = 1 + loop.random()() % 70000;
  link.chunk_bytes = 1 + loop.random()() % 20000;
  link.random_chunks = true;
  link.seed = loop.random()();
  link.latency = absl::Microseconds(loop.random()() % 2000);
  return link;
}

RelayOptions RandomOptions(SimulatedLoop& loop) {
  RelayOptions options;
  // Small enough to be filled by a read, which begins a bulk transfer.
  options.buffer_bytes = 1 + loop.random()() % 3000;
  options.turn_bytes = 1 + loop.random()() % 300000;
  return options;
}

class RelayDirectTest : public ::testing::TestWithParam<int> {};

TEST_P(RelayDirectTest, OutputEqualsInput) {
  SimulatedLoop loop(GetParam());
  const MemoryLink link = RandomLink(loop);
  Relayed r(loop, link, RandomOptions(loop));
  const std::string up = Pattern(loop.random()() % 300000, GetParam());
  const std::string down = Pattern(loop.random()() % 300000, GetParam() + 1);
  r.client->Send(up);
  r.client->End();
  r.backend->Send(down);
  r.backend->End();
  loop.RunFor(absl::Hours(2), 30'000'000);
  EXPECT_TRUE(r.backend->received() == up);
  EXPECT_TRUE(r.client->received() == down);
  EXPECT_EQ(r.relay->bytes_written(Leg::kFront), down.size());
  EXPECT_LE(r.relay->bytes_spliced(Leg::kFront), down.size());
  ASSERT_EQ(r.done_calls, 1);
  EXPECT_TRUE(r.outcome->ok()) << *r.outcome;
  EXPECT_FALSE(r.relay->holds_buffers());
  EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
  EXPECT_EQ(r.pipes.lent, 0);
}

TEST_P(RelayDirectTest, ATruncatedStreamIsDeliveredAndReported) {
  SimulatedLoop loop(GetParam());
  MemoryLink link = RandomLink(loop);
  Relayed r(loop, link, RandomOptions(loop));
  const std::string down = Pattern(loop.random()() % 300000, GetParam());
  r.backend->Send(down);
  r.backend->End(StreamEnd::kTruncated);
  loop.RunFor(absl::Minutes(4), 30'000'000);
  EXPECT_TRUE(r.client->received() == down);
  EXPECT_FALSE(r.client->saw_end());
  ASSERT_EQ(r.done_calls, 1);
  EXPECT_EQ(GetError(*r.outcome)->code, ErrorCode::kTruncated);
  EXPECT_EQ(GetError(*r.outcome)->leg, Leg::kBack);
  r.relay.reset();
  EXPECT_EQ(r.pipes.lent, 0);
}

TEST_P(RelayDirectTest, MayBeDestroyedAtAnyMoment) {
  SimulatedLoop loop(GetParam());
  MemoryLink link = RandomLink(loop);
  Relayed r(loop, link, RandomOptions(loop));
  r.client->Send(Pattern(100000, 1));
  r.backend->Send(Pattern(100000, 2));
  loop.RunReady(loop.random()() % 500);
  r.relay.reset();
  EXPECT_EQ(r.pipes.lent, 0);
  EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RelayDirectTest, ::testing::Range(0, 100));

TEST(RelayDirectPathTest, CopiesBetweenLegsThatShareNoPipes) {
  SimulatedLoop loop;
  RelayOptions options;
  options.buffer_bytes = 4096;
  Relayed r(loop, {}, options, false);
  r.backend->Send(Pattern(1'000'000, 1));
  loop.RunReady();
  EXPECT_EQ(r.client->received().size(), 1'000'000u);
  EXPECT_EQ(r.relay->bytes_spliced(Leg::kFront), 0u);
}

TEST(RelayDirectPathTest, CarriesBulkDirectlyUnlessDisabled) {
  for (const bool allowed : {false, true}) {
    SimulatedLoop loop;
    RelayOptions options;
    options.buffer_bytes = 4096;
    options.splice = allowed;
    Relayed r(loop, {}, options);
    r.backend->Send(Pattern(1'000'000, 1));
    loop.RunReady();
    EXPECT_EQ(r.client->received().size(), 1'000'000u);
    EXPECT_EQ(r.relay->bytes_spliced(Leg::kFront) > 300'000, allowed);
    EXPECT_EQ(r.relay->bytes_spliced(Leg::kBack), 0u);
  }
}

}  // namespace
}  // namespace trestle
