// Eager application protocols: the client's hello waits for the backend's choice.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/bridge_fixture.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using Protocols = std::vector<std::string>;

class EagerAlpnTest : public BridgeTest {
 protected:
  void Start(EagerAlpnOptions eager = {}) {
    TlsBridgeOptions options = Options("internal.test", {"h2", "http/1.1"});
    eager.enabled = true;
    options.eager_alpn = eager;
    bridge = *Make(std::move(options));
  }

  void BackendSpeaks(const Protocols& protocols) {
    ServeBackend(back_pki, {{"internal.test"}}, protocols);
  }

  /// Returns the protocol that the client negotiated; the backend must have negotiated the same.
  std::string Agreed(const Protocols& offered = {"h2", "http/1.1"}) {
    ClientTlsTarget target{"app.test", offered};
    target.alpn_optional = true;
    Connect(target).Send("question");
    loop.RunReady();
    EXPECT_TRUE(client->handshake_done()) << client->failure();
    if (!client->handshake_done() || servers.empty()) return "failed";
    EXPECT_EQ(servers.back()->received(), "question");
    EXPECT_EQ(servers.back()->info().alpn, client->info().alpn);
    return client->info().alpn;
  }

  /// Expects the client's handshake to fail; returns its alert.
  int Refused() {
    Connect({"app.test", {"h2", "http/1.1"}}).Send("secret");
    loop.RunFor(absl::Seconds(30));
    EXPECT_FALSE(client->handshake_done());
    const std::optional<Error> error = GetError(client->failure());
    if (!error.has_value() || !error->alert.has_value()) return -1;
    EXPECT_EQ(error->code, ErrorCode::kPeerAlert);
    return *error->alert;
  }

  /// Connects a client that sends only its hello.
  std::unique_ptr<StreamPeer> HelloOnly() {
    ClientTlsTarget target{"app.test", {"h2"}};
    auto engine = *TlsEngine::NewClient(ClientOf(front_pki), target, loop, Leg::kFront);
    engine->Handshake();
    auto peer = std::make_unique<StreamPeer>(loop, ConnectTo(*bridge, loop));
    peer->Send(AsText(engine->to_send().view()));
    return peer;
  }
};

TEST_F(EagerAlpnTest, TheClientSeesTheBackendsChoice) {
  const struct {
    Protocols backend;
    Protocols client;
    const char* agreed;
  } cases[] = {
      {{"h2"}, {"h2", "http/1.1"}, "h2"},
      {{"http/1.1"}, {"h2", "http/1.1"}, "http/1.1"},
      {{"http/1.1", "h2"}, {"h2", "http/1.1"}, "http/1.1"},
      {{"h2", "http/1.1"}, {"http/1.1"}, "http/1.1"},
      // Protocols that the front leg does not offer are not offered to the backend.
      {{"h3", "http/1.1"}, {"h3", "http/1.1"}, "http/1.1"},
      // A backend without ALPN: the client chooses without knowledge, as without a bridge.
      {{}, {"h2", "http/1.1"}, ""},
      {{"h2"}, {}, ""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(::testing::PrintToString(c.backend) + ::testing::PrintToString(c.client));
    Start();
    BackendSpeaks(c.backend);
    EXPECT_EQ(Agreed(c.client), c.agreed);
    EXPECT_EQ(Agreed(c.client), c.agreed) << "remembered";
    EXPECT_EQ(observer.established.back().front.tls->alpn, c.agreed);
    EXPECT_EQ(observer.established.back().back.tls->alpn, c.agreed);
  }
}

TEST_F(EagerAlpnTest, TheFrontWaitsAndTheTimesShowIt) {
  Start();
  BackendSpeaks({"h2"});
  auto config = ServerFor(back_pki, loop.Now(), {{"internal.test"}}, {"h2"});
  dialer.Listen(
      backend.endpoint,
      [this, config](std::unique_ptr<Transport> raw) {
        servers.push_back(TlsPeer::Server(loop, std::move(raw), config));
      },
      absl::Seconds(2));
  Connect({"app.test", {"h2"}});
  loop.RunFor(absl::Seconds(1));
  EXPECT_FALSE(client->handshake_done());
  loop.RunFor(absl::Seconds(2));
  EXPECT_TRUE(client->handshake_done());
  ASSERT_EQ(observer.established.size(), 1u);
  EXPECT_EQ(observer.established[0].times.dial, absl::Seconds(2));
  EXPECT_GE(observer.established[0].times.front, absl::Seconds(2));
}

TEST_F(EagerAlpnTest, WithoutACommonProtocolNoBackendIsDialed) {
  Start();
  Connect({"app.test", {"h3", "spdy/3"}});
  loop.RunFor(absl::Seconds(30));
  ASSERT_TRUE(GetError(client->failure()).has_value());
  EXPECT_EQ(GetError(client->failure())->alert, 120 /* no_application_protocol */);
  EXPECT_EQ(dialer.dials(), 0u);
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kAlpnMismatch);
  EXPECT_EQ(observer.error()->leg, Leg::kFront);
}

TEST_F(EagerAlpnTest, ABackendsFailureReachesTheClientAsAnAlert) {
  Start();
  BackendSpeaks({"h3"});
  EXPECT_EQ(Refused(), 120) << "it supports none of them: no_application_protocol";
  EXPECT_EQ(observer.error()->code, ErrorCode::kPeerAlert);
  EXPECT_EQ(observer.error()->leg, Leg::kBack);

  observer.closed.clear();
  ServeBackend(front_pki, {{"internal.test"}}, {"h2"});
  EXPECT_EQ(Refused(), 80) << "not the client's fault: internal_error";
  EXPECT_EQ(observer.error()->code, ErrorCode::kCertificateUntrusted);
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
  EXPECT_EQ(servers.back()->received(), "");

  observer.closed.clear();
  dialer.Refuse(backend.endpoint, absl::UnavailableError("refused"));
  EXPECT_EQ(Refused(), 80);
  EXPECT_EQ(observer.error()->code, ErrorCode::kTransport);
  EXPECT_TRUE(observer.established.empty());
  EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
}

TEST_F(EagerAlpnTest, ASilentBackendReachesItsOwnTimeout) {
  Start();
  backend.on_accept = nullptr;
  EXPECT_EQ(Refused(), 80);
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
  EXPECT_EQ(observer.error()->phase, Phase::kHandshake);
}

TEST_F(EagerAlpnTest, AChoiceIsCachedAndForgottenWhenOutdated) {
  Start();
  BackendSpeaks({"h2"});
  EXPECT_EQ(Agreed(), "h2");
  BackendSpeaks({"http/1.1"});
  observer.closed.clear();
  Connect({"app.test", {"h2", "http/1.1"}});
  loop.RunReady();
  EXPECT_EQ(client->info().alpn, "h2") << "answered from the cache";
  client->End();
  loop.RunFor(absl::Seconds(10));
  ASSERT_FALSE(observer.closed.empty());
  EXPECT_FALSE(observer.closed.back().ok());
  EXPECT_EQ(Agreed(), "http/1.1");
}

TEST_F(EagerAlpnTest, AChoiceIsRenewedAfterAWhile) {
  Start();
  BackendSpeaks({"h2"});
  EXPECT_EQ(Agreed(), "h2");
  BackendSpeaks({"http/1.1"});
  loop.RunFor(absl::Minutes(10));
  EXPECT_EQ(Agreed(), "http/1.1");
}

TEST_F(EagerAlpnTest, EarlyDialsHaveABudget) {
  EagerAlpnOptions eager;
  eager.dials_per_network = 3;
  Start(eager);
  backend.on_accept = nullptr;  // Accepts, and never responds.
  std::vector<std::unique_ptr<StreamPeer>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(HelloOnly());
  loop.RunReady();
  EXPECT_EQ(dialer.dials(), 3u);
  int answered = 0;
  for (const auto& each : clients) answered += each->received().empty() ? 0 : 1;
  EXPECT_EQ(answered, 17) << "clients over the budget are answered lazily";
  loop.RunFor(absl::Seconds(10));
  clients.push_back(HelloOnly());
  loop.RunReady();
  EXPECT_EQ(dialer.dials(), 4u) << "the budget refills";
}

TEST_F(EagerAlpnTest, UncountedNetworksCauseNoEarlyDial) {
  EagerAlpnOptions eager;
  eager.max_networks = 0;
  Start(eager);
  const std::unique_ptr<StreamPeer> hello = HelloOnly();
  loop.RunReady();
  EXPECT_EQ(dialer.dials(), 0u);
  BackendSpeaks({"h2"});
  EXPECT_EQ(Agreed(), "h2") << "lazy ALPN works";
}

TEST_F(EagerAlpnTest, TheNextBackendIsTriedWhileTheClientWaits) {
  TestBackend second(loop, dialer, 2);
  auto config = ServerFor(back_pki, loop.Now(), {{"internal.test"}}, {"http/1.1"});
  second.on_accept = [&](std::unique_ptr<Transport> raw) {
    servers.push_back(TlsPeer::Server(loop, std::move(raw), config));
  };
  more_backends = {second.endpoint};
  Start();
  dialer.Refuse(backend.endpoint, absl::UnavailableError("refused"));
  EXPECT_EQ(Agreed(), "http/1.1");
}

TEST_F(EagerAlpnTest, NeedsProtocols) {
  TlsBridgeOptions options = Options("internal.test");
  options.eager_alpn.enabled = true;
  const auto made = Make(std::move(options));
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(GetError(made.status())->code, ErrorCode::kConfiguration);
  EXPECT_THAT(made.status().message(), HasSubstr("eager_alpn"));
}

TEST_F(EagerAlpnTest, CannotBeCombinedWithContentRouting) {
  TlsBridgeOptions options = Options("internal.test", {"h2"});
  options.eager_alpn.enabled = true;
  options.content.new_reader = [](const ConnectionReport&) { return nullptr; };
  const auto made = Make(std::move(options));
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(GetError(made.status())->code, ErrorCode::kConfiguration);
  EXPECT_THAT(made.status().message(), HasSubstr("content"));
}

TEST_F(EagerAlpnTest, TheClientMayCloseAtAnyMoment) {
  BackendSpeaks({"h2"});
  for (size_t calls = 0; calls < 100; ++calls) {
    SCOPED_TRACE(calls);
    observer.closed.clear();
    bridge.reset();
    Start();
    Connect({"app.test", {"h2"}}).Send("question");
    loop.RunReady(calls);
    client.reset();
    servers.clear();
    ExpectNothingIsLeft();
  }
}

TEST_F(EagerAlpnTest, TheBackendMayCloseAtAnyMoment) {
  BackendSpeaks({"h2"});
  for (size_t calls = 0; calls < 100; ++calls) {
    SCOPED_TRACE(calls);
    observer.closed.clear();
    bridge.reset();
    Start();
    Connect({"app.test", {"h2"}}).Send("question");
    loop.RunReady(calls);
    servers.clear();
    loop.RunReady();
    client.reset();
    ExpectNothingIsLeft();
  }
}

TEST_F(EagerAlpnTest, TheBlockMayBeDestroyedAtAnyMoment) {
  BackendSpeaks({"h2"});
  for (size_t calls = 0; calls < 100; ++calls) {
    SCOPED_TRACE(calls);
    observer.closed.clear();
    Start();
    Connect({"app.test", {"h2"}});
    loop.RunReady(calls);
    bridge.reset();
    EXPECT_EQ(observer.closed.size(), 1u);
    client.reset();
    servers.clear();
    loop.RunFor(absl::Minutes(10));
    EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
  }
}

}  // namespace
}  // namespace trestle
