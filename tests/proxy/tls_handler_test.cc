// A terminator with a handler of the host: the handler's input, and the block's remaining tasks.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/tls_fixture.h"
#include "tests/support/counting_handler.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/proxy/tls_terminator.h"

namespace trestle {
namespace {

using testing::CountingHandler;
using ::testing::HasSubstr;
using testing::MemoryDialer;
using testing::SimulatedLoop;
using testing::TestPki;

// A host's own protocol code, which keeps each connection with a peer that reads and writes it.
class KeepingHandler final : public ConnectionHandler {
 public:
  explicit KeepingHandler(SimulatedLoop& loop) : loop_(loop) {}

  using ConnectionHandler::Serve;
  void Serve(Accepted connection) override {
    std::unique_ptr<Transport> transport = std::move(connection.transport);
    accepted.push_back(std::move(connection));
    if (on_serve) return on_serve(std::move(transport));
    peers.push_back(std::make_unique<StreamPeer>(loop_, std::move(transport)));
  }

  std::vector<Accepted> accepted;
  std::vector<std::unique_ptr<StreamPeer>> peers;
  absl::AnyInvocable<void(std::unique_ptr<Transport>)> on_serve;

 private:
  SimulatedLoop& loop_;
};

class TlsHandlerTest : public ::testing::Test {
 protected:
  TlsHandlerTest() { Start({}); }

  TlsTerminatorOptions Options() {
    TlsTerminatorOptions options;
    options.front_tls = ServerFor(pki, loop.Now(), {{"app.test"}}, {"http/1.1"});
    options.handler = &handler;
    return options;
  }

  void Start(const ConnectionOptions& connection) {
    TlsTerminatorOptions options = Options();
    options.connection = connection;
    auto made = TlsTerminator::Create(loop, dialer, std::move(options), &observer);
    ASSERT_TRUE(made.ok()) << made.status();
    terminator = *std::move(made);
  }

  TlsPeer& Connect(const testing::MemoryLink& link = {}) {
    client = TlsPeer::Client(loop, ConnectTo(*terminator, loop, link), ClientOf(pki),
                             {"app.test", {"http/1.1"}});
    loop.RunReady();
    EXPECT_TRUE(client->handshake_done()) << client->failure();
    return *client;
  }

  StreamPeer& served() { return *handler.peers.at(0); }

  std::string ClosedText() const {
    return observer.closed.size() == 1 ? ErrorText(observer.closed[0].error)
                                       : "not exactly one report";
  }

  SimulatedLoop loop;
  TestPki pki{loop.Now()};
  MemoryDialer dialer{loop};
  RecordingObserver observer;
  KeepingHandler handler{loop};
  std::unique_ptr<TlsTerminator> terminator;
  std::unique_ptr<TlsPeer> client;
};

TEST_F(TlsHandlerTest, TheHandlerGetsTheClearTextAndTheTlsParameters) {
  Connect().Send("question");
  loop.RunReady();
  ASSERT_EQ(handler.accepted.size(), 1u);
  EXPECT_EQ(served().received(), "question");
  const Accepted& accepted = handler.accepted[0];
  ASSERT_NE(accepted.tls, nullptr);
  EXPECT_EQ(accepted.tls->server_name, "app.test");
  EXPECT_EQ(accepted.tls->alpn, "http/1.1");
  EXPECT_EQ(accepted.tls->version, "TLSv1.3");
  EXPECT_EQ(accepted.tls->peer_identity, nullptr);
  EXPECT_EQ(accepted.hello, nullptr) << "the clear text begins with no hello";
  EXPECT_EQ(accepted.reported_as, 1u);
  EXPECT_NE(accepted.time, MonotonicTime());
  EXPECT_EQ(accepted.origin.peer.ToString(), "192.0.2.1:1");
}

TEST_F(TlsHandlerTest, OneClientHasOneReport) {
  Connect().Send("question");
  loop.RunReady();
  ASSERT_EQ(observer.established.size(), 1u);
  EXPECT_TRUE(observer.closed.empty());
  loop.RunFor(absl::Seconds(3));
  served().Send("the answer");
  served().End();
  loop.RunReady();
  EXPECT_EQ(client->received(), "the answer");
  EXPECT_TRUE(client->saw_end());
  client->End();
  loop.RunReady();
  EXPECT_EQ(terminator->open_connections(), 1u) << "until the handler has destroyed it";
  handler.peers.clear();
  loop.RunReady();
  EXPECT_EQ(terminator->open_connections(), 0u);
  ASSERT_EQ(observer.closed.size(), 1u);
  const ConnectionReport& report = observer.closed[0];
  EXPECT_EQ(ErrorText(report.error), "ok");
  EXPECT_EQ(report.mode, ProxyMode::kOffload);
  EXPECT_EQ(report.id, handler.accepted[0].reported_as);
  EXPECT_EQ(report.server_name, "app.test");
  EXPECT_EQ(report.front.bytes_read, 8u);
  EXPECT_EQ(report.front.bytes_written, 10u);
  EXPECT_GE(report.times.relay, absl::Seconds(3));
  EXPECT_FALSE(report.handed_over);
  EXPECT_EQ(report.back.tls, nullptr);
  EXPECT_EQ(dialer.dials(), 0u);
}

// The handler need not wait: the block sends the rest, and lets the client read it.
TEST_F(TlsHandlerTest, AMarkedEndSurvivesTheTransport) {
  const std::string page(300'000, 'x');
  testing::MemoryLink slow;
  slow.latency = absl::Milliseconds(20);
  client = TlsPeer::Client(loop, ConnectTo(*terminator, loop, slow), ClientOf(pki),
                           {"app.test", {"http/1.1"}});
  client->Send("question that is never read to its end");
  loop.RunFor(absl::Seconds(1));
  served().Send(page);
  served().End();
  loop.RunFor(absl::Seconds(2));
  ASSERT_TRUE(served().finished_sending());
  handler.peers.clear();
  loop.RunFor(absl::Seconds(1));
  EXPECT_EQ(client->received(), page);
  EXPECT_TRUE(client->saw_end()) << client->failure();
  client->End();
  loop.RunFor(absl::Seconds(1));
  ASSERT_EQ(observer.closed.size(), 1u);
  EXPECT_EQ(ErrorText(observer.closed.at(0).error), "ok");
}

TEST_F(TlsHandlerTest, TheEndMayBeMarkedAndTheTransportDestroyedAtOnce) {
  handler.on_serve = [](std::unique_ptr<Transport> transport) {
    transport->Write(AsBytes("go away"));
    transport->ShutdownWrite(StreamEnd::kClean);
  };
  Connect();
  EXPECT_EQ(client->received(), "go away");
  EXPECT_TRUE(client->saw_end()) << client->failure();
  client->End();
  loop.RunReady();
  ASSERT_EQ(observer.closed.size(), 1u);
  EXPECT_EQ(ErrorText(observer.closed.at(0).error), "ok");
}

TEST_F(TlsHandlerTest, ATransportDestroyedWithoutAnEndLooksTruncated) {
  Connect();
  served().Send("half an ans");
  loop.RunReady();
  handler.peers.clear();
  loop.RunReady();
  EXPECT_EQ(client->received(), "half an ans");
  EXPECT_FALSE(client->saw_end());
  ASSERT_TRUE(GetError(client->failure()).has_value()) << client->failure();
  EXPECT_EQ(GetError(client->failure())->code, ErrorCode::kTruncated);
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kCancelled);
  EXPECT_THAT(observer.error()->detail, HasSubstr("the handler dropped the connection"));
}

TEST_F(TlsHandlerTest, AHandlerMayTruncateAndAbort) {
  Connect();
  served().Send("half an ans");
  served().End(StreamEnd::kTruncated);
  loop.RunReady();
  handler.peers.clear();
  loop.RunReady();
  EXPECT_EQ(client->received(), "half an ans");
  EXPECT_FALSE(client->saw_end());
  EXPECT_THAT(ClosedText(), HasSubstr("the handler cut the connection"));
  observer.closed.clear();
  Connect();
  served().Abort();
  loop.RunReady();
  EXPECT_FALSE(client->failure().ok());
  handler.peers.clear();
  loop.RunReady();
  EXPECT_THAT(ClosedText(), HasSubstr("the handler aborted the connection"));
  EXPECT_EQ(terminator->open_connections(), 0u);
}

TEST_F(TlsHandlerTest, AHandlerMayRejectInItsCall) {
  handler.on_serve = [](std::unique_ptr<Transport> transport) { transport->Abort(); };
  Connect();
  EXPECT_FALSE(client->failure().ok());
  EXPECT_EQ(terminator->open_connections(), 0u);
  EXPECT_THAT(ClosedText(), HasSubstr("the handler aborted the connection"));
}

TEST_F(TlsHandlerTest, ATruncatingClientIsAFailureOfTheFrontLeg) {
  Connect().Send("half a requ");
  loop.RunReady();
  client->stream().End(StreamEnd::kTruncated);
  loop.RunReady();
  EXPECT_EQ(served().received(), "half a requ");
  EXPECT_FALSE(served().saw_end());
  EXPECT_FALSE(served().failure().ok());
  handler.peers.clear();
  loop.RunReady();
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTruncated);
  EXPECT_EQ(observer.error()->leg, Leg::kFront);
  EXPECT_EQ(observer.error()->phase, Phase::kRelay);
}

TEST_F(TlsHandlerTest, AClientMayEndUnmarkedAfterTheResponse) {
  Connect().Send("question");
  loop.RunReady();
  served().Send("answer");
  served().End();
  loop.RunReady();
  client->stream().End(StreamEnd::kTruncated);
  loop.RunReady();
  handler.peers.clear();
  loop.RunReady();
  ASSERT_EQ(observer.closed.size(), 1u);
  EXPECT_EQ(ErrorText(observer.closed.at(0).error), "ok");
  EXPECT_TRUE(observer.closed[0].front.left_unmarked);
}

TEST_F(TlsHandlerTest, TheConnectionKeepsItsSlotInTheLimiter) {
  ConnectionOptions connection;
  ConnectionLimits limits;
  limits.connections = 1;
  connection.limiter = *ConnectionLimiter::Create(limits);
  Start(connection);
  Connect();
  EXPECT_EQ(handler.accepted[0].slot.limiter(), nullptr) << "the block has it";
  EXPECT_EQ(connection.limiter->open_connections(), 1u);
  StreamPeer refused(loop, ConnectTo(*terminator, loop));
  loop.RunReady();
  EXPECT_FALSE(refused.failure().ok());
  EXPECT_THAT(observer.turned_away, ::testing::ElementsAre(Limit::kConnections));
  served().Abort();
  handler.peers.clear();
  loop.RunReady();
  EXPECT_EQ(connection.limiter->open_connections(), 0u);
}

TEST_F(TlsHandlerTest, ADrainWaitsForTheHandler) {
  Connect();
  bool drained = false;
  terminator->Drain(absl::Seconds(30), [&] { drained = true; });
  loop.RunFor(absl::Seconds(10));
  EXPECT_FALSE(drained);
  served().End();
  client->End();
  loop.RunReady();
  handler.peers.clear();
  loop.RunReady();
  EXPECT_TRUE(drained);
  EXPECT_EQ(ErrorText(observer.closed.at(0).error), "ok");
}

TEST_F(TlsHandlerTest, AnOverdueDrainTakesTheConnectionBack) {
  Connect();
  served().Send("half an ans");
  bool drained = false;
  terminator->Drain(absl::Seconds(30), [&] { drained = true; });
  loop.RunFor(absl::Seconds(31));
  EXPECT_TRUE(drained);
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kCancelled);
  EXPECT_EQ(client->received(), "half an ans");
  EXPECT_FALSE(client->saw_end());
  EXPECT_THAT(std::string(served().failure().message()), HasSubstr("the time to drain ran out"));
  EXPECT_EQ(served().transport().info().peer.ToString(), "192.0.2.1:1");
  served().Send("nobody gets this");
  loop.RunReady();
  handler.peers.clear();
  loop.RunReady();
  EXPECT_EQ(observer.closed.size(), 1u);
}

TEST_F(TlsHandlerTest, TheHandlerMayOutliveTheBlock) {
  Connect();
  terminator.reset();
  loop.RunReady();
  EXPECT_FALSE(client->failure().ok());
  EXPECT_FALSE(served().failure().ok());
  ASSERT_EQ(observer.closed.size(), 1u);
  EXPECT_THAT(ClosedText(), HasSubstr("the block was shut down"));
  served().Abort();
  handler.peers.clear();
}

// Each waiting direction gets its callback, one at a time, and the handler may destroy the
// transport in either.
TEST_F(TlsHandlerTest, ATakenConnectionWakesBothDirections) {
  CountingHandler calls;
  std::unique_ptr<Transport> kept;
  handler.on_serve = [&](std::unique_ptr<Transport> transport) {
    kept = std::move(transport);
    kept->SetHandler(&calls);
    uint8_t byte = 0;
    EXPECT_EQ(kept->Read(MutableByteView(&byte, 1)).state, IoState::kWouldBlock);
    const std::string much(1 << 20, 'x');
    while (kept->Write(AsBytes(much)).state == IoState::kOk) continue;
  };
  testing::MemoryLink narrow;
  narrow.capacity_bytes = 16 * 1024;
  client = TlsPeer::Client(loop, ConnectTo(*terminator, loop, narrow), ClientOf(pki),
                           {"app.test", {"http/1.1"}});
  client->Send("");
  while (kept == nullptr && loop.RunReady(1) > 0) continue;
  ASSERT_NE(kept, nullptr);
  terminator.reset();
  loop.RunReady();
  EXPECT_EQ(calls.readable, 1);
  EXPECT_EQ(calls.writable, 1);
  uint8_t byte = 0;
  EXPECT_EQ(kept->Read(MutableByteView(&byte, 1)).state, IoState::kFailed);
  EXPECT_EQ(kept->Write(ByteView(&byte, 1)).state, IoState::kFailed);
  EXPECT_EQ(kept->ShutdownWrite(StreamEnd::kClean).state, IoState::kFailed);
  EXPECT_EQ(kept->splice_pool(), nullptr);
}

TEST_F(TlsHandlerTest, ATakenConnectionMayBeDestroyedInItsCallback) {
  CountingHandler calls;
  std::unique_ptr<Transport> kept;
  handler.on_serve = [&](std::unique_ptr<Transport> transport) {
    kept = std::move(transport);
    kept->SetHandler(&calls);
    uint8_t byte = 0;
    EXPECT_EQ(kept->Read(MutableByteView(&byte, 1)).state, IoState::kWouldBlock);
  };
  calls.on_readable = [&] { kept.reset(); };
  Connect();
  terminator.reset();
  loop.RunReady();
  EXPECT_EQ(calls.readable, 1);
}

TEST_F(TlsHandlerTest, TheIdleTimeoutEndsASilentConnection) {
  ConnectionOptions connection;
  connection.relay.idle_timeout = absl::Seconds(60);
  Start(connection);
  Connect();
  for (int i = 0; i < 3; ++i) {
    loop.RunFor(absl::Seconds(50));
    client->Send("still here");
    loop.RunReady();
  }
  EXPECT_TRUE(observer.closed.empty());
  loop.RunFor(absl::Seconds(61));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(observer.error()->phase, Phase::kRelay);
  EXPECT_EQ(GetError(served().failure())->code, ErrorCode::kTimeout);
}

TEST_F(TlsHandlerTest, TheCertificateStillLimitsTheConnection) {
  ConnectionOptions connection;
  connection.after_certificate_expiry = absl::ZeroDuration();
  connection.relay.idle_timeout = absl::Hours(24 * 400);
  Start(connection);
  Connect();
  loop.RunFor(handler.accepted[0].tls->certificate_expires - loop.Now() + absl::Hours(1));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kCancelled);
  EXPECT_THAT(observer.error()->detail, HasSubstr("expired"));
  EXPECT_FALSE(served().failure().ok());
}

TEST_F(TlsHandlerTest, ReplacedCertificatesStillEndTheConnection) {
  Connect();
  terminator->DrainOlderCertificates(handler.accepted[0].tls->certificate_generation + 1,
                                     absl::Seconds(10));
  loop.RunFor(absl::Seconds(9));
  EXPECT_TRUE(observer.closed.empty());
  loop.RunFor(absl::Seconds(2));
  EXPECT_THAT(ClosedText(), HasSubstr("the certificates were replaced"));
  EXPECT_FALSE(served().failure().ok());
}

TEST_F(TlsHandlerTest, AFailedHandshakeReachesNoHandler) {
  client = TlsPeer::Client(loop, ConnectTo(*terminator, loop), ClientOf(pki), {"app.test", {"h2"}});
  loop.RunFor(absl::Seconds(6));
  EXPECT_FALSE(client->failure().ok());
  EXPECT_TRUE(handler.accepted.empty());
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kAlpnMismatch);
}

TEST_F(TlsHandlerTest, ARouterInFrontReportsTheHandOverAndTheBlockTheEnd) {
  SniPassthroughRouterOptions options;
  options.routes = *RouteTable::Create({{"app.test", terminator.get()}});
  RecordingObserver router_observer;
  auto router = *SniPassthroughRouter::Create(loop, dialer, options, &router_observer);
  client =
      TlsPeer::Client(loop, ConnectTo(*router, loop), ClientOf(pki), {"app.test", {"http/1.1"}});
  client->Send("question");
  loop.RunReady();
  EXPECT_EQ(served().received(), "question");
  ASSERT_EQ(router_observer.closed.size(), 1u);
  EXPECT_TRUE(router_observer.closed[0].handed_over);
  served().End();
  client->End();
  loop.RunReady();
  handler.peers.clear();
  loop.RunReady();
  ASSERT_EQ(observer.closed.size(), 1u);
  EXPECT_EQ(observer.closed[0].route, "app.test");
  EXPECT_EQ(ErrorText(observer.closed.at(0).error), "ok");
}

TEST_F(TlsHandlerTest, TheProxyHeadersDataReachesTheHandler) {
  ConnectionOptions connection;
  connection.proxy_protocol_from = *TrustedPeers::Parse("192.0.2.0/24");
  Start(connection);
  auto [near, front] = testing::NewMemoryPair(loop);
  terminator->Serve(std::move(front));
  const std::string header = "PROXY TCP4 198.51.100.7 203.0.113.1 4000 443\r\n";
  ASSERT_EQ(near->Write(AsBytes(header)).bytes, header.size());
  client = TlsPeer::Client(loop, std::move(near), ClientOf(pki), {"app.test", {"http/1.1"}});
  loop.RunReady();
  ASSERT_EQ(handler.accepted.size(), 1u);
  EXPECT_EQ(handler.accepted[0].origin.peer.ToString(), "198.51.100.7:4000");
  EXPECT_NE(handler.accepted[0].origin.proxy_header, nullptr);
}

TEST_F(TlsHandlerTest, OptionsForBackendsAreRejectedWithAHandler) {
  const auto refused = [&](TlsTerminatorOptions options) {
    const absl::Status status =
        TlsTerminator::Create(loop, dialer, std::move(options), &observer).status();
    const std::optional<Error> error = GetError(status);
    EXPECT_TRUE(error.has_value() && error->code == ErrorCode::kConfiguration) << status;
    return error.has_value() ? error->detail : "";
  };
  TlsTerminatorOptions backend = Options();
  backend.backend = *Endpoint::Parse("192.0.2.9:80");
  EXPECT_THAT(refused(std::move(backend)), HasSubstr("a handler and a backend"));
  TlsTerminatorOptions content = Options();
  content.content.new_reader = [](const ConnectionReport&) { return nullptr; };
  EXPECT_THAT(refused(std::move(content)), HasSubstr("content routing"));
  TlsTerminatorOptions inspector = Options();
  inspector.new_inspector = [](const ConnectionReport&) { return nullptr; };
  EXPECT_THAT(refused(std::move(inspector)), HasSubstr("inspector"));
  TlsTerminatorOptions header = Options();
  header.connection.proxy_protocol_to_backend = ProxyProtocolOut::kV2;
  EXPECT_THAT(refused(std::move(header)), HasSubstr("PROXY headers"));
  TlsTerminatorOptions nothing = Options();
  nothing.handler = nullptr;
  EXPECT_THAT(refused(std::move(nothing)), HasSubstr("needs a backend"));
}

}  // namespace
}  // namespace trestle
