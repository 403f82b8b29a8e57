// TlsStream over random links, with faults, in seeded order: all bytes arrive, or both sides get an
// error.
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/support/stream_peer.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::testing {
namespace {

// Allows one callback for each kWouldBlock, and fails the test for any other.
class RuleKeeper final : public Transport, private TransportHandler {
 public:
  explicit RuleKeeper(std::unique_ptr<Transport> inner) : inner_(std::move(inner)) {
    inner_->SetHandler(this);
  }

  IoResult Read(MutableByteView out) override {
    const CallMark mark(*this);
    const IoResult result = inner_->Read(out);
    EXPECT_EQ(result.bytes > 0, result.state == IoState::kOk);
    EXPECT_LE(result.bytes, out.size());
    if (result.state == IoState::kWouldBlock) read_owed_ = true;
    EXPECT_TRUE(result.state != IoState::kFailed || !inner_->status().ok());
    return result;
  }
  IoResult Write(ByteView data) override {
    const CallMark mark(*this);
    const IoResult result = inner_->Write(data);
    EXPECT_EQ(result.bytes > 0, result.state == IoState::kOk);
    EXPECT_LE(result.bytes, data.size());
    EXPECT_NE(result.state, IoState::kEndOfStream);
    if (result.state == IoState::kWouldBlock) write_owed_ = true;
    EXPECT_TRUE(result.state != IoState::kFailed || !inner_->status().ok());
    return result;
  }
  IoResult ShutdownWrite(StreamEnd end) override {
    const CallMark mark(*this);
    const IoResult result = inner_->ShutdownWrite(end);
    if (result.state == IoState::kWouldBlock) write_owed_ = true;
    return result;
  }
  void Abort() override { inner_->Abort(); }
  void SetHandler(TransportHandler* handler) override { handler_ = handler; }
  absl::Status status() const override { return inner_->status(); }
  TransportInfo info() const override { return inner_->info(); }

 private:
  // Marks that a call is on the stack during its lifetime.
  class CallMark {
   public:
    explicit CallMark(RuleKeeper& keeper) : keeper_(keeper) { ++keeper_.calls_; }
    ~CallMark() { --keeper_.calls_; }

   private:
    RuleKeeper& keeper_;
  };

  void OnReadable() override {
    EXPECT_EQ(calls_, 0);
    EXPECT_TRUE(std::exchange(read_owed_, false)) << "OnReadable without a blocked read";
    if (handler_ != nullptr) handler_->OnReadable();
  }
  void OnWritable() override {
    EXPECT_EQ(calls_, 0);
    EXPECT_TRUE(std::exchange(write_owed_, false)) << "OnWritable without a blocked write";
    if (handler_ != nullptr) handler_->OnWritable();
  }

  std::unique_ptr<Transport> inner_;
  TransportHandler* handler_ = nullptr;
  int calls_ = 0;
  bool read_owed_ = false;
  bool write_owed_ = false;
};

std::string MakeText(std::mt19937_64& random, size_t bytes) {
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

class TlsStreamSimulation : public TlsTest, public ::testing::WithParamInterface<int> {
 protected:
  // One side: its stream, and the events on it.
  struct Side {
    std::unique_ptr<TlsStream> stream;
    std::unique_ptr<StreamPeer> peer;
    std::optional<absl::Status> done;
    std::string to_send;
  };

  TlsStreamSimulation() : random_(static_cast<uint64_t>(GetParam())) {}

  MemoryLink RandomLink() {
    MemoryLink link;
    link.seed = random_();
    link.random_chunks = random_() % 2 == 0;
    const size_t chunks[] = {0, 1, 5, 1400, 16'384, 70'000};
    link.chunk_bytes = chunks[random_() % 6];
    const size_t capacities[] = {1, 100, 4'096, 65'536, 1 << 20};
    link.capacity_bytes = capacities[random_() % 5];
    link.latency = absl::Milliseconds(static_cast<int64_t>(random_() % 3) * 10);
    return link;
  }

  static bool IsNarrow(const MemoryLink& link) {
    return link.capacity_bytes < 1'000 || (link.chunk_bytes > 0 && link.chunk_bytes < 1'000);
  }

  void Start(const MemoryLink& to_server, const MemoryLink& to_client) {
    auto [client_end, server_end] = NewMemoryPair(loop_, to_server, to_client);
    ServerTlsOptions options;
    options.parameters = Only(random_() % 2 == 0 ? TlsVersion::kTls12 : TlsVersion::kTls13);
    client_.stream = std::make_unique<TlsStream>(
        MakeClient(), std::make_unique<RuleKeeper>(std::move(client_end)), loop_);
    server_.stream = std::make_unique<TlsStream>(
        MakeServer(std::move(options)), std::make_unique<RuleKeeper>(std::move(server_end)), loop_);
    // Over links of a few bytes, a few bytes are sufficient.
    const bool narrow = IsNarrow(to_server) || IsNarrow(to_client);
    for (Side* side : {&client_, &server_}) {
      side->to_send = MakeText(random_, random_() % (narrow ? 20'000 : 200'000));
      side->stream->Handshake([this, side](absl::Status status) {
        EXPECT_FALSE(side->done.has_value());
        side->done = std::move(status);
        if (!side->done->ok()) return;
        // The peer takes over the stream inside the callback.
        side->peer = std::make_unique<StreamPeer>(
            loop_, std::make_unique<RuleKeeper>(std::move(side->stream)));
        side->peer->Send(side->to_send);
        side->peer->End();
      });
    }
  }

  std::mt19937_64 random_;
  Side client_;
  Side server_;
};

TEST_P(TlsStreamSimulation, AllBytesArriveAndBothEndsAreClean) {
  Start(RandomLink(), RandomLink());
  loop_.RunUntilIdle(/*max_calls=*/20'000'000);
  for (Side* side : {&client_, &server_}) {
    ASSERT_TRUE(side->done.has_value());
    ASSERT_TRUE(side->done->ok()) << *side->done;
    EXPECT_TRUE(side->peer->saw_end());
    EXPECT_TRUE(side->peer->finished_sending());
    EXPECT_TRUE(side->peer->failure().ok()) << side->peer->failure();
  }
  EXPECT_TRUE(client_.peer->received() == server_.to_send);
  EXPECT_TRUE(server_.peer->received() == client_.to_send);
  EXPECT_EQ(loop_.buffers().lent_blocks(), 0u);
}

TEST_P(TlsStreamSimulation, AResetAtAnyByteIsAnErrorOnBothSides) {
  MemoryLink to_server = RandomLink();
  MemoryLink to_client = RandomLink();
  (random_() % 2 == 0 ? to_server : to_client).reset_after_bytes = random_() % 4'000;
  Start(to_server, to_client);
  loop_.RunUntilIdle(/*max_calls=*/20'000'000);
  for (Side* side : {&client_, &server_}) {
    ASSERT_TRUE(side->done.has_value());
    if (!side->done->ok()) {
      EXPECT_EQ(CodeOf(*side->done), ErrorCode::kTruncated);
      continue;
    }
    // A side that received and sent all bytes may have ended before the reset.
    const Side& other = side == &client_ ? server_ : client_;
    const std::string& received = side->peer->received();
    EXPECT_TRUE(received == other.to_send.substr(0, received.size()));
    EXPECT_TRUE(!side->peer->failure().ok() || side->peer->saw_end());
    EXPECT_TRUE(!side->peer->saw_end() || received.size() == other.to_send.size());
  }
}

TEST_P(TlsStreamSimulation, EitherSideMayBeDestroyedAtAnyTime) {
  Start(RandomLink(), RandomLink());
  loop_.RunReady(random_() % 200);
  Side& gone = random_() % 2 == 0 ? client_ : server_;
  const bool aborts = random_() % 2 == 0;
  if (gone.peer != nullptr && aborts) gone.peer->Abort();
  if (gone.stream != nullptr && aborts) gone.stream->Abort();
  gone.peer.reset();
  gone.stream.reset();
  loop_.RunUntilIdle(/*max_calls=*/20'000'000);
  Side& left = &gone == &client_ ? server_ : client_;
  ASSERT_TRUE(left.done.has_value());
  if (left.peer != nullptr) {
    EXPECT_TRUE(!left.peer->failure().ok() || left.peer->saw_end());
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, TlsStreamSimulation, ::testing::Range(1, 61));

}  // namespace
}  // namespace trestle::testing
