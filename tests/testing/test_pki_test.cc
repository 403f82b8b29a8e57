#include "trestle/testing/test_pki.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;

class TestPkiTest : public ::testing::Test {
 protected:
  const absl::Time now_ = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01
  const TestPki pki_{now_};
};

TEST_F(TestPkiTest, IssuesCertificatesOfTheSpec) {
  LeafSpec leaf;
  leaf.dns_names = {"a.test", "*.wild.test"};
  leaf.ip_names = {"192.0.2.1", "2001:db8::1"};
  leaf.common_name = "common";
  leaf.key_type = KeyType::kRsa;
  leaf.rsa_bits = 3072;
  leaf.not_before = now_ - absl::Hours(1);
  leaf.not_after = absl::FromUnixSeconds(2'600'000'000);  // Dates after 2050 have another form.
  const CertificateInfo info = pki_.IssueCredential(leaf)->chain()[0];
  EXPECT_EQ(info.subject, "CN=common");
  EXPECT_EQ(info.issuer, "CN=Trestle Test CA");
  EXPECT_THAT(info.dns_names, ElementsAre("a.test", "*.wild.test"));
  EXPECT_THAT(info.ip_names, ElementsAre("192.0.2.1", "2001:db8::1"));
  EXPECT_EQ(info.key, "RSA 3072");
  EXPECT_EQ(info.not_before, leaf.not_before);
  EXPECT_EQ(info.not_after, leaf.not_after);
}

TEST_F(TestPkiTest, DefaultsAreAYearBeforeAndAfterAndTheFirstName) {
  LeafSpec leaf;
  leaf.dns_names = {"a.test"};
  const auto one = pki_.IssueCredential(leaf);
  const auto two = pki_.IssueCredential(leaf);
  EXPECT_EQ(one->key_type(), KeyType::kEcdsa);
  EXPECT_EQ(one->chain()[0].subject, "CN=a.test");
  EXPECT_EQ(one->chain()[0].not_before, now_ - absl::Hours(24 * 365));
  EXPECT_EQ(one->chain()[0].not_after, now_ + absl::Hours(24 * 365));
  EXPECT_NE(one->chain()[0].serial, two->chain()[0].serial);
}

TEST_F(TestPkiTest, IntermediatesComeInTheChainAndTheRootDoesNot) {
  const TestPki upper(pki_, "Upper");
  const TestPki lower(upper, "Lower");
  LeafSpec leaf;
  leaf.dns_names = {"a.test"};
  const auto credential = lower.IssueCredential(leaf);
  ASSERT_EQ(credential->chain().size(), 3u);
  EXPECT_EQ(credential->chain()[0].issuer, "CN=Lower");
  EXPECT_EQ(credential->chain()[1].subject, "CN=Lower");
  EXPECT_EQ(credential->chain()[2].subject, "CN=Upper");
  EXPECT_EQ(lower.ca_pem(), pki_.ca_pem());
}

TEST_F(TestPkiTest, SelfSignedLeavesHaveNoIssuerButThemselves) {
  LeafSpec leaf;
  leaf.dns_names = {"a.test"};
  leaf.self_signed = true;
  const auto credential = TestPki(pki_, "Intermediate").IssueCredential(leaf);
  ASSERT_EQ(credential->chain().size(), 1u);
  EXPECT_EQ(credential->chain()[0].issuer, "CN=a.test");
}

TEST_F(TestPkiTest, AuthoritiesHaveTheDatesOfTheirSpec) {
  AuthoritySpec spec;
  spec.name = "Short-lived";
  spec.not_before = now_ - absl::Hours(2);
  spec.not_after = now_ + absl::Hours(24);
  const TestPki authority(pki_, spec);
  LeafSpec leaf;
  leaf.dns_names = {"a.test"};
  const auto credential = authority.IssueCredential(leaf);
  ASSERT_EQ(credential->chain().size(), 2u);
  EXPECT_EQ(credential->chain()[1].subject, "CN=Short-lived");
  EXPECT_EQ(credential->chain()[1].not_before, spec.not_before);
  EXPECT_EQ(credential->chain()[1].not_after, spec.not_after);
  // Issued once, because signatures may differ in length.
  const std::string chain = authority.Issue(leaf).chain;
  EXPECT_EQ(authority.chain_pem(), chain.substr(chain.find("-----BEGIN", 1)));
}

TEST_F(TestPkiTest, ACrossCertificateHasTheSubjectsNameAndAnotherIssuer) {
  const TestPki other(now_, "Other CA");
  const TestPki intermediate(pki_, "Intermediate");
  LeafSpec leaf;
  leaf.dns_names = {"a.test"};
  PemPair pair = intermediate.Issue(leaf);
  pair.chain = pair.chain.substr(0, pair.chain.find("-----BEGIN", 1));
  pair.chain += other.CrossCertify(intermediate, now_ + absl::Hours(5));
  const auto credential = Credential::FromPem(pair.chain, pair.key);
  ASSERT_TRUE(credential.ok()) << credential.status();
  EXPECT_EQ((*credential)->chain()[1].subject, "CN=Intermediate");
  EXPECT_EQ((*credential)->chain()[1].issuer, "CN=Other CA");
  EXPECT_EQ((*credential)->chain()[1].not_after, now_ + absl::Hours(5));
}

}  // namespace
}  // namespace trestle::testing
