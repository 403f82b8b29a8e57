// Certificates of this process under the monitor: the credentials that handshakes would present
// now.
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/watch/monitor_fixture.h"
#include "trestle/watch/certificate_monitor.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST_F(CertificateMonitorTest, OwnCredentialsAreTrackedThroughReplacement) {
  auto store = *CertificateStore::Create({pki_.IssueCredential(Leaf("a.test", 5 * kDay)),
                                          pki_.IssueCredential(Leaf("b.test", 90 * kDay))},
                                         loop_.Now());
  MonitorTargets targets;
  targets.own = {store};
  ASSERT_TRUE(Start().Watch(targets).ok());
  EXPECT_THAT(log_.Take(), ElementsAre("a.test will_fail 7"));
  ASSERT_TRUE(store->Replace({pki_.IssueCredential(Leaf("a.test", 90 * kDay))}, loop_.Now()).ok());
  loop_.RunFor(absl::Minutes(2));
  EXPECT_THAT(log_.Take(), ElementsAre("a.test key_changed", "a.test renewed_late"));
  EXPECT_EQ(monitor_->Snapshot().size(), 1u);
  loop_.RunFor(61 * kDay);
  EXPECT_THAT(log_.Take(), ElementsAre("a.test will_fail 30"));
}

TEST_F(CertificateMonitorTest, OwnCredentialsWithoutDnsNamesAreNamedByAddressUriOrSubject) {
  LeafSpec address = Leaf("", 9 * kDay);
  address.dns_names = {};
  address.ip_names = {"127.0.0.1"};
  LeafSpec unusable = Leaf("not a name", 9 * kDay);
  LeafSpec uri = Leaf("", 9 * kDay);
  uri.dns_names = {};
  uri.uri_names = {"spiffe://example.test/front"};
  MonitorTargets targets;
  targets.own = {
      *CertificateStore::Create({pki_.IssueCredential(address)}, loop_.Now()),
      *CertificateStore::Create({pki_.IssueCredential(unusable)}, loop_.Now()),
      *CertificateStore::Create({pki_.IssueCredential(uri)}, loop_.Now()),
  };
  ASSERT_TRUE(Start().Watch(targets).ok());
  EXPECT_THAT(log_.Take(), UnorderedElementsAre("127.0.0.1 will_fail 14", "not a name will_fail 14",
                                                "spiffe://example.test/front will_fail 14"));
}

TEST_F(CertificateMonitorTest, EachNameCountsAndNotOnlyTheFirstOne) {
  LeafSpec good = Leaf("app.test", 90 * kDay);
  good.dns_names.push_back("a.test");
  LeafSpec ended = Leaf("app.test", -kDay);
  ended.dns_names.push_back("b.test");
  const auto good_one = pki_.IssueCredential(good);
  const auto ended_one = pki_.IssueCredential(ended);
  for (const auto& order : {std::vector{good_one, ended_one}, std::vector{ended_one, good_one}}) {
    MonitorTargets targets;
    targets.own = {*CertificateStore::Create(order, loop_.Now())};
    ASSERT_TRUE(Start().Watch(targets).ok());
    EXPECT_THAT(log_.Take(), ElementsAre("b.test expired"));
    ASSERT_EQ(monitor_->Snapshot().size(), 2u);
    EXPECT_THAT(monitor_->Snapshot()[0].names, UnorderedElementsAre("app.test", "a.test"));
    EXPECT_THAT(monitor_->Snapshot()[1].names, ElementsAre("b.test"));
  }
}

TEST_F(CertificateMonitorTest, FindingsOfOwnChainsAreToldOnce) {
  CertificateMonitorOptions options;
  options.public_roots = *TrustStore::Create(pki_.ca_pem());
  LeafSpec leaf = Leaf("a.test", 300 * kDay);
  leaf.both_auths = true;
  const auto credential = pki_.IssueCredential(leaf);
  const auto store = *CertificateStore::Create({credential}, loop_.Now());
  MonitorTargets targets;
  targets.own = {store};
  targets.own_clients = {credential};
  ASSERT_TRUE(Start(options).Watch(targets).ok());
  ASSERT_EQ(monitor_->Snapshot().size(), 2u);
  const CertificateStatus front = monitor_->Snapshot()[0];
  EXPECT_EQ(front.leg, Leg::kFront);
  ASSERT_EQ(front.findings.size(), 1u);
  EXPECT_EQ(front.findings[0].code, "lifetime_over_policy");
  EXPECT_EQ(SeverityOf(front, loop_.Now()), Severity::kWarning);
  const CertificateStatus back = monitor_->Snapshot()[1];
  EXPECT_EQ(back.source, CertificateSource::kOwn);
  EXPECT_EQ(back.leg, Leg::kBack);
  ASSERT_EQ(back.findings.size(), 2u);
  EXPECT_EQ(back.findings[1].code, "client_auth_will_end");
  EXPECT_THAT(log_.events.front().detail, HasSubstr("lifetime_over_policy: the certificate"));
  loop_.RunFor(kDay);
  EXPECT_THAT(log_.Take(), ElementsAre("a.test finding", "a.test finding", "a.test finding"));

  // The client's certificate has dates, too.
  LeafSpec ending = Leaf("proxy.test", 5 * kDay);
  ending.server_auth = false;
  ASSERT_TRUE(store->Replace({pki_.IssueCredential(Leaf("a.test", 90 * kDay))}, loop_.Now()).ok());
  targets.own_clients = {pki_.IssueCredential(ending)};
  ASSERT_TRUE(monitor_->Watch(targets).ok());
  EXPECT_THAT(log_.Take(), UnorderedElementsAre("a.test key_changed", "a.test finding",
                                                "proxy.test will_fail 7", "proxy.test finding"));
  targets.own_clients = {nullptr};
  EXPECT_EQ(CodeOf(monitor_->Watch(targets)), ErrorCode::kConfiguration);
}

TEST_F(CertificateMonitorTest, AnExpiredFileBesideItsSuccessorIsNoEvent) {
  const auto ended = pki_.IssueCredential(Leaf("a.test", -kDay));
  const auto successor = pki_.IssueCredential(Leaf("a.test", 90 * kDay));
  for (const auto& order : {std::vector{ended, successor}, std::vector{successor, ended}}) {
    MonitorTargets targets;
    targets.own = {*CertificateStore::Create(order, loop_.Now())};
    ASSERT_TRUE(Start().Watch(targets).ok());
    EXPECT_THAT(log_.events, IsEmpty());
    EXPECT_EQ(Only().chain[0].serial, successor->chain().front().serial);
  }
}

TEST_F(CertificateMonitorTest, BothKeyTypesOfANameCount) {
  LeafSpec rsa = Leaf("a.test", -kDay);
  rsa.key_type = KeyType::kRsa;
  MonitorTargets targets;
  targets.own = {*CertificateStore::Create(
      {pki_.IssueCredential(Leaf("a.test", 90 * kDay)), pki_.IssueCredential(rsa)}, loop_.Now())};
  ASSERT_TRUE(Start().Watch(targets).ok());
  EXPECT_THAT(log_.Take(), ElementsAre("a.test expired"));
}

TEST_F(CertificateMonitorTest, StoresWithDifferentCertificatesForOneNameAreBothWatched) {
  MonitorTargets targets;
  targets.own = {
      *CertificateStore::Create({pki_.IssueCredential(Leaf("a.test", 90 * kDay))}, loop_.Now()),
      *CertificateStore::Create({pki_.IssueCredential(Leaf("a.test", -kDay))}, loop_.Now())};
  ASSERT_TRUE(Start().Watch(targets).ok());
  EXPECT_THAT(log_.Take(), ElementsAre("a.test expired"));
  EXPECT_EQ(monitor_->Snapshot().size(), 2u);
}

TEST_F(CertificateMonitorTest, AnOwnCertificateThatIsNotValidYetFailsUntilItIs) {
  LeafSpec leaf = Leaf("a.test", 90 * kDay);
  leaf.not_before = loop_.Now() + absl::Minutes(5);
  MonitorTargets targets;
  targets.own = {*CertificateStore::Create({pki_.IssueCredential(leaf)}, loop_.Now())};
  ASSERT_TRUE(Start().Watch(targets).ok());
  ASSERT_EQ(log_.events.size(), 1u);
  EXPECT_THAT(log_.events[0].detail,
              HasSubstr("\"CN=a.test\" is not valid before 2026-01-01 00:0"));
  EXPECT_THAT(log_.Take(), ElementsAre("a.test failing"));
  loop_.RunFor(absl::Minutes(7));
  EXPECT_THAT(log_.Take(), ElementsAre("a.test recovered"));
}

TEST_F(CertificateMonitorTest, AnExpiredCertificateThatNoPathNeedsIsNoAlarm) {
  const TestPki old_root(loop_.Now(), "Old Root");
  const TestPki intermediate(pki_, "Intermediate");
  const PemPair pair = intermediate.Issue(Leaf("back.test", 90 * kDay));
  const auto credential =
      *Credential::FromPem(pair.chain + old_root.CrossCertify(pki_, loop_.Now() - kDay), pair.key);
  MonitorTargets targets;
  targets.own = {*CertificateStore::Create({credential}, loop_.Now())};
  targets.seen = {"back.test"};
  ASSERT_TRUE(Start().Watch(targets).ok());
  CertificateSighting sighting = Sighting("back.test", 1, credential);
  sighting.chain.NotePathEnd({loop_.Now() + 90 * kDay, ChainPart::kLeaf, "CN=back.test"});
  monitor_->OnSighting(sighting);
  EXPECT_THAT(log_.Take(), IsEmpty());
  for (const CertificateStatus& status : monitor_->Snapshot()) {
    ASSERT_TRUE(status.failure.has_value());
    EXPECT_EQ(status.failure->when, loop_.Now() + 90 * kDay) << status.failure->detail;
  }
  EXPECT_EQ(monitor_->Snapshot().size(), 2u);
}

}  // namespace
}  // namespace trestle::testing
