// Failures of TlsStream: truncated streams, alerts, failures of the transport below, and streams
// that are destroyed or aborted at any time.
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/tls/tls_stream_fixture.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::testing {
namespace {

using TlsStreamFailureTest = TlsStreamFixture;

TEST_F(TlsStreamFailureTest, ThePeerDetectsTruncation) {
  ConnectAndShakeHands();
  ASSERT_EQ(client_->Write(AsBytes("half a messa")).bytes, 12u);
  EXPECT_NE(client_->ShutdownWrite(StreamEnd::kTruncated).state, IoState::kFailed);
  loop_.RunUntilIdle();
  EXPECT_EQ(ReadReady(*server_), "half a messa");
  EXPECT_EQ(Read(*server_).state, IoState::kFailed);
  EXPECT_EQ(CodeOf(server_->status()), ErrorCode::kTruncated);
  EXPECT_EQ(GetError(server_->status())->leg, Leg::kFront);
}

TEST_F(TlsStreamFailureTest, AFinWithoutCloseNotifyIsTruncation) {
  auto [client_end, server_end] = NewMemoryPair(loop_);
  Transport* below = client_end.get();
  client_ = std::make_unique<TlsStream>(MakeClient(), std::move(client_end), loop_);
  server_ = std::make_unique<TlsStream>(MakeServer(), std::move(server_end), loop_);
  StartHandshakes();
  loop_.RunUntilIdle();
  ASSERT_EQ(below->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  loop_.RunUntilIdle();
  EXPECT_EQ(Read(*server_).state, IoState::kFailed);
  EXPECT_EQ(CodeOf(server_->status()), ErrorCode::kTruncated);
}

TEST_F(TlsStreamFailureTest, TheAlertReachesThePeer) {
  Connect({}, {}, {}, {"other.test", {}});
  StartHandshakes();
  loop_.RunUntilIdle();
  ASSERT_TRUE(client_done_.has_value() && server_done_.has_value());
  EXPECT_EQ(CodeOf(*client_done_), ErrorCode::kNameMismatch);
  EXPECT_EQ(CodeOf(*server_done_), ErrorCode::kPeerAlert);
  EXPECT_EQ(AlertOf(*server_done_), AlertOf(*client_done_));
  EXPECT_EQ(client_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
}

TEST_F(TlsStreamFailureTest, TheAlertReachesAPeerThatReadsLate) {
  MemoryLink narrow;
  narrow.capacity_bytes = 600;
  Connect(narrow, {}, {}, {"other.test", {}});
  client_->Handshake([this](absl::Status status) { client_done_ = std::move(status); });
  loop_.RunUntilIdle();
  server_->Handshake([this](absl::Status status) { server_done_ = std::move(status); });
  loop_.RunUntilIdle();
  ASSERT_TRUE(client_done_.has_value() && server_done_.has_value());
  EXPECT_EQ(CodeOf(*client_done_), ErrorCode::kNameMismatch);
  EXPECT_EQ(CodeOf(*server_done_), ErrorCode::kPeerAlert);
}

TEST_F(TlsStreamFailureTest, AfterAFailureALingeringReaderReadsUntilThePeersEnd) {
  Connect({}, {}, {}, {"other.test", {}});
  StartHandshakes();
  loop_.RunUntilIdle();
  ASSERT_TRUE(client_done_.has_value() && server_done_.has_value());
  CountingHandler handler;
  client_->SetHandler(&handler);
  EXPECT_EQ(Read(*client_).state, IoState::kFailed);
  EXPECT_EQ(client_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  EXPECT_EQ(Read(*client_).state, IoState::kWouldBlock);
  EXPECT_FALSE(client_->holds_buffers());
  loop_.RunUntilIdle();
  EXPECT_EQ(handler.readable, 0);
  EXPECT_EQ(server_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  loop_.RunUntilIdle();
  EXPECT_EQ(handler.readable, 1);
  EXPECT_EQ(Read(*client_).state, IoState::kFailed);
  EXPECT_EQ(CodeOf(client_->status()), ErrorCode::kNameMismatch);
  loop_.RunUntilIdle();
  EXPECT_EQ(handler.readable, 1);
}

TEST_F(TlsStreamFailureTest, AFailureBelowNamesTheLeg) {
  MemoryLink cut;
  cut.reset_after_bytes = 100;
  Connect(cut);
  StartHandshakes();
  loop_.RunUntilIdle();
  ASSERT_TRUE(client_done_.has_value() && server_done_.has_value());
  for (const auto& [status, leg] :
       {std::pair(*client_done_, Leg::kBack), std::pair(*server_done_, Leg::kFront)}) {
    std::optional<Error> error = GetError(status);
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code, ErrorCode::kTruncated);
    EXPECT_EQ(error->leg, leg);
    EXPECT_EQ(error->phase, Phase::kHandshake);
  }
}

TEST_F(TlsStreamFailureTest, AFailureWhileReadingWakesTheWriter) {
  MemoryLink narrow;
  narrow.capacity_bytes = 4 * 1024;
  auto [client_end, server_end] = NewMemoryPair(loop_, narrow, {});
  client_ = std::make_unique<TlsStream>(MakeClient(), std::move(client_end), loop_);
  std::unique_ptr<TlsEngine> server = MakeServer();
  TlsEngine* engine = server.get();
  server_ = std::make_unique<TlsStream>(std::move(server), std::move(server_end), loop_);
  StartHandshakes();
  loop_.RunUntilIdle();
  CountingHandler handler;
  client_->SetHandler(&handler);
  const std::string text(200'000, 'x');
  while (client_->Write(AsBytes(text)).state == IoState::kOk) {
  }
  // Bytes that are not ciphertext: the client's read fails while its write waits for a peer that
  // doesn't read.
  engine->to_send().Append(AsBytes(absl::string_view("\x17\x03\x03\0\x20", 5)));
  engine->to_send().Append(AsBytes(std::string(32, 'x')));
  server_->Write(AsBytes("y"));
  ASSERT_EQ(Read(*client_).state, IoState::kFailed);
  EXPECT_EQ(CodeOf(client_->status()), ErrorCode::kProtocol);
  EXPECT_EQ(handler.writable, 0);
  loop_.RunUntilIdle();
  EXPECT_EQ(handler.writable, 1);
  EXPECT_EQ(client_->Write(AsBytes(text)).state, IoState::kFailed);
}

TEST_F(TlsStreamFailureTest, NoCallbackAfterAbort) {
  ConnectAndShakeHands();
  CountingHandler handler;
  server_->SetHandler(&handler);
  ASSERT_EQ(Read(*server_).state, IoState::kWouldBlock);
  client_->Write(AsBytes("x"));
  server_->Abort();
  loop_.RunUntilIdle();
  EXPECT_EQ(handler.readable, 0);
  EXPECT_EQ(Read(*server_).state, IoState::kFailed);
  EXPECT_EQ(server_->Write(AsBytes("x")).state, IoState::kFailed);
  EXPECT_EQ(server_->ShutdownWrite(StreamEnd::kClean).state, IoState::kFailed);
  EXPECT_EQ(CodeOf(server_->status()), ErrorCode::kCancelled);
  EXPECT_FALSE(server_->holds_buffers());
  EXPECT_EQ(Read(*client_).state, IoState::kFailed);
}

TEST_F(TlsStreamFailureTest, AbortDuringTheHandshakeDropsItsCallback) {
  Connect();
  StartHandshakes();
  client_->Abort();
  loop_.RunUntilIdle();
  EXPECT_FALSE(client_done_.has_value());
  ASSERT_TRUE(server_done_.has_value());
  EXPECT_FALSE(server_done_->ok());
}

TEST_F(TlsStreamFailureTest, MayBeDestroyedInTheHandshakesCallback) {
  Connect();
  client_->Handshake([this](absl::Status) { client_.reset(); });
  server_->Handshake([this](absl::Status) { server_.reset(); });
  loop_.RunUntilIdle();
  EXPECT_EQ(client_, nullptr);
  EXPECT_EQ(server_, nullptr);
  EXPECT_EQ(loop_.buffers().lent_blocks(), 0u);
}

TEST_F(TlsStreamFailureTest, MayBeDestroyedInEitherCallback) {
  for (const bool in_readable : {true, false}) {
    MemoryLink narrow;
    narrow.capacity_bytes = 4 * 1024;
    ConnectAndShakeHands({}, narrow);
    CountingHandler handler;
    server_->SetHandler(&handler);
    const std::string text(200'000, 'x');
    while (server_->Write(AsBytes(text)).state == IoState::kOk) {
    }
    ASSERT_EQ(Read(*server_).state, IoState::kWouldBlock);
    if (in_readable) handler.on_readable = [this] { server_.reset(); };
    if (!in_readable) handler.on_writable = [this] { server_.reset(); };
    for (int i = 0; i < 100 && server_ != nullptr; ++i) {
      client_->Write(AsBytes("x"));
      ReadReady(*client_);
      loop_.RunUntilIdle();
    }
    EXPECT_EQ(server_, nullptr);
    client_.reset();
    EXPECT_EQ(loop_.buffers().lent_blocks(), 0u);
  }
}

}  // namespace
}  // namespace trestle::testing
