#include "trestle/tls/tls_stream.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/testing/memory_transport.h"

namespace trestle::testing {
namespace {

// Counts the calls on the transport below.
class CountingTransport final : public Transport {
 public:
  explicit CountingTransport(std::unique_ptr<Transport> inner) : inner_(std::move(inner)) {}

  IoResult Read(MutableByteView out) override {
    ++reads;
    return inner_->Read(out);
  }
  IoResult Write(ByteView data) override {
    ++writes;
    return inner_->Write(data);
  }
  IoResult WriteBeforeEnd(ByteView data) override {
    ++writes;
    ++writes_before_end;
    return inner_->WriteBeforeEnd(data);
  }
  IoResult ShutdownWrite(StreamEnd end) override { return inner_->ShutdownWrite(end); }
  void Abort() override { inner_->Abort(); }
  void SetHandler(TransportHandler* handler) override { inner_->SetHandler(handler); }
  absl::Status status() const override { return inner_->status(); }
  TransportInfo info() const override {
    TransportInfo info = inner_->info();
    info.fd = 7;
    return info;
  }

  int reads = 0;
  int writes = 0;
  int writes_before_end = 0;

 private:
  std::unique_ptr<Transport> inner_;
};

// Counts callbacks, and runs what it is given inside them.
class CountingHandler final : public TransportHandler {
 public:
  void OnReadable() override {
    ++readable;
    if (on_readable) on_readable();
  }
  void OnWritable() override {
    ++writable;
    if (on_writable) on_writable();
  }

  int readable = 0;
  int writable = 0;
  absl::AnyInvocable<void()> on_readable;
  absl::AnyInvocable<void()> on_writable;
};

class TlsStreamTest : public TlsTest {
 protected:
  // Makes both streams over a pair of memory transports; hands are not shaken yet.
  void Connect(const MemoryLink& to_server = {}, const MemoryLink& to_client = {},
               ServerTlsOptions server = {}, ClientTlsTarget target = {"a.test", {}}) {
    auto [client_end, server_end] = NewMemoryPair(loop_, to_server, to_client);
    auto client_inner = std::make_unique<CountingTransport>(std::move(client_end));
    auto server_inner = std::make_unique<CountingTransport>(std::move(server_end));
    client_below_ = client_inner.get();
    server_below_ = server_inner.get();
    client_ = std::make_unique<TlsStream>(MakeClient({}, std::move(target)),
                                          std::move(client_inner), loop_);
    server_ =
        std::make_unique<TlsStream>(MakeServer(std::move(server)), std::move(server_inner), loop_);
  }

  void StartHandshakes() {
    client_->Handshake([this](absl::Status status) { client_done_ = std::move(status); });
    server_->Handshake([this](absl::Status status) { server_done_ = std::move(status); });
  }

  void ConnectAndShakeHands(const MemoryLink& to_server = {}, const MemoryLink& to_client = {},
                            ServerTlsOptions server = {}) {
    Connect(to_server, to_client, std::move(server));
    StartHandshakes();
    loop_.RunUntilIdle();
    ASSERT_TRUE(client_done_.has_value() && server_done_.has_value());
    ASSERT_TRUE(client_done_->ok()) << *client_done_;
    ASSERT_TRUE(server_done_->ok()) << *server_done_;
  }

  IoResult Read(TlsStream& stream, size_t bytes = 64 * 1024) {
    buffer_.resize(bytes);
    return stream.Read(MutableByteView(buffer_.data(), buffer_.size()));
  }

  // Reads what there is without waiting.
  std::string ReadReady(TlsStream& stream, size_t bytes = 64 * 1024) {
    std::string text;
    for (IoResult result = Read(stream, bytes); result.state == IoState::kOk;
         result = Read(stream, bytes)) {
      text.append(AsText(ByteView(buffer_.data(), result.bytes)));
    }
    return text;
  }

  CountingTransport* client_below_ = nullptr;
  CountingTransport* server_below_ = nullptr;
  std::unique_ptr<TlsStream> client_;
  std::unique_ptr<TlsStream> server_;
  std::optional<absl::Status> client_done_;
  std::optional<absl::Status> server_done_;
  std::vector<uint8_t> buffer_;
};

TEST_F(TlsStreamTest, TicketsLeaveWithTheFirstData) {
  Connect();
  StartHandshakes();
  loop_.RunReady();
  ASSERT_TRUE(server_done_.has_value());
  EXPECT_EQ(server_below_->writes, 1) << "the handshake's flight, and nothing else";
  EXPECT_EQ(server_->Write(AsBytes("data")).bytes, 4u);
  EXPECT_EQ(server_below_->writes, 2);
  loop_.RunFor(2 * TlsStream::kTicketDelay);
  EXPECT_EQ(server_below_->writes, 2);
  EXPECT_EQ(ReadReady(*client_), "data");
}

TEST_F(TlsStreamTest, ClientsThatOnlyListenGetTheirTicketsAfterAWhile) {
  Connect();
  StartHandshakes();
  loop_.RunFor(TlsStream::kTicketDelay / 2);
  ASSERT_TRUE(server_done_.has_value());
  EXPECT_EQ(server_below_->writes, 1);
  loop_.RunFor(TlsStream::kTicketDelay);
  EXPECT_EQ(server_below_->writes, 2);
  const int reads = client_below_->reads;
  EXPECT_EQ(Read(*client_).state, IoState::kWouldBlock);
  EXPECT_GT(client_below_->reads, reads) << "the client took them";
  EXPECT_EQ(loop_.RunUntilIdle(), 0u);
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

// Whoever gives a handshake up gets no report of it, and a peer that talks on costs no memory.
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

// One packet where the transport below can do that, tickets included.
TEST_F(TlsStreamTest, CloseNotifyMayWaitForTheEndBelow) {
  Connect();
  StartHandshakes();
  loop_.RunReady();
  EXPECT_EQ(server_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  EXPECT_EQ(server_below_->writes, 2);
  EXPECT_EQ(server_below_->writes_before_end, 1);
  EXPECT_EQ(client_->ShutdownWrite(StreamEnd::kTruncated).state, IoState::kOk);
  EXPECT_EQ(client_below_->writes_before_end, 0) << "a cut waits until all bytes have arrived";
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
  EXPECT_EQ(client_->info().fd, -1);
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

TEST_F(TlsStreamTest, CarriesBytesBothWaysAndHoldsNothingWhenIdle) {
  ConnectAndShakeHands();
  EXPECT_EQ(ReadReady(*client_), "");
  EXPECT_FALSE(client_->holds_buffers());
  EXPECT_FALSE(server_->holds_buffers());
  EXPECT_EQ(loop_.buffers().lent_blocks(), 0u);

  EXPECT_EQ(client_->Write(AsBytes("question")).bytes, 8u);
  EXPECT_EQ(ReadReady(*server_), "question");
  EXPECT_EQ(server_->Write(AsBytes("answer")).bytes, 6u);
  loop_.RunUntilIdle();
  EXPECT_EQ(ReadReady(*client_), "answer");
  EXPECT_FALSE(client_->holds_buffers());
  EXPECT_FALSE(server_->holds_buffers());
  EXPECT_EQ(loop_.buffers().lent_blocks(), 0u);
}

TEST_F(TlsStreamTest, LeftOverRecordsNeedNothingFromBelow) {
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

TEST_F(TlsStreamTest, NothingQueuedIsNotWritten) {
  ConnectAndShakeHands();
  ReadReady(*client_);
  ReadReady(*server_);
  const int writes = server_below_->writes + client_below_->writes;
  EXPECT_EQ(client_->Write(ByteView()).state, IoState::kOk);
  EXPECT_EQ(Read(*server_).state, IoState::kWouldBlock);
  EXPECT_EQ(server_below_->writes + client_below_->writes, writes);
}

TEST_F(TlsStreamTest, OneOnReadableForOneRefusal) {
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

TEST_F(TlsStreamTest, ReadAndWriteDuringTheHandshakeAreCalledBackOnceAfterIt) {
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
  // The server's tickets wake the reader; there is no plaintext in them.
  EXPECT_EQ(handler.readable, 1);
  EXPECT_EQ(Read(*client_).state, IoState::kWouldBlock);
  ASSERT_EQ(server_->Write(AsBytes("hello")).state, IoState::kOk);
  loop_.RunUntilIdle();
  EXPECT_EQ(handler.readable, 2);
  EXPECT_EQ(ReadReady(*client_), "hello");
}

TEST_F(TlsStreamTest, ASlowPeerIsBoundedAndTheWriterCalledBackOnce) {
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

TEST_F(TlsStreamTest, ShutdownWriteFlushesWhatWasTakenBeforeTheEnd) {
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

TEST_F(TlsStreamTest, TruncationIsSeenByThePeer) {
  ConnectAndShakeHands();
  ASSERT_EQ(client_->Write(AsBytes("half a messa")).bytes, 12u);
  EXPECT_NE(client_->ShutdownWrite(StreamEnd::kTruncated).state, IoState::kFailed);
  loop_.RunUntilIdle();
  EXPECT_EQ(ReadReady(*server_), "half a messa");
  EXPECT_EQ(Read(*server_).state, IoState::kFailed);
  EXPECT_EQ(CodeOf(server_->status()), ErrorCode::kTruncated);
  EXPECT_EQ(GetTlsError(server_->status())->leg, Leg::kFront);
}

TEST_F(TlsStreamTest, AFinWithoutCloseNotifyIsTruncation) {
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

TEST_F(TlsStreamTest, TheAlertReachesThePeer) {
  Connect({}, {}, {}, {"other.test", {}});
  StartHandshakes();
  loop_.RunUntilIdle();
  ASSERT_TRUE(client_done_.has_value() && server_done_.has_value());
  EXPECT_EQ(CodeOf(*client_done_), ErrorCode::kNameMismatch);
  EXPECT_EQ(CodeOf(*server_done_), ErrorCode::kPeerAlert);
  EXPECT_EQ(AlertOf(*server_done_), AlertOf(*client_done_));
  EXPECT_EQ(client_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
}

TEST_F(TlsStreamTest, TheAlertReachesAPeerThatReadsLate) {
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

TEST_F(TlsStreamTest, WhoLingersAfterAFailureReadsUntilThePeerEnds) {
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

TEST_F(TlsStreamTest, AFailureBelowNamesTheLeg) {
  MemoryLink cut;
  cut.reset_after_bytes = 100;
  Connect(cut);
  StartHandshakes();
  loop_.RunUntilIdle();
  ASSERT_TRUE(client_done_.has_value() && server_done_.has_value());
  for (const auto& [status, leg] :
       {std::pair(*client_done_, Leg::kBack), std::pair(*server_done_, Leg::kFront)}) {
    std::optional<TlsError> error = GetTlsError(status);
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code, ErrorCode::kTruncated);
    EXPECT_EQ(error->leg, leg);
    EXPECT_EQ(error->phase, Phase::kHandshake);
  }
}

TEST_F(TlsStreamTest, AFailureWhileReadingWakesTheWriter) {
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
  // Bytes that no cipher made: the client's read fails while its write waits for a deaf peer.
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

TEST_F(TlsStreamTest, NoCallbackAfterAbort) {
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

TEST_F(TlsStreamTest, AbortDuringTheHandshakeDropsItsCallback) {
  Connect();
  StartHandshakes();
  client_->Abort();
  loop_.RunUntilIdle();
  EXPECT_FALSE(client_done_.has_value());
  ASSERT_TRUE(server_done_.has_value());
  EXPECT_FALSE(server_done_->ok());
}

TEST_F(TlsStreamTest, MayBeDestroyedWhenTheHandshakeIsDone) {
  Connect();
  client_->Handshake([this](absl::Status) { client_.reset(); });
  server_->Handshake([this](absl::Status) { server_.reset(); });
  loop_.RunUntilIdle();
  EXPECT_EQ(client_, nullptr);
  EXPECT_EQ(server_, nullptr);
  EXPECT_EQ(loop_.buffers().lent_blocks(), 0u);
}

TEST_F(TlsStreamTest, MayBeDestroyedInEitherCallback) {
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
