#include "trestle/tls/tls_stream.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/counting_handler.h"
#include "tests/tls/tls_stream_fixture.h"

namespace trestle::testing {
namespace {

using TlsStreamTest = TlsStreamFixture;

TEST_F(TlsStreamTest, TicketsLeaveWithTheFirstData) {
  Connect();
  StartHandshakes();
  loop_.RunReady();
  ASSERT_TRUE(server_done_.has_value());
  EXPECT_EQ(server_below_->writes, 1) << "only the handshake's flight";
  EXPECT_EQ(server_->Write(AsBytes("data")).bytes, 4u);
  EXPECT_EQ(server_below_->writes, 2);
  loop_.RunFor(2 * TlsStream::kTicketDelay);
  EXPECT_EQ(server_below_->writes, 2);
  EXPECT_EQ(ReadReady(*client_), "data");
}

TEST_F(TlsStreamTest, ClientsThatOnlyReadGetTheirTicketsAfterAWhile) {
  Connect();
  StartHandshakes();
  loop_.RunFor(TlsStream::kTicketDelay / 2);
  ASSERT_TRUE(server_done_.has_value());
  EXPECT_EQ(server_below_->writes, 1);
  loop_.RunFor(TlsStream::kTicketDelay);
  EXPECT_EQ(server_below_->writes, 2);
  const int reads = client_below_->reads;
  EXPECT_EQ(Read(*client_).state, IoState::kWouldBlock);
  EXPECT_GT(client_below_->reads, reads) << "the client read them";
  EXPECT_EQ(loop_.RunUntilIdle(), 0u);
}

// Nagle's algorithm delays a client's small request until its Finished is acknowledged. The system
// delays that until it sends something, such as the tickets.
TEST_F(TlsStreamTest, TicketsOfAClientThatWaitsLeaveSoon) {
  Connect();
  StartHandshakes();
  loop_.RunReady();
  ASSERT_TRUE(server_done_.has_value());
  const int writes = server_below_->writes;
  loop_.RunFor(TlsStream::kTicketDelay);
  EXPECT_EQ(server_below_->writes, writes + 1);
}

TEST_F(TlsStreamTest, TicketsWaitForTheResponseToARequest) {
  for (const bool later : {false, true}) {
    SCOPED_TRACE(later ? "a moment after the handshake" : "with the handshake");
    Connect();
    StartHandshakes();
    loop_.RunReady();
    ASSERT_TRUE(client_done_.has_value());
    if (later) loop_.RunFor(TlsStream::kTicketDelay / 2);
    const int writes = server_below_->writes;
    EXPECT_EQ(client_->Write(AsBytes("request")).bytes, 7u);
    loop_.RunFor(TlsStream::kAnswerDelay / 2);
    EXPECT_EQ(server_below_->writes, writes)
        << "nothing of its own, before or after the request is read";
    EXPECT_EQ(ReadReady(*server_), "request");
    EXPECT_EQ(server_->Write(AsBytes("answer")).bytes, 6u);
    loop_.RunFor(2 * TlsStream::kAnswerDelay);
    EXPECT_EQ(server_below_->writes, writes + 1) << "the response, with the tickets";
  }
}

// The check for a request at the end of the handshake consumes no bytes.
TEST_F(TlsStreamTest, AWaitingReaderGetsBytesThatCameWithTheHandshake) {
  Connect();
  CountingHandler handler;
  server_->SetHandler(&handler);
  EXPECT_EQ(Read(*server_).state, IoState::kWouldBlock);
  client_->Handshake([this](absl::Status) { client_->Write(AsBytes("request")); });
  server_->Handshake([this](absl::Status status) { server_done_ = std::move(status); });
  loop_.RunReady();
  ASSERT_TRUE(server_done_.has_value());
  EXPECT_GE(handler.readable, 1);
  EXPECT_EQ(ReadReady(*server_), "request");
}

TEST_F(TlsStreamTest, TicketsDoNotWaitForASlowResponseForEver) {
  Connect();
  StartHandshakes();
  loop_.RunReady();
  const int writes = server_below_->writes;
  EXPECT_EQ(client_->Write(AsBytes("request")).bytes, 7u);
  loop_.RunFor(2 * TlsStream::kAnswerDelay);
  EXPECT_EQ(server_below_->writes, writes + 1);
}

TEST_F(TlsStreamTest, NoTicketsLeaveAfterAnEndOrAnAbort) {
  for (const bool abort : {false, true}) {
    Connect();
    StartHandshakes();
    loop_.RunReady();
    ASSERT_TRUE(server_done_.has_value());
    if (abort) {
      server_->Abort();
    } else {
      EXPECT_EQ(server_->ShutdownWrite(StreamEnd::kTruncated).state, IoState::kOk);
    }
    const int writes = server_below_->writes;
    loop_.RunFor(2 * TlsStream::kTicketDelay);
    EXPECT_EQ(server_below_->writes, writes);
  }
}

// A handshake that is shut down is not reported, and a peer that continues to send uses no memory.
TEST_F(TlsStreamTest, ShutdownEndsAHandshake) {
  Connect();
  server_->Handshake([this](absl::Status status) { server_done_ = std::move(status); });
  EXPECT_EQ(server_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  client_->Handshake([this](absl::Status status) { client_done_ = std::move(status); });
  EXPECT_EQ(Read(*server_).state, IoState::kWouldBlock);
  loop_.RunFor(absl::Seconds(1));
  EXPECT_FALSE(server_done_.has_value());
  ASSERT_TRUE(client_done_.has_value());
  EXPECT_EQ(CodeOf(*client_done_), ErrorCode::kTruncated);
  EXPECT_EQ(Read(*server_).state, IoState::kWouldBlock);
  EXPECT_FALSE(server_->holds_buffers()) << "the ClientHello was dropped";
  client_.reset();
  loop_.RunReady();
  EXPECT_EQ(Read(*server_).state, IoState::kFailed);
}

// The close_notify leaves in one packet if the transport below supports that, tickets included.
TEST_F(TlsStreamTest, CloseNotifyMayWaitForTheEndBelow) {
  Connect();
  StartHandshakes();
  loop_.RunReady();
  EXPECT_EQ(server_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  EXPECT_EQ(server_below_->writes, 2);
  EXPECT_EQ(server_below_->writes_before_end, 1);
  EXPECT_EQ(client_->ShutdownWrite(StreamEnd::kTruncated).state, IoState::kOk);
  EXPECT_EQ(client_below_->writes_before_end, 0)
      << "a truncated end waits until all bytes have arrived";
}

TEST_F(TlsStreamTest, HandshakeIsReportedFromTheLoopOnly) {
  Connect();
  StartHandshakes();
  EXPECT_FALSE(client_done_.has_value());
  EXPECT_FALSE(server_done_.has_value());
  loop_.RunUntilIdle();
  ASSERT_TRUE(client_done_.has_value() && server_done_.has_value());
  EXPECT_TRUE(client_done_->ok()) << *client_done_;
  EXPECT_TRUE(server_done_->ok()) << *server_done_;
  EXPECT_EQ(client_->tls_info().version, "TLSv1.3");
  EXPECT_TRUE(server_->hello_received());
  EXPECT_EQ(client_->info().peer, server_->info().local);
}

TEST_F(TlsStreamTest, AHandshakeThatFailsAtOnceIsStillReportedFromTheLoop) {
  auto [client_end, server_end] = NewMemoryPair(loop_);
  ASSERT_EQ(client_end->Write(AsBytes("GET / HTTP/1.1\r\n")).state, IoState::kOk);
  loop_.RunUntilIdle();
  server_ = std::make_unique<TlsStream>(MakeServer(), std::move(server_end), loop_);
  server_->Handshake([this](absl::Status status) { server_done_ = std::move(status); });
  EXPECT_FALSE(server_done_.has_value());
  loop_.RunUntilIdle();
  ASSERT_TRUE(server_done_.has_value());
  EXPECT_EQ(CodeOf(*server_done_), ErrorCode::kNotTls);
  EXPECT_FALSE(server_->hello_received());
}

TEST_F(TlsStreamTest, CarriesBytesInBothDirectionsAndHoldsNothingWhenIdle) {
  ConnectAndShakeHands();
  EXPECT_EQ(ReadReady(*client_), "");
  EXPECT_FALSE(client_->holds_buffers());
  EXPECT_FALSE(server_->holds_buffers());
  EXPECT_EQ(loop_.buffers().lent_blocks(), 0u);

  EXPECT_EQ(client_->Write(AsBytes("question")).bytes, 8u);
  loop_.RunUntilIdle();
  EXPECT_EQ(ReadReady(*server_), "question");
  EXPECT_EQ(server_->Write(AsBytes("answer")).bytes, 6u);
  loop_.RunUntilIdle();
  EXPECT_EQ(ReadReady(*client_), "answer");
  EXPECT_FALSE(client_->holds_buffers());
  EXPECT_FALSE(server_->holds_buffers());
  EXPECT_EQ(loop_.buffers().lent_blocks(), 0u);
}

TEST_F(TlsStreamTest, BufferedRecordsNeedNoReadBelow) {
  ConnectAndShakeHands();
  const std::string text(50'000, 'x');
  ASSERT_EQ(client_->Write(AsBytes(text)).bytes, text.size());
  loop_.RunUntilIdle();
  ASSERT_EQ(Read(*server_, 100).bytes, 100u);
  const int reads = server_below_->reads;
  std::string rest;
  while (rest.size() < text.size() - 100) {
    ASSERT_EQ(Read(*server_, 1000).state, IoState::kOk);
    rest.append(1000, 'x');
    rest.resize(std::min(rest.size(), text.size() - 100));
  }
  EXPECT_EQ(server_below_->reads, reads);
}

TEST_F(TlsStreamTest, ManyRecordsGoInOneCallBelow) {
  MemoryLink wide;
  wide.capacity_bytes = 4 << 20;
  ConnectAndShakeHands(wide, wide);
  const std::string text(1 << 20, 'x');
  const int writes = client_below_->writes;
  ASSERT_EQ(client_->Write(AsBytes(text)).bytes, text.size());
  EXPECT_LE(client_below_->writes - writes, 17);
  loop_.RunUntilIdle();
  const int reads = server_below_->reads;
  EXPECT_EQ(ReadReady(*server_).size(), text.size());
  EXPECT_LE(server_below_->reads - reads, 18);
}

TEST_F(TlsStreamTest, AnEmptyQueueIsNotWritten) {
  ConnectAndShakeHands();
  ReadReady(*client_);
  ReadReady(*server_);
  const int writes = server_below_->writes + client_below_->writes;
  EXPECT_EQ(client_->Write(ByteView()).state, IoState::kOk);
  EXPECT_EQ(Read(*server_).state, IoState::kWouldBlock);
  EXPECT_EQ(server_below_->writes + client_below_->writes, writes);
}

TEST_F(TlsStreamTest, EachBlockedReadGetsOneOnReadable) {
  ConnectAndShakeHands();
  CountingHandler handler;
  server_->SetHandler(&handler);
  EXPECT_EQ(Read(*server_).state, IoState::kWouldBlock);
  loop_.RunUntilIdle();
  EXPECT_EQ(handler.readable, 0);
  client_->Write(AsBytes("one"));
  client_->Write(AsBytes("two"));
  loop_.RunUntilIdle();
  EXPECT_EQ(handler.readable, 1);
  client_->Write(AsBytes("three"));
  loop_.RunUntilIdle();
  EXPECT_EQ(handler.readable, 1);
  EXPECT_EQ(ReadReady(*server_), "onetwothree");
  client_->ShutdownWrite(StreamEnd::kClean);
  loop_.RunUntilIdle();
  EXPECT_EQ(handler.readable, 2);
  EXPECT_EQ(Read(*server_).state, IoState::kEndOfStream);
  EXPECT_EQ(Read(*server_).state, IoState::kEndOfStream);
  loop_.RunUntilIdle();
  EXPECT_EQ(handler.readable, 2);
  EXPECT_EQ(handler.writable, 0);
}

TEST_F(TlsStreamTest, ReadAndWriteDuringTheHandshakeGetOneCallbackAfterIt) {
  MemoryLink slow;
  slow.latency = absl::Milliseconds(10);
  Connect(slow, slow);
  CountingHandler handler;
  client_->SetHandler(&handler);
  StartHandshakes();
  EXPECT_EQ(Read(*client_).state, IoState::kWouldBlock);
  EXPECT_EQ(client_->Write(AsBytes("early")).state, IoState::kWouldBlock);
  handler.on_writable = [this] { EXPECT_TRUE(client_done_.has_value()); };
  server_->SetHandler(nullptr);
  loop_.RunUntilIdle();
  EXPECT_EQ(handler.writable, 1);
  // The server's tickets wake the reader, but contain no plaintext.
  EXPECT_EQ(handler.readable, 1);
  EXPECT_EQ(Read(*client_).state, IoState::kWouldBlock);
  ASSERT_EQ(server_->Write(AsBytes("hello")).state, IoState::kOk);
  loop_.RunUntilIdle();
  EXPECT_EQ(handler.readable, 2);
  EXPECT_EQ(ReadReady(*client_), "hello");
}

TEST_F(TlsStreamTest, ASlowPeerIsBoundedAndTheWriterGetsOneCallback) {
  MemoryLink narrow;
  narrow.capacity_bytes = 8 * 1024;
  ConnectAndShakeHands(narrow);
  CountingHandler handler;
  client_->SetHandler(&handler);
  const std::string text(1 << 20, 'x');
  size_t taken = 0;
  IoResult result;
  while ((result = client_->Write(AsBytes(text).subspan(taken))).state == IoState::kOk) {
    taken += result.bytes;
  }
  EXPECT_EQ(result.state, IoState::kWouldBlock);
  EXPECT_LE(taken, narrow.capacity_bytes + TlsEngine::kSendLimitBytes + 32 * 1024);
  EXPECT_LE(loop_.buffers().lent_blocks(), 1u);
  loop_.RunUntilIdle();
  EXPECT_EQ(handler.writable, 0);
  size_t got = 0;
  while (got < taken) {
    got += ReadReady(*server_).size();
    loop_.RunUntilIdle();
  }
  EXPECT_EQ(got, taken);
  EXPECT_EQ(handler.writable, 1);
  EXPECT_FALSE(client_->holds_buffers());
}

TEST_F(TlsStreamTest, HalfCloseKeepsTheOtherDirection) {
  for (TlsVersion version : {TlsVersion::kTls12, TlsVersion::kTls13}) {
    ServerTlsOptions options;
    options.parameters = Only(version);
    ConnectAndShakeHands({}, {}, std::move(options));
    ASSERT_EQ(client_->Write(AsBytes("question")).bytes, 8u);
    ASSERT_EQ(client_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
    loop_.RunUntilIdle();
    EXPECT_EQ(ReadReady(*server_), "question");
    EXPECT_EQ(Read(*server_).state, IoState::kEndOfStream);
    ASSERT_EQ(server_->Write(AsBytes("answer")).bytes, 6u);
    ASSERT_EQ(server_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
    loop_.RunUntilIdle();
    EXPECT_EQ(ReadReady(*client_), "answer");
    EXPECT_EQ(Read(*client_).state, IoState::kEndOfStream);
    EXPECT_TRUE(client_->status().ok());
    EXPECT_TRUE(server_->status().ok());
    EXPECT_FALSE(client_->holds_buffers());
    EXPECT_FALSE(server_->holds_buffers());
  }
}

TEST_F(TlsStreamTest, AfterAFailedWriteArrivedBytesAreReadWithoutWaiting) {
  ConnectAndShakeHands();
  EXPECT_EQ(Read(*server_).state, IoState::kWouldBlock);
  // Reads the tickets: a close with unread bytes would send a RST without an end before it.
  EXPECT_EQ(Read(*client_).state, IoState::kWouldBlock);
  ASSERT_EQ(client_->Write(AsBytes("all of it")).bytes, 9u);
  ASSERT_EQ(client_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  client_.reset();
  ASSERT_EQ(server_->Write(AsBytes("x")).state, IoState::kOk) << "answered by a RST";
  EXPECT_EQ(server_->ShutdownWrite(StreamEnd::kClean).state, IoState::kFailed);
  // The loop has not turned.
  EXPECT_EQ(ReadReady(*server_), "all of it");
  EXPECT_EQ(Read(*server_).state, IoState::kEndOfStream);
}

TEST_F(TlsStreamTest, ShutdownWriteFlushesAcceptedBytesBeforeTheEnd) {
  MemoryLink narrow;
  narrow.capacity_bytes = 4 * 1024;
  ConnectAndShakeHands(narrow);
  CountingHandler handler;
  client_->SetHandler(&handler);
  const std::string text(40'000, 'x');
  ASSERT_EQ(client_->Write(AsBytes(text)).bytes, text.size());
  ASSERT_EQ(client_->ShutdownWrite(StreamEnd::kClean).state, IoState::kWouldBlock);
  size_t got = 0;
  handler.on_writable = [this] {
    EXPECT_EQ(client_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  };
  while (got < text.size()) {
    got += ReadReady(*server_).size();
    loop_.RunUntilIdle();
  }
  EXPECT_EQ(handler.writable, 1);
  EXPECT_EQ(ReadReady(*server_), "");
  EXPECT_EQ(Read(*server_).state, IoState::kEndOfStream);
}

}  // namespace
}  // namespace trestle::testing
