#include "trestle/proxy/tls_bridge.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/bridge_fixture.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using testing::LeafSpec;
using testing::MemoryDialer;
using testing::SimulatedLoop;
using testing::TestPki;

TEST_F(BridgeTest, OpensANewSessionToTheBackend) {
  Connect().Send("question");
  loop.RunReady();
  ASSERT_EQ(servers.size(), 1u);
  EXPECT_EQ(servers[0]->received(), "question");
  EXPECT_EQ(servers[0]->info().server_name, "internal.test");
  servers[0]->Send("answer");
  servers[0]->End();
  client->End();
  loop.RunReady();
  EXPECT_EQ(client->received(), "answer");
  EXPECT_TRUE(client->saw_end());
  ASSERT_EQ(observer.closed.size(), 1u);
  const ConnectionReport& report = observer.closed[0];
  EXPECT_TRUE(report.ok()) << ErrorText(report.error);
  EXPECT_EQ(report.mode, ProxyMode::kBridge);
  ASSERT_NE(report.front.tls, nullptr);
  ASSERT_NE(report.back.tls, nullptr);
  EXPECT_EQ(report.front.tls->server_name, "app.test");
  ASSERT_FALSE(report.back.tls->peer_chain.empty());
  EXPECT_THAT(report.back.tls->peer_chain[0].dns_names, ::testing::ElementsAre("internal.test"));
  EXPECT_THAT(report.back.tls->peer_chain[0].issuer, HasSubstr("Back CA"));
  EXPECT_FALSE(bridge->holds_buffers());
  EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
}

TEST_F(BridgeTest, AnExpiredBackendIsRejectedWithTheDate) {
  LeafSpec leaf{{"internal.test"}};
  leaf.not_before = absl::FromCivil(absl::CivilDay(2025, 1, 1), absl::UTCTimeZone());
  leaf.not_after = absl::FromCivil(absl::CivilDay(2025, 11, 2), absl::UTCTimeZone());
  ServeBackend(back_pki, leaf);
  const Error error = BackFailure();
  EXPECT_EQ(error.code, ErrorCode::kCertificateExpired);
  EXPECT_THAT(error.detail, HasSubstr("2025-11-02"));
}

TEST_F(BridgeTest, AnUntrustedBackendIsRejected) {
  ServeBackend(front_pki, {{"internal.test"}});
  const Error error = BackFailure();
  EXPECT_EQ(error.code, ErrorCode::kCertificateUntrusted);
  EXPECT_THAT(error.detail, HasSubstr("Front CA"));
}

TEST_F(BridgeTest, AMismatchedBackendIsRejectedWithBothNames) {
  ServeBackend(back_pki, {{"other.test"}});
  const Error error = BackFailure();
  EXPECT_EQ(error.code, ErrorCode::kNameMismatch);
  EXPECT_THAT(error.detail, HasSubstr("internal.test"));
  EXPECT_THAT(error.detail, HasSubstr("other.test"));
}

TEST_F(BridgeTest, ABackendWithoutTlsIsRejectedAndItsBytesAreDropped) {
  backend.on_accept = nullptr;
  Connect().Send("secret");
  loop.RunReady();
  backend.peers.at(0)->Send("HTTP/1.1 200 OK\r\n\r\ninjected");
  loop.RunReady();
  client->End();
  loop.RunFor(absl::Seconds(10));
  EXPECT_EQ(client->received(), "");
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kProtocol);
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
  EXPECT_THAT(observer.error()->detail, HasSubstr("does not speak TLS"));
}

TEST_F(BridgeTest, ASilentBackendTimesOut) {
  backend.on_accept = nullptr;
  Connect();
  loop.RunFor(absl::Seconds(20));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
  EXPECT_EQ(observer.error()->phase, Phase::kHandshake);
}

TEST_F(BridgeTest, OffersTheFrontLegsProtocolToTheBackend) {
  bridge = *Make("internal.test", {"h2", "http/1.1"});
  ServeBackend(back_pki, {{"internal.test"}}, {"http/1.1", "h2"});
  Connect({"app.test", {"h2", "http/1.1"}});
  loop.RunReady();
  EXPECT_EQ(client->info().alpn, "h2");
  EXPECT_EQ(servers.at(0)->info().alpn, "h2");
}

TEST_F(BridgeTest, ABackendWithoutAlpnSpeaksHttp11) {
  bridge = *Make("internal.test", {"http/1.1"});
  Connect({"app.test", {"http/1.1"}});
  loop.RunReady();
  EXPECT_EQ(client->info().alpn, "http/1.1");
  ASSERT_EQ(servers.size(), 1u);
  EXPECT_TRUE(servers.at(0)->handshake_done()) << servers.at(0)->failure();
  EXPECT_EQ(servers.at(0)->info().alpn, "");
}

TEST_F(BridgeTest, ABackendWithoutTheProtocolEndsTheConnection) {
  bridge = *Make("internal.test", {"h2"});
  Connect({"app.test", {"h2"}});
  loop.RunReady();
  client->End();
  loop.RunFor(absl::Seconds(10));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kAlpnMismatch);
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
}

TEST_F(BridgeTest, TruncationPassesThroughBothSessions) {
  Connect();
  loop.RunReady();
  servers.at(0)->Send("half an ans");
  loop.RunReady();
  servers.at(0)->stream().End(StreamEnd::kTruncated);
  loop.RunReady();
  EXPECT_EQ(client->received(), "half an ans");
  EXPECT_FALSE(client->saw_end());
  ASSERT_TRUE(GetError(client->failure()).has_value());
  EXPECT_EQ(GetError(client->failure())->code, ErrorCode::kTruncated);
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
}

TEST_F(BridgeTest, BackLegsResumeAndReportIt) {
  EXPECT_FALSE(ConnectAndClose().resumed);
  EXPECT_GT(bridge->back_sessions().sessions(), 0u);
  const TlsInfo resumed = ConnectAndClose();
  EXPECT_TRUE(resumed.resumed);
  EXPECT_TRUE(servers.back()->info().resumed);
  ASSERT_FALSE(resumed.peer_chain.empty()) << "dates are reported of resumed sessions too";
  EXPECT_THAT(resumed.peer_chain[0].dns_names, ::testing::ElementsAre("internal.test"));
}

TEST_F(BridgeTest, ResumptionCanBeSwitchedOff) {
  back_sessions.max_sessions = 0;
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(ConnectAndClose().resumed);
  EXPECT_EQ(bridge->back_sessions().sessions(), 0u);
}

TEST_F(BridgeTest, AnotherAddressIsNotOfferedTheSessions) {
  EXPECT_FALSE(ConnectAndClose().resumed);
  TestBackend elsewhere(loop, dialer, 2);
  auto config = ServerFor(back_pki, loop.Now(), {{"internal.test"}});
  elsewhere.on_accept = [&](std::unique_ptr<Transport> raw) {
    servers.push_back(TlsPeer::Server(loop, std::move(raw), config));
  };
  dialer.Refuse(backend.endpoint, absl::UnavailableError("moved"));
  more_backends = {elsewhere.endpoint};
  bridge.reset();
  EXPECT_FALSE(ConnectAndClose().resumed);
  EXPECT_TRUE(ConnectAndClose().resumed);
}

TEST_F(BridgeTest, ANewPolicyEndsAllSessions) {
  EXPECT_FALSE(ConnectAndClose().resumed);
  bridge->ReplaceBackTls(ClientOf(back_pki));
  EXPECT_TRUE(ConnectAndClose().resumed) << "a new config of the same parts is the same policy";
  bridge->ReplaceBackTls(ClientOf(front_pki));
  EXPECT_EQ(bridge->back_sessions().sessions(), 0u);
  Connect();
  loop.RunReady();
  ASSERT_EQ(observer.closed.size(), 0u);
  client->End();
  loop.RunFor(absl::Seconds(10));
  ASSERT_TRUE(observer.closed.back().error.has_value());
  EXPECT_EQ(observer.closed.back().error->code, ErrorCode::kCertificateUntrusted);
}

TEST_F(BridgeTest, AnEmptyNameNeverDisablesVerification) {
  const auto made = Make("");
  ASSERT_FALSE(made.ok());
  ASSERT_TRUE(GetError(made.status()).has_value());
  EXPECT_EQ(GetError(made.status())->code, ErrorCode::kConfiguration);
}

TEST_F(BridgeTest, TheClientMayCloseAtAnyMoment) {
  for (size_t calls = 0; calls < 80; ++calls) {
    SCOPED_TRACE(calls);
    observer.closed.clear();
    bridge.reset();
    Connect().Send("question");
    loop.RunReady(calls);
    client.reset();
    servers.clear();
    ExpectNothingIsLeft();
  }
}

}  // namespace
}  // namespace trestle
