#include "trestle/proxy/tls_terminator.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/tls_fixture.h"

namespace trestle {
namespace {

using testing::MemoryDialer;
using testing::SimulatedLoop;
using testing::TestPki;

class UpperCaseInspector final : public Inspector {
 public:
  Verdict Inspect(Direction direction, ByteView pending, bool) override {
    if (direction == Direction::kToClient) return Verdict::Forward(pending.size());
    if (AsText(pending).find("attack") != absl::string_view::npos) {
      return Verdict::Block("attack found", "blocked\n");
    }
    std::string upper(AsText(pending));
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return Verdict::Replace(pending.size(), upper);
  }
};

class TerminatorTest : public ::testing::Test {
 protected:
  TerminatorTest() { Start({}); }

  void Start(InspectorFactory inspector, std::vector<std::string> alpn = {}) {
    TlsTerminatorOptions options;
    options.front_tls = ServerFor(pki, loop.Now(), {{"app.test"}}, std::move(alpn));
    options.backend = backend.endpoint;
    options.new_inspector = std::move(inspector);
    auto made = TlsTerminator::Create(loop, dialer, std::move(options), &observer);
    ASSERT_TRUE(made.ok()) << made.status();
    terminator = *std::move(made);
  }

  TlsPeer& Connect(const ClientTlsTarget& target = {"app.test", {}},
                   TlsVersion version = TlsVersion::kTls13) {
    client = TlsPeer::Client(loop, ConnectTo(*terminator, loop), ClientOf(pki, version), target);
    return *client;
  }

  SimulatedLoop loop;
  TestPki pki{loop.Now()};
  MemoryDialer dialer{loop};
  TestBackend backend{loop, dialer, 1};
  RecordingObserver observer;
  std::unique_ptr<TlsTerminator> terminator;
  std::unique_ptr<TlsPeer> client;
};

// An ACME server gets its response and a clean end; the backend receives nothing.
TEST_F(TerminatorTest, AcmeChallengesDoNotReachTheBackend) {
  TlsTerminatorOptions options;
  ServerTlsOptions front;
  front.certificates = *CertificateStore::Create({pki.IssueCredential({{"app.test"}})}, loop.Now());
  front.acme_tokens = std::make_shared<AcmeTokens>();
  ASSERT_TRUE(front.acme_tokens->Set("app.test", "token." + std::string(43, 'A')).ok());
  options.front_tls = *ServerTlsConfig::Create(std::move(front));
  options.backend = backend.endpoint;
  terminator = *TlsTerminator::Create(loop, dialer, std::move(options), &observer);
  ClientTlsOptions anybody;
  anybody.dangerous_skip_verify = true;
  const ClientTlsTarget challenge = {"app.test", {"acme-tls/1"}};
  client = TlsPeer::Client(loop, ConnectTo(*terminator, loop),
                           *ClientTlsConfig::Create(std::move(anybody)), challenge);
  client->Send("no business here");
  loop.RunReady();
  EXPECT_TRUE(client->handshake_done()) << client->failure();
  EXPECT_EQ(client->received(), "");
  EXPECT_TRUE(client->saw_end()) << "close_notify";
  client->End();
  loop.RunReady();
  EXPECT_TRUE(backend.peers.empty());
  EXPECT_EQ(terminator->open_connections(), 0u);
  ASSERT_EQ(observer.closed.size(), 1u);
  EXPECT_TRUE(observer.closed[0].ok()) << ErrorText(observer.closed[0].error);
  EXPECT_TRUE(observer.closed[0].front.tls->acme_challenge);
}

TEST_F(TerminatorTest, DecryptsAndPassesClearTextOn) {
  Connect().Send("GET / HTTP/1.1\r\n\r\n");
  loop.RunReady();
  ASSERT_EQ(backend.peers.size(), 1u);
  EXPECT_EQ(backend.peers[0]->received(), "GET / HTTP/1.1\r\n\r\n");
  backend.peers[0]->Send("HTTP/1.1 200 OK\r\n\r\n");
  backend.peers[0]->End();
  loop.RunReady();
  EXPECT_EQ(client->received(), "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_TRUE(client->saw_end());
  client->End();
  loop.RunReady();
  ASSERT_EQ(observer.closed.size(), 1u);
  const ConnectionReport& report = observer.closed[0];
  EXPECT_TRUE(report.ok()) << ErrorText(report.error);
  EXPECT_EQ(report.mode, ProxyMode::kOffload);
  EXPECT_EQ(report.server_name, "app.test");
  ASSERT_NE(report.front.tls, nullptr);
  EXPECT_EQ(report.front.tls->version, "TLSv1.3");
  EXPECT_EQ(report.front.tls->group, "X25519MLKEM768");
  EXPECT_EQ(report.back.tls, nullptr);
  EXPECT_EQ(report.front.bytes_read, 18u);
  EXPECT_EQ(report.back.bytes_read, 19u);
}

TEST_F(TerminatorTest, HalfCloseIsPassedOnInBothVersions) {
  for (const TlsVersion version : {TlsVersion::kTls12, TlsVersion::kTls13}) {
    backend.peers.clear();
    Connect({"app.test", {}}, version).Send("question");
    client->End();
    loop.RunReady();
    ASSERT_EQ(backend.peers.size(), 1u);
    EXPECT_TRUE(backend.peers[0]->saw_end());
    backend.peers[0]->Send("answer after the half-close");
    backend.peers[0]->End();
    loop.RunReady();
    EXPECT_EQ(client->received(), "answer after the half-close");
    EXPECT_TRUE(client->saw_end());
    EXPECT_TRUE(client->failure().ok()) << client->failure();
  }
}

TEST_F(TerminatorTest, AnUnreachableBackendGivesTheClientACleanClose) {
  dialer.Refuse(backend.endpoint, absl::UnavailableError("connection refused"));
  Connect().Send("GET /");
  loop.RunReady();
  EXPECT_TRUE(client->saw_end());
  EXPECT_TRUE(client->failure().ok());
  client->End();
  loop.RunReady();
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
  EXPECT_EQ(observer.error()->phase, Phase::kDial);
  EXPECT_EQ(observer.error()->code, ErrorCode::kTransport);
}

TEST_F(TerminatorTest, ATruncatedBackendIsNoCleanEndForTheClient) {
  Connect();
  loop.RunReady();
  backend.peers.at(0)->Send("half an ans");
  backend.peers.at(0)->End(StreamEnd::kTruncated);
  loop.RunReady();
  EXPECT_EQ(client->received(), "half an ans");
  EXPECT_FALSE(client->saw_end());
  ASSERT_TRUE(GetError(client->failure()).has_value()) << client->failure();
  EXPECT_EQ(GetError(client->failure())->code, ErrorCode::kTruncated);
}

TEST_F(TerminatorTest, ATruncatingClientIsNoCleanEndForTheBackend) {
  Connect().Send("half a requ");
  loop.RunReady();
  client->stream().End(StreamEnd::kTruncated);
  loop.RunReady();
  EXPECT_EQ(backend.peers.at(0)->received(), "half a requ");
  EXPECT_FALSE(backend.peers.at(0)->saw_end());
  EXPECT_FALSE(backend.peers.at(0)->failure().ok());
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTruncated);
  EXPECT_EQ(observer.error()->leg, Leg::kFront);
}

TEST_F(TerminatorTest, AFailedHandshakeReachesNoBackendAndSendsTheAlert) {
  Start({}, {"h2"});
  Connect({"app.test", {"http/1.1"}});
  // This client doesn't close: its leg lingers, so that a reset can't overtake the alert.
  loop.RunFor(absl::Seconds(6));
  ASSERT_FALSE(client->failure().ok());
  EXPECT_EQ(GetError(client->failure())->alert, 120) << client->failure();
  EXPECT_EQ(dialer.dials(), 0u);
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kAlpnMismatch);
  EXPECT_EQ(observer.error()->leg, Leg::kFront);
  EXPECT_EQ(observer.closed[0].server_name, "app.test");
}

TEST_F(TerminatorTest, TheHelloTimeoutEndsASilentClient) {
  StreamPeer silent(loop, ConnectTo(*terminator, loop));
  loop.RunFor(absl::Milliseconds(5100));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(observer.error()->phase, Phase::kHello);
  EXPECT_EQ(terminator->open_connections(), 0u);
}

TEST_F(TerminatorTest, TheHandshakeTimeoutEndsAStalledHandshake) {
  // A client that sends only its hello.
  auto engine = *TlsEngine::NewClient(ClientOf(pki), {"app.test", {}}, loop, Leg::kFront);
  engine->Handshake();
  StreamPeer stalled(loop, ConnectTo(*terminator, loop));
  stalled.Send(AsText(engine->to_send().view()));
  loop.RunFor(absl::Milliseconds(9900));
  EXPECT_TRUE(observer.closed.empty());
  loop.RunFor(absl::Milliseconds(200));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(observer.error()->phase, Phase::kHandshake);
}

TEST_F(TerminatorTest, AnIdleConnectionHoldsNoBuffers) {
  Connect().Send("ping");
  loop.RunReady();
  backend.peers.at(0)->Send("pong");
  loop.RunReady();
  EXPECT_EQ(client->received(), "pong");
  EXPECT_FALSE(terminator->holds_buffers());
  EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
}

TEST_F(TerminatorTest, TheInspectorSeesClearText) {
  Start([](const ConnectionReport&) { return std::make_unique<UpperCaseInspector>(); });
  Connect().Send("shout");
  loop.RunReady();
  EXPECT_EQ(backend.peers.at(0)->received(), "SHOUT");
  client->Send("attack!");
  loop.RunReady();
  EXPECT_EQ(client->received(), "blocked\n");
  EXPECT_TRUE(client->saw_end()) << "a rejection is a complete response";
  client->End();
  loop.RunFor(absl::Seconds(10));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kBlockedByInspector);
  EXPECT_EQ(backend.peers.at(0)->received(), "SHOUT");
}

TEST_F(TerminatorTest, PlaintextOnTheTlsPortIsRejected) {
  StreamPeer plain(loop, ConnectTo(*terminator, loop));
  plain.Send("GET / HTTP/1.1\r\n\r\n");
  loop.RunReady();
  plain.End();
  loop.RunReady();
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kNotTls);
  EXPECT_EQ(dialer.dials(), 0u);
}

TEST_F(TerminatorTest, OptionsAreChecked) {
  EXPECT_FALSE(TlsTerminator::Create(loop, dialer, {}).ok());
  TlsTerminatorOptions options;
  options.front_tls = ServerFor(pki, loop.Now(), {{"app.test"}});
  EXPECT_FALSE(TlsTerminator::Create(loop, dialer, std::move(options)).ok());
}

}  // namespace
}  // namespace trestle
