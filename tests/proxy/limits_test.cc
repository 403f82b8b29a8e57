// A block's limits: connections over them are rejected, and others are not affected.
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/tls_fixture.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/tls/client_session_cache.h"

namespace trestle {
namespace {

using testing::MemoryDialer;
using testing::SimulatedLoop;
using testing::TestPki;

constexpr uint8_t kInternalErrorAlert = 80;

class LimitsTest : public ::testing::TestWithParam<TlsVersion> {
 protected:
  absl::Status Start(const ConnectionLimits& limits) {
    TlsTerminatorOptions options;
    options.front_tls = ServerFor(pki_, loop_.Now(), {{"app.test"}});
    options.backend = backend_.endpoint;
    auto limiter = ConnectionLimiter::Create(limits);
    if (!limiter.ok()) return limiter.status();
    options.connection.limiter = *limiter;
    auto made = TlsTerminator::Create(loop_, dialer_, std::move(options), &observer_);
    if (!made.ok()) return made.status();
    terminator_ = *std::move(made);
    return absl::OkStatus();
  }

  TlsPeer& Connect(ClientSessionCache* sessions = nullptr) {
    ClientTlsTarget target{"app.test", {}};
    target.sessions = sessions;
    clients_.push_back(
        TlsPeer::Client(loop_, ConnectTo(*terminator_, loop_), ClientOf(pki_, GetParam()), target));
    return *clients_.back();
  }

  // Connects and waits; returns whether the handshake succeeded.
  bool Shakes(ClientSessionCache* sessions = nullptr) {
    TlsPeer& client = Connect(sessions);
    loop_.RunReady();
    loop_.RunFor(2 * TlsStream::kTicketDelay);
    return client.handshake_done();
  }

  SimulatedLoop loop_;
  TestPki pki_{loop_.Now()};
  MemoryDialer dialer_{loop_};
  TestBackend backend_{loop_, dialer_, 1};
  RecordingObserver observer_;
  std::unique_ptr<TlsTerminator> terminator_;
  std::vector<std::unique_ptr<TlsPeer>> clients_;
};

INSTANTIATE_TEST_SUITE_P(Versions, LimitsTest,
                         ::testing::Values(TlsVersion::kTls12, TlsVersion::kTls13),
                         [](const auto& info) {
                           return info.param == TlsVersion::kTls12 ? "Tls12" : "Tls13";
                         });

TEST_P(LimitsTest, OneConnectionTooManyIsReset) {
  ConnectionLimits limits;
  limits.connections = 2;
  ASSERT_TRUE(Start(limits).ok());
  EXPECT_TRUE(Shakes());
  EXPECT_TRUE(Shakes());
  EXPECT_FALSE(Shakes());
  EXPECT_EQ(GetError(clients_[2]->failure())->code, ErrorCode::kTruncated);
  EXPECT_EQ(terminator_->limiter()->refused().connections, 1u);
  EXPECT_EQ(terminator_->open_connections(), 2u);
  EXPECT_TRUE(observer_.closed.empty()) << "it was never accepted";
  clients_[0]->End();
  loop_.RunReady();
  backend_.peers.at(0)->End();
  loop_.RunReady();
  EXPECT_TRUE(Shakes());
}

TEST_P(LimitsTest, HandshakesOverTheRateAreRejectedAndReported) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second = 1;
  ASSERT_TRUE(Start(limits).ok());
  EXPECT_TRUE(Shakes());
  EXPECT_FALSE(Shakes());
  EXPECT_EQ(GetError(clients_[1]->failure())->alert, kInternalErrorAlert);
  loop_.RunFor(ConnectionOptions().close_timeout);  // Lets the client read the alert.
  ASSERT_TRUE(observer_.error().has_value());
  EXPECT_EQ(observer_.error()->code, ErrorCode::kOverLimit);
  EXPECT_EQ(observer_.error()->leg, Leg::kFront);
  EXPECT_EQ(observer_.error()->phase, Phase::kHandshake);
  EXPECT_EQ(observer_.error()->alert, kInternalErrorAlert);
  EXPECT_EQ(terminator_->limiter()->refused().full_handshakes_per_second, 1u);
  loop_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(Shakes());
}

TEST_P(LimitsTest, ResumedHandshakesAreNeverRejected) {
  ConnectionLimits limits;
  limits.full_handshakes_per_second = 0.001;
  limits.full_handshakes_per_second_per_client = 0.001;
  ASSERT_TRUE(Start(limits).ok());
  ClientSessionCache sessions;
  ASSERT_TRUE(Shakes(&sessions));
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(Shakes(&sessions));
    EXPECT_TRUE(clients_.back()->info().resumed);
  }
  EXPECT_FALSE(Shakes());
  EXPECT_EQ(terminator_->limiter()->refused().full_handshakes_per_second_per_client, 1u);
}

// A client that sends only its hello holds its place until its timeout.
TEST_P(LimitsTest, PendingHandshakesAreCountedUntilTheirEnd) {
  ConnectionLimits limits;
  limits.full_handshakes = 1;
  ASSERT_TRUE(Start(limits).ok());
  EXPECT_TRUE(Shakes());
  EXPECT_TRUE(Shakes()) << "the first one is complete, and doesn't count";

  std::unique_ptr<Transport> silent = ConnectTo(*terminator_, loop_);
  auto engine =
      *TlsEngine::NewClient(ClientOf(pki_, GetParam()), {"app.test", {}}, loop_, Leg::kFront);
  engine->Handshake();
  ASSERT_EQ(silent->Write(engine->to_send().view()).bytes, engine->to_send().size());
  loop_.RunReady();
  EXPECT_FALSE(Shakes());
  EXPECT_EQ(terminator_->limiter()->refused().full_handshakes, 1u);
  loop_.RunFor(ConnectionOptions().handshake_timeout + ConnectionOptions().close_timeout);
  EXPECT_TRUE(Shakes());
  silent.reset();
}

TEST_P(LimitsTest, InvalidLimitsAreRejected) {
  for (const double rate : {-1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    ConnectionLimits limits;
    limits.full_handshakes_per_second = rate;
    EXPECT_EQ(GetError(Start(limits))->code, ErrorCode::kConfiguration);
    limits = {};
    limits.full_handshakes_per_second_per_client = rate;
    EXPECT_EQ(GetError(Start(limits))->code, ErrorCode::kConfiguration);
  }
  for (const int bits : {0, 33, 129}) {
    ConnectionLimits limits;
    limits.client_ipv4_bits = bits;
    EXPECT_FALSE(Start(limits).ok());
    limits = {};
    limits.client_ipv6_bits = bits;
    EXPECT_EQ(Start(limits).ok(), bits == 33);
  }
}

}  // namespace
}  // namespace trestle
