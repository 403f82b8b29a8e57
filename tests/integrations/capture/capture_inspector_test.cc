#include "integrations/capture/capture_inspector.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/stream_peer.h"
#include "trestle/base/error.h"
#include "trestle/io/inspector_chain.h"
#include "trestle/io/pattern_blocker.h"
#include "trestle/io/relay.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {
namespace {

using testing::MemoryLink;
using testing::NewMemoryPair;
using testing::SimulatedLoop;

// Records the calls of a sink as text; outlives it.
struct Record {
  std::string events;
  std::string to_backend;
  std::string to_client;
  CaptureTotals totals;
  absl::Time opened;
  absl::Time closed;
};

class RecordingSink final : public CaptureSink {
 public:
  explicit RecordingSink(Record& record) : record_(record) {}
  void OnOpened(absl::Time now) override {
    record_.events += "opened ";
    record_.opened = now;
  }
  void OnBytes(Direction direction, ByteView bytes, absl::Time) override {
    EXPECT_FALSE(bytes.empty());
    (direction == Direction::kToBackend ? record_.to_backend : record_.to_client) += AsText(bytes);
  }
  void OnEnd(Direction direction, absl::Time) override {
    record_.events += direction == Direction::kToBackend ? "client_ended " : "backend_ended ";
  }
  void OnClosed(const CaptureTotals& totals, absl::Time now) override {
    record_.events += "closed";
    record_.totals = totals;
    record_.closed = now;
  }

 private:
  Record& record_;
};

// Passes on all bytes in upper case.
class Capitals final : public Inspector {
 public:
  Verdict Inspect(Direction, ByteView pending, bool) override {
    std::string text(AsText(pending));
    for (char& c : text) c = static_cast<char>(toupper(c));
    return text.empty() ? Verdict::Forward(0) : Verdict::Replace(pending.size(), text);
  }
};

class CaptureInspectorTest : public ::testing::Test {
 protected:
  std::unique_ptr<Inspector> Capturing(Record& record) {
    return std::make_unique<CaptureInspector>(loop_, std::make_unique<RecordingSink>(record));
  }

  template <typename... Inspectors>
  static std::unique_ptr<Inspector> Chain(Inspectors... inspectors) {
    std::vector<std::unique_ptr<Inspector>> list;
    (list.push_back(std::move(inspectors)), ...);
    return std::make_unique<InspectorChain>(std::move(list));
  }

  // Creates an inspected connection between `client_` and `backend_`.
  void Connect(std::unique_ptr<Inspector> inspector, const MemoryLink& link = {}) {
    auto [client_end, front] = NewMemoryPair(loop_, link, link);
    auto [back, backend_end] = NewMemoryPair(loop_, link, link);
    front_ = std::move(front);
    back_ = std::move(back);
    inspector_ = std::move(inspector);
    relay_ = std::make_unique<Relay>(loop_, *front_, *back_, inspector_.get(), RelayOptions());
    relay_->Start([this](absl::Status status) { outcome_ = std::move(status); });
    client_ = std::make_unique<StreamPeer>(loop_, std::move(client_end));
    backend_ = std::make_unique<StreamPeer>(loop_, std::move(backend_end));
  }
  void Run() { loop_.RunFor(absl::Seconds(1)); }
  void Close() {
    relay_.reset();
    inspector_.reset();
  }

  Record record_;
  Record first_;
  Record last_;
  SimulatedLoop loop_;
  std::unique_ptr<Transport> front_;
  std::unique_ptr<Transport> back_;
  std::unique_ptr<Inspector> inspector_;
  std::unique_ptr<Relay> relay_;
  std::unique_ptr<StreamPeer> client_;
  std::unique_ptr<StreamPeer> backend_;
  absl::Status outcome_ = absl::UnknownError("still open");
};

TEST_F(CaptureInspectorTest, ReportsEachByteOnceAndBothEnds) {
  MemoryLink link;
  link.chunk_bytes = 1000;
  link.capacity_bytes = 3000;
  Connect(Capturing(record_), link);
  const absl::Time begin = loop_.Now();
  std::string request;
  std::string answer;
  for (int i = 0; i < 200'000; ++i) absl::StrAppend(i % 2 == 0 ? &request : &answer, i, ",");
  client_->Send(request);
  client_->End();
  Run();
  EXPECT_EQ(record_.events, "opened client_ended ");
  backend_->Send(answer);
  backend_->End();
  Run();
  EXPECT_TRUE(outcome_.ok()) << outcome_;
  EXPECT_EQ(backend_->received(), request);
  EXPECT_EQ(client_->received(), answer);
  EXPECT_EQ(record_.to_backend, request);
  EXPECT_EQ(record_.to_client, answer);
  EXPECT_EQ(record_.events, "opened client_ended backend_ended ");
  Close();
  EXPECT_EQ(record_.events, "opened client_ended backend_ended closed");
  EXPECT_EQ(record_.totals.bytes_to_backend, request.size());
  EXPECT_EQ(record_.totals.bytes_to_client, answer.size());
  EXPECT_TRUE(record_.totals.ended_to_backend && record_.totals.ended_to_client);
  EXPECT_EQ(record_.opened, begin);
  EXPECT_EQ(record_.closed, loop_.Now());
}

TEST_F(CaptureInspectorTest, WithASlowReaderNoByteCountsTwice) {
  Connect(Capturing(record_));
  backend_->SetReading(false);
  const std::string request(500'000, 'x');
  client_->Send(request);
  Run();
  EXPECT_LT(record_.to_backend.size(), request.size());
  backend_->SetReading(true);
  Run();
  EXPECT_EQ(record_.to_backend.size(), request.size());
}

TEST_F(CaptureInspectorTest, ACutConnectionHasNoEnds) {
  Connect(Capturing(record_));
  client_->Send("half");
  Run();
  client_->Abort();
  Run();
  EXPECT_FALSE(outcome_.ok());
  Close();
  EXPECT_EQ(record_.events, "opened closed");
  EXPECT_EQ(record_.to_backend, "half");
  EXPECT_FALSE(record_.totals.ended_to_backend || record_.totals.ended_to_client);
}

TEST_F(CaptureInspectorTest, InAChainItSeesTheOutputOfEarlierInspectors) {
  Connect(Chain(Capturing(first_), std::make_unique<Capitals>(), Capturing(last_)));
  client_->Send("request");
  client_->End();
  backend_->Send("answer");
  Run();
  backend_->End();
  Run();
  EXPECT_TRUE(outcome_.ok()) << outcome_;
  Close();
  EXPECT_EQ(first_.to_backend, "request");
  EXPECT_EQ(first_.to_client, "answer");
  EXPECT_EQ(last_.to_backend, "REQUEST");
  EXPECT_EQ(last_.to_client, "ANSWER");
  EXPECT_EQ(first_.events, "opened client_ended backend_ended closed");
  EXPECT_EQ(last_.events, first_.events);
  EXPECT_EQ(last_.totals.bytes_to_backend, 7u);
}

TEST_F(CaptureInspectorTest, BlockedBytesAreSeenBeforeTheBlockerOnly) {
  auto options = std::make_shared<PatternBlockerOptions>();
  options->patterns = {"secret"};
  options->last_words = "no";
  Connect(Chain(Capturing(first_), std::make_unique<PatternBlocker>(options), Capturing(last_)));
  client_->Send("tell me a secret");
  Run();
  const std::optional<Error> error = GetError(outcome_);
  ASSERT_TRUE(error.has_value()) << outcome_;
  EXPECT_EQ(error->code, ErrorCode::kBlockedByInspector);
  Close();
  EXPECT_EQ(first_.to_backend, "tell me a secret");
  EXPECT_EQ(last_.to_backend, backend_->received());
  EXPECT_EQ(client_->received(), "no");
  EXPECT_EQ(first_.to_client, "");
  EXPECT_EQ(first_.events, "opened closed");
}

TEST_F(CaptureInspectorTest, WithoutASinkItCounts) {
  CaptureInspector counter(loop_, nullptr);
  EXPECT_EQ(counter.Inspect(Direction::kToClient, AsBytes("answer"), false).bytes(), 6u);
  EXPECT_EQ(counter.Inspect(Direction::kToBackend, AsBytes("ask"), false).bytes(), 3u);
  EXPECT_EQ(counter.Inspect(Direction::kToBackend, {}, true).bytes(), 0u);
  EXPECT_EQ(counter.totals().bytes_to_client, 6u);
  EXPECT_EQ(counter.totals().bytes_to_backend, 3u);
  EXPECT_TRUE(counter.totals().ended_to_backend);
  EXPECT_FALSE(counter.totals().ended_to_client);
}

}  // namespace
}  // namespace trestle
