#include "trestle/watch/certificate_sightings.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

class Counter final : public ConnectionObserver {
 public:
  void OnEstablished(const ConnectionReport&) override { ++established; }
  void OnTurnedAway(Limit) override { ++turned_away; }
  void OnClosed(const ConnectionReport&) override { ++closed; }

  int established = 0;
  int turned_away = 0;
  int closed = 0;
};

class CertificateSightingsTest : public ::testing::Test {
 protected:
  static ChainInfo Chain(const std::string& subject) {
    CertificateInfo leaf;
    leaf.subject = subject;
    leaf.serial = subject;
    return ChainInfo({leaf});
  }

  static ConnectionReport Report(const std::string& name, const ChainInfo& chain, int host = 1) {
    ConnectionReport report;
    report.accepted = absl::FromUnixSeconds(1'767'225'600);
    report.times.back = absl::Seconds(1);
    report.back.peer = *Endpoint::Parse("192.0.2." + std::to_string(host) + ":443");
    TlsInfo tls;
    tls.server_name = name;
    tls.peer_chain = chain;
    report.back.tls = std::make_shared<const TlsInfo>(std::move(tls));
    return report;
  }

  static absl::Status Failure(ErrorCode code, Leg leg) {
    return MakeError(code, leg, Phase::kHandshake, "refused");
  }

  Counter next_;
  std::vector<CertificateSighting> reported_;
  CertificateSightings sightings_{
      &next_, [this](CertificateSighting sighting) { reported_.push_back(std::move(sighting)); }};
};

TEST_F(CertificateSightingsTest, RejectedConnectionsArePassedOn) {
  sightings_.OnTurnedAway(Limit::kConnections);
  EXPECT_EQ(next_.turned_away, 1);
  EXPECT_TRUE(reported_.empty());
}

TEST_F(CertificateSightingsTest, OnlyChangesAreReported) {
  const ChainInfo first = Chain("CN=first");
  for (int i = 0; i < 5; ++i) sightings_.OnEstablished(Report("a.test", first));
  ASSERT_EQ(reported_.size(), 1u);
  EXPECT_EQ(reported_[0].name, "a.test");
  EXPECT_EQ(reported_[0].endpoint.ToString(), "192.0.2.1:443");
  EXPECT_EQ(reported_[0].when, absl::FromUnixSeconds(1'767'225'601));
  EXPECT_EQ(reported_[0].chain.front().subject, "CN=first");
  EXPECT_TRUE(!reported_[0].error.has_value());
  sightings_.OnEstablished(Report("a.test", Chain("CN=second")));
  sightings_.OnEstablished(Report("a.test", first, /*host=*/2));
  sightings_.OnEstablished(Report("b.test", first));
  EXPECT_EQ(reported_.size(), 4u);
  EXPECT_EQ(next_.established, 8);
}

// Each handshake creates a new description of the same certificates.
TEST_F(CertificateSightingsTest, EqualCertificatesAreReportedOnce) {
  for (int i = 0; i < 5; ++i) sightings_.OnEstablished(Report("a.test", Chain("CN=a")));
  EXPECT_EQ(reported_.size(), 1u);
}

TEST_F(CertificateSightingsTest, AResumedSessionIsNotReported) {
  const ChainInfo old_chain = Chain("CN=old");
  sightings_.OnEstablished(Report("a.test", old_chain));
  sightings_.OnEstablished(Report("a.test", Chain("CN=new")));
  ConnectionReport resumed = Report("a.test", old_chain);
  TlsInfo tls = *resumed.back.tls;
  tls.resumed = true;
  resumed.back.tls = std::make_shared<const TlsInfo>(std::move(tls));
  sightings_.OnEstablished(resumed);
  EXPECT_EQ(reported_.size(), 2u);
  resumed.error = ToError(Failure(ErrorCode::kCertificateExpired, Leg::kBack));
  sightings_.OnClosed(resumed);
  EXPECT_EQ(reported_.size(), 3u);
}

TEST_F(CertificateSightingsTest, RejectionsAndTheirEndAreReportedOnce) {
  const ChainInfo chain = Chain("CN=a");
  sightings_.OnEstablished(Report("a.test", chain));
  ConnectionReport refused = Report("a.test", chain);
  for (const ErrorCode code : {ErrorCode::kCertificateExpired, ErrorCode::kCertificateUntrusted,
                               ErrorCode::kNameMismatch}) {
    refused.error = ToError(Failure(code, Leg::kBack));
    sightings_.OnClosed(refused);
  }
  ASSERT_EQ(reported_.size(), 2u);
  EXPECT_EQ(reported_[1].error->code, ErrorCode::kCertificateExpired);
  sightings_.OnEstablished(Report("a.test", chain));
  ASSERT_EQ(reported_.size(), 3u);
  EXPECT_TRUE(!reported_[2].error.has_value());
  EXPECT_EQ(next_.closed, 3);
}

TEST_F(CertificateSightingsTest, OtherFailuresAreNotReported) {
  const ChainInfo chain = Chain("CN=a");
  ConnectionReport report = Report("a.test", chain);
  report.error = ToError(Failure(ErrorCode::kTimeout, Leg::kBack));
  sightings_.OnClosed(report);
  report.error = ToError(Failure(ErrorCode::kCertificateExpired, Leg::kFront));
  sightings_.OnClosed(report);
  report.error.reset();
  sightings_.OnClosed(report);
  sightings_.OnEstablished(Report("a.test", ChainInfo()));
  report.back.tls.reset();
  sightings_.OnEstablished(report);
  EXPECT_TRUE(reported_.empty());
}

TEST_F(CertificateSightingsTest, WithoutANameTheAddressIsReported) {
  sightings_.OnEstablished(Report("", Chain("CN=a")));
  ASSERT_EQ(reported_.size(), 1u);
  EXPECT_EQ(reported_[0].name, "192.0.2.1:443");
}

TEST_F(CertificateSightingsTest, MemoryIsBounded) {
  const ChainInfo chain = Chain("CN=a");
  for (size_t i = 0; i < CertificateSightings::kMaxBackends + 10; ++i) {
    sightings_.OnEstablished(Report("n" + std::to_string(i), chain));
  }
  EXPECT_EQ(reported_.size(), CertificateSightings::kMaxBackends);
}

}  // namespace
}  // namespace trestle
