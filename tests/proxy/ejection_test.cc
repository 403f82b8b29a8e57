// Several backends of a bridge: after a failed handshake the next one is tried, and a backend that
// keeps failing is ejected for a while.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/bridge_fixture.h"
#include "trestle/base/ip_range.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

class EjectionTest : public BridgeTest {
 protected:
  EjectionTest() {
    more_backends = {second.endpoint};
    Serve(first_config, backend, first_accepts);
    Serve(good_config, second, second_accepts);
  }

  void Serve(const std::shared_ptr<const ServerTlsConfig>& config, TestBackend& at, int& accepts) {
    at.on_accept = [this, config, &accepts](std::unique_ptr<Transport> raw) {
      ++accepts;
      servers.push_back(TlsPeer::Server(loop, std::move(raw), config));
    };
  }

  void FirstIsGoodAgain() { Serve(good_config, backend, first_accepts); }

  void Start(EjectionOptions ejection = {}) {
    TlsBridgeOptions options = Options("internal.test");
    options.connection.ejection = ejection;
    bridge = *Make(std::move(options));
  }

  std::shared_ptr<const ServerTlsConfig> good_config =
      ServerFor(back_pki, loop.Now(), {{"internal.test"}});
  // The bridge does not trust this certificate.
  std::shared_ptr<const ServerTlsConfig> first_config =
      ServerFor(front_pki, loop.Now(), {{"internal.test"}});
  TestBackend second{loop, dialer, 2};
  int first_accepts = 0;
  int second_accepts = 0;
};

TEST_F(EjectionTest, AfterAFailedHandshakeTheNextBackendIsTried) {
  Start();
  Connect().Send("question");
  loop.RunReady();
  EXPECT_EQ(first_accepts, 1);
  EXPECT_EQ(second_accepts, 1);
  EXPECT_EQ(servers.at(0)->received(), "");
  EXPECT_EQ(servers.at(1)->received(), "question");
  ASSERT_EQ(observer.established.size(), 1u);
  const ConnectionReport& report = observer.established[0];
  EXPECT_EQ(report.back.peer, second.endpoint);
  EXPECT_THAT(report.back.tls->peer_chain[0].issuer, HasSubstr("Back CA"));
  ASSERT_EQ(report.failed_tries.size(), 1u);
  EXPECT_EQ(report.failed_tries[0].backend, backend.endpoint);
  EXPECT_EQ(report.failed_tries[0].error.code, ErrorCode::kCertificateUntrusted);
  ASSERT_FALSE(servers[0]->failure().ok()) << "the rejected backend gets an alert";
  EXPECT_EQ(GetError(servers[0]->failure())->alert, 48 /* unknown_ca */);
}

TEST_F(EjectionTest, IfAllFailTheLastReasonIsTheErrorAndTheOthersAreKept) {
  Serve(first_config, second, second_accepts);
  Start();
  Connect().Send("secret");
  loop.RunReady();
  client->End();
  loop.RunFor(absl::Seconds(10));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kCertificateUntrusted);
  EXPECT_EQ(observer.closed[0].back.peer, second.endpoint);
  EXPECT_EQ(observer.closed[0].failed_tries.size(), 1u);
}

TEST_F(EjectionTest, AfterThreeFailuresABackendIsEjected) {
  Start();
  for (int i = 0; i < 12; ++i) ConnectAndClose();
  EXPECT_EQ(first_accepts, 3);
  EXPECT_EQ(second_accepts, 12);
}

TEST_F(EjectionTest, TheLimitCanBeSet) {
  Start({1, absl::Seconds(1), absl::Minutes(1)});
  for (int i = 0; i < 4; ++i) ConnectAndClose();
  EXPECT_EQ(first_accepts, 1);
  bridge.reset();
  Start({0, absl::Seconds(1), absl::Minutes(1)});
  for (int i = 0; i < 12; ++i) ConnectAndClose();
  EXPECT_EQ(first_accepts, 1 + 12) << "each connection tries it again";
}

TEST_F(EjectionTest, OneConnectionTriesAgainAndTheEjectionDoubles) {
  Start();
  for (int i = 0; i < 8; ++i) ConnectAndClose();
  ASSERT_EQ(first_accepts, 3);
  int tried = 3;
  for (const int seconds : {1, 2, 4, 8, 16, 32, 60, 60}) {
    loop.RunFor(absl::Seconds(seconds) - absl::Milliseconds(1));
    ConnectAndClose();
    EXPECT_EQ(first_accepts, tried) << "before " << seconds << " s";
    loop.RunFor(absl::Milliseconds(1));
    ++tried;
    for (int i = 0; i < 4; ++i) ConnectAndClose();
    EXPECT_EQ(first_accepts, tried) << "after " << seconds << " s";
  }
}

TEST_F(EjectionTest, ASuccessResetsTheFailures) {
  Start();
  for (int i = 0; i < 8; ++i) ConnectAndClose();
  FirstIsGoodAgain();
  loop.RunFor(absl::Seconds(1));
  first_accepts = second_accepts = 0;
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(ConnectAndClose().version == "TLSv1.3");
  EXPECT_EQ(first_accepts, 3);
  EXPECT_EQ(second_accepts, 3);
}

TEST_F(EjectionTest, DuringATryOtherConnectionsUseOtherBackends) {
  Start();
  for (int i = 0; i < 8; ++i) ConnectAndClose();
  loop.RunFor(absl::Seconds(1));
  // The connection that tries it hangs in its handshake.
  std::vector<std::unique_ptr<Transport>> hanging;
  backend.on_accept = [&](std::unique_ptr<Transport> raw) { hanging.push_back(std::move(raw)); };
  std::vector<std::unique_ptr<TlsPeer>> clients;
  for (int i = 0; i < 5; ++i) {
    Connect();
    clients.push_back(std::move(client));
    loop.RunReady();
  }
  EXPECT_EQ(hanging.size(), 1u);
}

// ---- malicious clients that try to eject a good backend ----

class EjectionByClientsTest : public EjectionTest {
 protected:
  // Both backends work for "app.test" and http/1.1. For anything else, the first one fails and the
  // second one doesn't.
  EjectionByClientsTest() {
    Serve(ServerFor(back_pki, loop.Now(), {{"app.test"}}, {"http/1.1"}), backend, first_accepts);
    Serve(ServerFor(back_pki, loop.Now(), {{"app.test", "evil.test"}}, {"h2", "http/1.1"}), second,
          second_accepts);
  }

  TlsBridgeOptions Copying() {
    TlsBridgeOptions options = Options("");
    options.front_tls =
        ServerFor(front_pki, loop.Now(), {{"app.test", "evil.test"}}, {"h2", "http/1.1"});
    options.copy_server_name = true;
    return options;
  }

  void ConnectOnce(const ClientTlsTarget& target) {
    Connect(target);
    loop.RunReady();
    client->End();
    loop.RunReady();
    if (!servers.empty()) servers.back()->End();
    loop.RunFor(absl::Milliseconds(50));
  }

  // Returns how many of 8 ordinary connections the first backend got.
  int FirstsShare() {
    const int before = first_accepts;
    for (int i = 0; i < 8; ++i) ConnectOnce({"app.test", {"http/1.1"}});
    return first_accepts - before;
  }
};

TEST_F(EjectionByClientsTest, AnUnknownNameEjectsForThatNameOnly) {
  bridge = *Make(Copying());
  for (int i = 0; i < 10; ++i) ConnectOnce({"evil.test", {"http/1.1"}});
  EXPECT_EQ(first_accepts, 3) << "ejected for that name";
  EXPECT_EQ(second_accepts, 10);
  EXPECT_EQ(FirstsShare(), 4);
}

TEST_F(EjectionByClientsTest, AnUnsupportedProtocolEjectsForThatProtocolOnly) {
  bridge = *Make(Copying());
  for (int i = 0; i < 10; ++i) ConnectOnce({"app.test", {"h2"}});
  EXPECT_EQ(first_accepts, 3) << "ejected for that protocol";
  EXPECT_EQ(FirstsShare(), 4);
}

TEST_F(EjectionByClientsTest, AnEagerProtocolEjectsForThatProtocolOnly) {
  TlsBridgeOptions options = Copying();
  options.eager_alpn.enabled = true;
  bridge = *Make(std::move(options));
  for (int i = 0; i < 10; ++i) ConnectOnce({"app.test", {"h2"}});
  EXPECT_EQ(FirstsShare(), 4);
}

TEST_F(EjectionByClientsTest, AComputedNameEjectsForThatNameOnly) {
  TlsBridgeOptions options = Copying();
  options.copy_server_name = false;
  options.compute_backend_name = [](const BridgedClient& client) {
    return std::string(client.server_name);
  };
  bridge = *Make(std::move(options));
  for (int i = 0; i < 10; ++i) ConnectOnce({"evil.test", {"http/1.1"}});
  EXPECT_EQ(FirstsShare(), 4);
}

// A backend may close connections of clients that it has banned by the address in the PROXY header.
TEST_F(EjectionByClientsTest, ABannedAddressEjectsForThatAddressOnly) {
  TlsBridgeOptions options = Copying();
  options.connection.proxy_protocol_from = *TrustedPeers::Parse("0.0.0.0/0");
  options.connection.proxy_protocol_to_backend = ProxyProtocolOut::kV1;
  bridge = *Make(std::move(options));
  int accepts = 0;
  std::vector<std::unique_ptr<Transport>> open;
  const auto come_from = [&](absl::string_view address) {
    auto raw = ConnectTo(*bridge, loop);
    raw->Write(AsBytes(absl::StrCat("PROXY TCP4 ", address, " 203.0.113.9 1 443\r\n")));
    client = TlsPeer::Client(loop, std::move(raw), ClientOf(front_pki), {"app.test", {}});
    loop.RunReady();
    client.reset();
    loop.RunFor(absl::Milliseconds(50));
  };
  second.on_accept = [&](std::unique_ptr<Transport> raw) { open.push_back(std::move(raw)); };
  backend.on_accept = [&](std::unique_ptr<Transport>) { ++accepts; };  // Closes the connection.
  for (int i = 0; i < 10; ++i) come_from("198.51.100.66");
  EXPECT_EQ(accepts, 3) << "ejected for that client";
  backend.on_accept = [&](std::unique_ptr<Transport> raw) {
    ++accepts;
    open.push_back(std::move(raw));
  };
  for (int i = 0; i < 8; ++i) come_from("198.51.100.7");
  EXPECT_EQ(accepts, 3 + 4);
}

TEST_F(EjectionByClientsTest, ClosingEarlyEjectsNothing) {
  bridge = *Make(Copying());
  std::vector<std::unique_ptr<Transport>> hanging;
  backend.on_accept = [&](std::unique_ptr<Transport> raw) {
    ++first_accepts;
    hanging.push_back(std::move(raw));
  };
  for (int i = 0; i < 10; ++i) {
    Connect({"app.test", {"http/1.1"}});
    loop.RunReady();
    client.reset();
    loop.RunFor(absl::Seconds(1));
  }
  EXPECT_EQ(first_accepts, 5) << "every second connection, as before";
}

// The one connection that tries an ejected backend again closes: the next one may try.
TEST_F(EjectionByClientsTest, ClosingDuringATryAllowsAnotherTry) {
  TlsBridgeOptions options = Copying();
  options.eager_alpn.enabled = true;
  options.eager_alpn.remember_for = absl::ZeroDuration();
  bridge = *Make(std::move(options));
  const ClientTlsTarget target = {"app.test", {"http/1.1"}};
  Serve(first_config, backend, first_accepts);
  for (int i = 0; i < 8; ++i) ConnectOnce(target);
  ASSERT_EQ(first_accepts, 3);
  loop.RunFor(absl::Seconds(1));
  std::vector<std::unique_ptr<Transport>> hanging;
  backend.on_accept = [&](std::unique_ptr<Transport> raw) { hanging.push_back(std::move(raw)); };
  for (size_t tries = 1; tries < 4; ++tries) {
    // One of the two connections goes to the second backend.
    for (int i = 0; i < 2; ++i) {
      const auto raw = ConnectTo(*bridge, loop);
      const auto hello = *TlsEngine::NewClient(ClientOf(front_pki), target, loop, Leg::kFront);
      hello->Handshake();
      raw->Write(hello->to_send().view());
      loop.RunReady();
      raw->Abort();
      loop.RunReady();
    }
    EXPECT_EQ(hanging.size(), tries);
  }
}

// Many connections use up ports and descriptors, which is not the backend's fault.
TEST_F(EjectionByClientsTest, ExhaustedLocalResourcesEjectNothing) {
  bridge = *Make(Copying());
  dialer.Refuse(backend.endpoint,
                MakeError(ErrorCode::kOverLimit, Phase::kDial, "no local port is free"));
  for (int i = 0; i < 8; ++i) ConnectOnce({"app.test", {"http/1.1"}});
  EXPECT_EQ(dialer.dials(), 16u) << "it is tried first each time";
}

TEST_F(EjectionTest, IfAllAreEjectedTheyAreTriedNevertheless) {
  Serve(first_config, second, second_accepts);
  Start();
  for (int i = 0; i < 6; ++i) {
    Connect();
    loop.RunReady();
    client->End();
    loop.RunReady();
  }
  FirstIsGoodAgain();
  Serve(good_config, second, second_accepts);
  EXPECT_EQ(ConnectAndClose().version, "TLSv1.3");
}

TEST_F(EjectionTest, AllTriesShareThePhasesTime) {
  std::vector<std::unique_ptr<Transport>> silent;
  const auto slow_failure = [&](std::unique_ptr<Transport> raw) {
    silent.push_back(std::move(raw));
  };
  backend.on_accept = slow_failure;
  second.on_accept = slow_failure;
  Start();
  Connect();
  loop.RunFor(absl::Seconds(6));
  silent.at(0)->Abort();
  loop.RunFor(absl::Seconds(3));
  EXPECT_EQ(silent.size(), 2u);
  EXPECT_TRUE(observer.closed.empty());
  loop.RunFor(absl::Seconds(1));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(observer.error()->phase, Phase::kHandshake);
  EXPECT_EQ(observer.closed[0].times.back, absl::Seconds(10));
}

TEST_F(EjectionTest, DialsShareOneTimeout) {
  dialer.Refuse(backend.endpoint, absl::UnavailableError("no"), absl::Seconds(7));
  dialer.Refuse(second.endpoint, absl::UnavailableError("no"), absl::Seconds(7));
  TlsBridgeOptions options = Options("internal.test");
  options.connection.next_dial_after = absl::InfiniteDuration();
  bridge = *Make(std::move(options));
  Connect();
  loop.RunFor(absl::Seconds(10));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(observer.error()->phase, Phase::kDial);
}

TEST_F(EjectionTest, ZeroAndInfiniteLimitsAreRejected) {
  TlsBridgeOptions options = Options("internal.test");
  options.connection.ejection.first = absl::ZeroDuration();
  EXPECT_EQ(GetError(Make(std::move(options)).status())->code, ErrorCode::kConfiguration);
}

TEST_F(EjectionTest, TheClientMayCloseAtAnyMoment) {
  Serve(first_config, second, second_accepts);
  for (size_t calls = 0; calls < 80; ++calls) {
    SCOPED_TRACE(calls);
    observer.closed.clear();
    bridge.reset();
    Start();
    Connect().Send("question");
    loop.RunReady(calls);
    client.reset();
    servers.clear();
    ExpectNothingIsLeft();
  }
}

}  // namespace
}  // namespace trestle
