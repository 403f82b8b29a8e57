// Connections end some time after their certificates were replaced or have expired, if configured.
#include <cstddef>
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

class CertificateDrainTest : public ::testing::TestWithParam<TlsVersion> {
 protected:
  CertificateDrainTest() {
    connection_options_.relay.idle_timeout = absl::Hours(1000);
    Start();
  }

  void Start() {
    ServerTlsOptions front;
    front.certificates = certificates_;
    TlsTerminatorOptions options;
    options.front_tls = *ServerTlsConfig::Create(std::move(front));
    options.backend = backend_.endpoint;
    options.connection = connection_options_;
    terminator_ = *TlsTerminator::Create(loop_, dialer_, std::move(options), &observer_);
  }

  std::shared_ptr<const Credential> NewCredential(absl::Duration life = absl::Hours(900)) {
    testing::LeafSpec leaf;
    leaf.dns_names = {"app.test"};
    leaf.not_after = loop_.Now() + life;
    return pki_.IssueCredential(leaf);
  }

  // Returns the new generation.
  uint64_t Replace() {
    EXPECT_TRUE(certificates_->Replace({NewCredential()}, loop_.Now()).ok());
    return certificates_->current()->generation();
  }

  TlsPeer& Connect() {
    ClientTlsTarget target{"app.test", {}};
    target.sessions = &sessions_;
    clients_.push_back(
        TlsPeer::Client(loop_, ConnectTo(*terminator_, loop_), ClientOf(pki_, GetParam()), target));
    loop_.RunFor(2 * TlsStream::kTicketDelay);
    EXPECT_TRUE(clients_.back()->handshake_done()) << clients_.back()->failure();
    return *clients_.back();
  }

  // Connects with the session of the earlier connection.
  TlsPeer& Resume() {
    TlsPeer& client = Connect();
    EXPECT_TRUE(client.info().resumed);
    return client;
  }

  // Closes the cut connections, and returns how many are open.
  size_t StillOpen() {
    loop_.RunFor(connection_options_.close_timeout);
    return terminator_->open_connections();
  }

  void ExpectCut(size_t index, absl::string_view why) {
    ASSERT_GT(observer_.closed.size(), index);
    const auto error = observer_.closed[index].error;
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code, ErrorCode::kCancelled);
    EXPECT_EQ(error->detail, why);
  }

  SimulatedLoop loop_;
  TestPki pki_{loop_.Now()};
  MemoryDialer dialer_{loop_};
  TestBackend backend_{loop_, dialer_, 1};
  RecordingObserver observer_;
  ClientSessionCache sessions_;
  std::shared_ptr<CertificateStore> certificates_ =
      *CertificateStore::Create({NewCredential()}, loop_.Now());
  ConnectionOptions connection_options_;
  std::unique_ptr<TlsTerminator> terminator_;
  std::vector<std::unique_ptr<TlsPeer>> clients_;
};

constexpr char kReplaced[] = "the certificates were replaced, and the time to finish ran out";
constexpr char kExpired[] = "the certificate presented to the client has expired";

INSTANTIATE_TEST_SUITE_P(Versions, CertificateDrainTest,
                         ::testing::Values(TlsVersion::kTls12, TlsVersion::kTls13),
                         [](const auto& info) {
                           return info.param == TlsVersion::kTls12 ? "Tls12" : "Tls13";
                         });

TEST_P(CertificateDrainTest, EarlierGenerationsGetTimeToFinish) {
  TlsPeer& finishes = Connect();
  Resume();
  const uint64_t generation = Replace();
  Resume();
  terminator_->DrainOlderCertificates(generation, absl::Minutes(1));
  EXPECT_EQ(StillOpen(), 3u);
  finishes.End();
  loop_.RunReady();
  backend_.peers.at(0)->End();
  loop_.RunFor(absl::Seconds(30));
  ASSERT_EQ(observer_.closed.size(), 1u);
  EXPECT_TRUE(observer_.closed[0].ok());
  loop_.RunFor(absl::Seconds(30));
  EXPECT_EQ(StillOpen(), 1u) << "the connection with the new certificates";
  ExpectCut(1, kReplaced);
  EXPECT_EQ(GetError(clients_[1]->failure())->code, ErrorCode::kTruncated)
      << "the client must not see a clean end";
  Connect();
  EXPECT_EQ(StillOpen(), 2u);
}

TEST_P(CertificateDrainTest, WithoutATimeToFinishTheyEndAtOnce) {
  Connect();
  terminator_->DrainOlderCertificates(Replace(), absl::ZeroDuration());
  EXPECT_EQ(StillOpen(), 0u);
  ExpectCut(0, kReplaced);
}

TEST_P(CertificateDrainTest, NoConnectionEndsByDefault) {
  Connect();
  for (int i = 0; i < 10; ++i) Replace();
  terminator_->DrainOlderCertificates(1, absl::ZeroDuration());
  loop_.RunFor(absl::Hours(950));
  EXPECT_EQ(StillOpen(), 1u) << "not even after the certificate's expiry";
}

TEST_P(CertificateDrainTest, TheExpiryFollowsTheSystemsClock) {
  connection_options_.after_certificate_expiry = absl::ZeroDuration();
  Start();
  Connect();
  loop_.SetClock(loop_.Now() - absl::Hours(100));
  loop_.RunFor(absl::Hours(950));
  EXPECT_EQ(StillOpen(), 1u) << "not by the earlier clock";
  loop_.SetClock(loop_.Now() + absl::Hours(100));
  loop_.RunFor(absl::Hours(1));
  EXPECT_EQ(StillOpen(), 0u) << "by the current clock";
  ExpectCut(0, kExpired);
}

TEST_P(CertificateDrainTest, CallsAddUp) {
  Connect();
  terminator_->DrainOlderCertificates(Replace(), absl::Minutes(2));
  Connect();
  terminator_->DrainOlderCertificates(Replace(), absl::Minutes(1));
  Connect();
  loop_.RunFor(absl::Seconds(59));
  EXPECT_EQ(terminator_->open_connections(), 3u);
  loop_.RunFor(absl::Seconds(1));
  EXPECT_EQ(StillOpen(), 1u);
  loop_.RunFor(absl::Minutes(2));
  EXPECT_EQ(StillOpen(), 1u);
}

TEST_P(CertificateDrainTest, ManyReloadsUseBoundedMemoryAndNoneIsForgotten) {
  for (int i = 0; i < 200; ++i) {
    if (i % 50 == 0) Connect();
    terminator_->DrainOlderCertificates(Replace(), absl::Minutes(1));
    loop_.RunFor(absl::Milliseconds(100));
  }
  EXPECT_EQ(terminator_->open_connections(), 4u);
  loop_.RunFor(absl::Minutes(1));
  EXPECT_EQ(StillOpen(), 0u);
}

// A client with a slow handshake is also ended.
TEST_P(CertificateDrainTest, HandshakesThatBeganEarlierAreEnded) {
  clients_.push_back(nullptr);
  auto [front, client_end] = testing::NewMemoryPair(loop_, {}, [] {
    testing::MemoryLink slow;
    slow.latency = absl::Seconds(2);
    return slow;
  }());
  terminator_->Serve(std::move(front));
  clients_[0] =
      TlsPeer::Client(loop_, std::move(client_end), ClientOf(pki_, GetParam()), {"app.test", {}});
  loop_.RunFor(absl::Seconds(3));  // The hello has arrived, the rest has not.
  ASSERT_TRUE(observer_.closed.empty());
  terminator_->DrainOlderCertificates(Replace(), absl::ZeroDuration());
  loop_.RunFor(absl::Seconds(10));
  EXPECT_EQ(StillOpen(), 0u);
  ExpectCut(0, kReplaced);
  EXPECT_TRUE(backend_.peers.empty());
}

TEST_P(CertificateDrainTest, ExpiryEndsAConnectionSomeTimeLater) {
  connection_options_.after_certificate_expiry = absl::Hours(1);
  certificates_ = *CertificateStore::Create({NewCredential(absl::Hours(10))}, loop_.Now());
  Start();
  const absl::Time start = loop_.Now();
  Connect();
  Resume();
  loop_.RunFor(start + absl::Hours(11) - absl::Seconds(1) - loop_.Now());
  EXPECT_EQ(terminator_->open_connections(), 2u);
  loop_.RunFor(absl::Seconds(1));
  EXPECT_EQ(StillOpen(), 0u) << "resumed connections, too";
  ExpectCut(0, kExpired);
  ExpectCut(1, kExpired);
}

TEST_P(CertificateDrainTest, ARenewedCertificateHasItsOwnExpiry) {
  connection_options_.after_certificate_expiry = absl::ZeroDuration();
  certificates_ = *CertificateStore::Create({NewCredential(absl::Hours(10))}, loop_.Now());
  Start();
  Connect();
  Replace();
  Resume();
  loop_.RunFor(absl::Hours(10));
  EXPECT_EQ(StillOpen(), 1u);
  ExpectCut(0, kExpired);
}

TEST_P(CertificateDrainTest, ANegativeTimeIsRejected) {
  TlsTerminatorOptions options;
  ServerTlsOptions front;
  front.certificates = certificates_;
  options.front_tls = *ServerTlsConfig::Create(std::move(front));
  options.backend = backend_.endpoint;
  options.connection.after_certificate_expiry = -absl::Seconds(1);
  const auto made = TlsTerminator::Create(loop_, dialer_, std::move(options));
  EXPECT_EQ(GetError(made.status())->code, ErrorCode::kConfiguration);
}

}  // namespace
}  // namespace trestle
