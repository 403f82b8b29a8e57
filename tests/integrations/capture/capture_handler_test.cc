#include "integrations/capture/capture_handler.h"

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/support/stream_peer.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {
namespace {

struct Record {
  std::string to_backend;
  std::string to_client;
  CaptureTotals totals;
  bool closed = false;
};

class RecordingSink final : public CaptureSink {
 public:
  explicit RecordingSink(Record& record) : record_(record) {}
  void OnBytes(Direction direction, ByteView bytes, absl::Time) override {
    (direction == Direction::kToBackend ? record_.to_backend : record_.to_client) += AsText(bytes);
  }
  void OnClosed(const CaptureTotals& totals, absl::Time) override {
    record_.totals = totals;
    record_.closed = true;
  }

 private:
  Record& record_;
};

/// Keeps the last connection.
class KeepingHandler final : public ConnectionHandler {
 public:
  explicit KeepingHandler(testing::SimulatedLoop& loop) : loop_(loop) {}
  void Serve(Accepted connection) override {
    peer = std::make_unique<StreamPeer>(loop_, std::move(connection.transport));
  }

  std::unique_ptr<StreamPeer> peer;

 private:
  testing::SimulatedLoop& loop_;
};

class CaptureHandlerTest : public ::testing::Test {
 protected:
  CaptureHandlerTest()
      : next_(loop_), capture_(loop_, next_, [this](const ConnectionOrigin&) {
          return std::make_unique<RecordingSink>(record_);
        }) {}

  std::unique_ptr<StreamPeer> Connect(const testing::MemoryLink& link = {}) {
    auto [client, server] = testing::NewMemoryPair(loop_, link, link);
    capture_.Serve(Accepted(std::move(server)));
    return std::make_unique<StreamPeer>(loop_, std::move(client));
  }

  testing::SimulatedLoop loop_;
  Record record_;
  KeepingHandler next_;
  CaptureHandler capture_;
};

TEST_F(CaptureHandlerTest, ShowsEachByteOnceAndBothEnds) {
  testing::MemoryLink link;
  link.chunk_bytes = 3;
  const auto client = Connect(link);
  client->Send("request");
  loop_.RunReady();
  next_.peer->Send("response");
  client->End();
  loop_.RunReady();
  next_.peer->End();
  loop_.RunReady();
  EXPECT_EQ(client->received(), "response");
  EXPECT_TRUE(client->saw_end());
  EXPECT_FALSE(record_.closed);
  next_.peer.reset();
  EXPECT_TRUE(record_.closed);
  EXPECT_EQ(record_.to_backend, "request");
  EXPECT_EQ(record_.to_client, "response");
  EXPECT_EQ(record_.totals.bytes_to_client, 8u);
  EXPECT_TRUE(record_.totals.ended_to_backend);
  EXPECT_TRUE(record_.totals.ended_to_client);
}

TEST_F(CaptureHandlerTest, AnAbortIsNoEnd) {
  const auto client = Connect();
  client->Send("request");
  loop_.RunReady();
  next_.peer->Abort();
  next_.peer.reset();
  EXPECT_EQ(record_.to_backend, "request");
  EXPECT_TRUE(record_.closed);
  EXPECT_FALSE(record_.totals.ended_to_client);
}

}  // namespace
}  // namespace trestle
