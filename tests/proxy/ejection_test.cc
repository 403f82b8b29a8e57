// Several backends behind a bridge: a handshake that fails goes on at the next one, and a backend
// that keeps failing is left alone for a while.
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
  // Not what the bridge trusts.
  std::shared_ptr<const ServerTlsConfig> first_config =
      ServerFor(front_pki, loop.Now(), {{"internal.test"}});
  TestBackend second{loop, dialer, 2};
  int first_accepts = 0;
  int second_accepts = 0;
};

TEST_F(EjectionTest, AHandshakeThatFailsGoesOnAtTheNext) {
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
  EXPECT_EQ(GetTlsError(report.failed_tries[0].status)->code, ErrorCode::kCertificateUntrusted);
  ASSERT_FALSE(servers[0]->failure().ok()) << "the refused one hears why";
  EXPECT_EQ(GetTlsError(servers[0]->failure())->alert, 48 /* unknown_ca */);
}

TEST_F(EjectionTest, WhereAllFailTheLastReasonIsToldAndTheOthersKept) {
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

TEST_F(EjectionTest, AfterThreeFailuresABackendIsLeftAlone) {
  Start();
  for (int i = 0; i < 12; ++i) ConnectAndClose();
  EXPECT_EQ(first_accepts, 3);
  EXPECT_EQ(second_accepts, 12);
}

TEST_F(EjectionTest, TheLimitMayBeAnotherOrNone) {
  Start({1, absl::Seconds(1), absl::Minutes(1)});
  for (int i = 0; i < 4; ++i) ConnectAndClose();
  EXPECT_EQ(first_accepts, 1);
  bridge.reset();
  Start({0, absl::Seconds(1), absl::Minutes(1)});
  for (int i = 0; i < 12; ++i) ConnectAndClose();
  EXPECT_EQ(first_accepts, 1 + 12) << "each connection finds it out anew";
}

TEST_F(EjectionTest, OneConnectionTriesAgainAndTheTimeDoubles) {
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

TEST_F(EjectionTest, ASuccessForgetsTheFailures) {
  Start();
  for (int i = 0; i < 8; ++i) ConnectAndClose();
  FirstIsGoodAgain();
  loop.RunFor(absl::Seconds(1));
  first_accepts = second_accepts = 0;
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(ConnectAndClose().version == "TLSv1.3");
  EXPECT_EQ(first_accepts, 3);
  EXPECT_EQ(second_accepts, 3);
}

TEST_F(EjectionTest, WhileOneTriesTheOthersWait) {
  Start();
  for (int i = 0; i < 8; ++i) ConnectAndClose();
  loop.RunFor(absl::Seconds(1));
  // The one that tries hangs in its handshake.
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

TEST_F(EjectionTest, WhereAllAreEjectedTheyAreTriedNevertheless) {
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

TEST_F(EjectionTest, DialsShareTheirTimeToo) {
  dialer.Refuse(backend.endpoint, absl::UnavailableError("no"), absl::Seconds(7));
  dialer.Refuse(second.endpoint, absl::UnavailableError("no"), absl::Seconds(7));
  Start();
  Connect();
  loop.RunFor(absl::Seconds(10));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(observer.error()->phase, Phase::kDial);
}

TEST_F(EjectionTest, LimitsMustBeLimits) {
  TlsBridgeOptions options = Options("internal.test");
  options.connection.ejection.first = absl::ZeroDuration();
  EXPECT_EQ(GetTlsError(Make(std::move(options)).status())->code, ErrorCode::kConfiguration);
}

TEST_F(EjectionTest, TheClientMayLeaveAtAnyMoment) {
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
