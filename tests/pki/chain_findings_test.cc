#include "trestle/pki/chain_findings.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pki/pki_fixture.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/credential.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kDay = absl::Hours(24);

absl::Time Day(int year, int month, int day) {
  return absl::FromCivil(absl::CivilDay(year, month, day), absl::UTCTimeZone());
}

std::vector<std::string> CodesOf(const std::vector<Finding>& findings) {
  std::vector<std::string> codes;
  for (const Finding& finding : findings) codes.push_back(finding.code);
  return codes;
}

class ChainFindingsTest : public PkiTest {
 protected:
  std::vector<Finding> Judge(const TestPki& issuer, const LeafSpec& leaf,
                             ChainUse use = ChainUse::kServer) const {
    ChainFindingOptions options;
    options.use = use;
    options.public_roots = public_roots_.get();
    return FindingsOfChain(issuer.IssueCredential(leaf)->served(), options, now_);
  }

  // Returns the findings of a public leaf that is issued on `from` for `lifetime`, ends included.
  std::vector<Finding> Lasting(absl::Time from, absl::Duration lifetime) const {
    LeafSpec leaf = LeafFor("a.test");
    leaf.not_before = from;
    leaf.not_after = from + lifetime - absl::Seconds(1);
    return Judge(pki_, leaf);
  }

  // Those of a leaf without faults.
  LeafSpec Fine() const {
    LeafSpec leaf = LeafFor("a.test");
    leaf.not_before = now_ - kDay;
    leaf.not_after = now_ + 90 * kDay;
    return leaf;
  }

  // Returns the findings if `dropped` is dropped.
  std::vector<Finding> JudgeDropped(const TestPki& issuer, const std::string& dropped) const {
    const auto store = *TrustStore::Create(dropped);
    ChainFindingOptions options;
    options.public_roots = public_roots_.get();
    options.dropped_roots = store.get();
    return FindingsOfChain(issuer.IssueCredential(Fine())->served(), options, now_);
  }

  std::shared_ptr<const TrustStore> public_roots_ = *TrustStore::Create(pki_.ca_pem());
};

TEST_F(ChainFindingsTest, ARootThatPeersDropIsFoundBelowIntermediatesToo) {
  const TestPki intermediate(pki_, "Intermediate");
  const TestPki* const issuers[] = {&pki_, &intermediate};
  for (const TestPki* const issuer : issuers) {
    const std::vector<Finding> findings = JudgeDropped(*issuer, pki_.ca_pem());
    ASSERT_THAT(CodesOf(findings), ElementsAre("root_dropped"));
    EXPECT_EQ(findings[0].severity, Severity::kWarning);
    EXPECT_THAT(findings[0].text, HasSubstr("\"CN=a.test\" leads to the root "
                                            "\"CN=Trestle Test CA\", which peers drop"));
  }
  EXPECT_THAT(JudgeDropped(pki_, TestPki(now_, "Another CA").ca_pem()), IsEmpty());
  // The same name proves nothing.
  EXPECT_THAT(JudgeDropped(pki_, TestPki(now_).ca_pem()), IsEmpty());
}

TEST_F(ChainFindingsTest, AGoodChainHasNone) {
  EXPECT_THAT(Judge(pki_, Fine()), IsEmpty());
  const TestPki intermediate(pki_, "Intermediate");
  EXPECT_THAT(Judge(intermediate, Fine()), IsEmpty());
  EXPECT_THAT(FindingsOfChain({{"nonsense"}, ""}, {}, now_), IsEmpty());
  EXPECT_THAT(FindingsOfChain({}, {}, now_), IsEmpty());
}

TEST_F(ChainFindingsTest, ThePolicyOfEachDayHolds) {
  const struct {
    absl::Time issued;
    int days;
  } rows[] = {{Day(2020, 9, 1), 398},  {Day(2026, 3, 14), 398}, {Day(2026, 3, 15), 200},
              {Day(2027, 3, 14), 200}, {Day(2027, 3, 15), 100}, {Day(2029, 3, 14), 100},
              {Day(2029, 3, 15), 47},  {Day(2035, 1, 1), 47}};
  for (const auto& row : rows) {
    EXPECT_THAT(Lasting(row.issued, row.days * kDay), IsEmpty()) << row.issued;
    const auto over = Lasting(row.issued, row.days * kDay + absl::Seconds(1));
    ASSERT_THAT(CodesOf(over), ElementsAre("lifetime_over_policy")) << row.issued;
    EXPECT_EQ(over[0].severity, Severity::kWarning);
    EXPECT_THAT(over[0].text, HasSubstr(absl::StrCat("is valid for ", row.days + 1,
                                                     " days, and public CAs may issue for at most ",
                                                     row.days, " days since ")));
  }
  EXPECT_THAT(Lasting(Day(2020, 8, 31), 825 * kDay), IsEmpty()) << "before the first rule";
  // The last second of a day belongs to it.
  EXPECT_THAT(Lasting(Day(2026, 3, 15) - absl::Seconds(1), 398 * kDay), IsEmpty());
}

TEST_F(ChainFindingsTest, OnlyAChainToAPublicRootIsPublic) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.not_before = Day(2026, 3, 15);
  leaf.not_after = leaf.not_before + 365 * kDay;
  EXPECT_THAT(CodesOf(Judge(TestPki(pki_, "Public intermediate"), leaf)),
              ElementsAre("lifetime_over_policy"));
  EXPECT_THAT(Judge(TestPki(now_, "Private CA"), leaf), IsEmpty());
  // A private CA with the name of a public one.
  EXPECT_THAT(Judge(TestPki(now_), leaf), IsEmpty());
  public_roots_ = nullptr;
  EXPECT_THAT(Judge(pki_, leaf), IsEmpty());
  // A certificate for clients only is no business of this policy.
  public_roots_ = *TrustStore::Create(pki_.ca_pem());
  leaf.server_auth = false;
  EXPECT_THAT(Judge(pki_, leaf), IsEmpty());
}

TEST_F(ChainFindingsTest, WeakCertificatesAreFoundInAllOfTheChain) {
  LeafSpec leaf = Fine();
  leaf.sha1 = true;
  const auto sha1 = Judge(pki_, leaf);
  ASSERT_THAT(CodesOf(sha1), ElementsAre("sha1_signature"));
  EXPECT_EQ(sha1[0].severity, Severity::kCritical);
  EXPECT_THAT(sha1[0].text, HasSubstr("\"CN=a.test\" is signed with SHA-1"));

  AuthoritySpec weak;
  weak.name = "Weak";
  weak.sha1 = true;
  weak.rsa_bits = 1024;
  const auto below = Judge(TestPki(pki_, weak), Fine());
  ASSERT_THAT(CodesOf(below), ElementsAre("sha1_signature", "weak_key"));
  EXPECT_EQ(below[0].severity, Severity::kWarning);
  EXPECT_EQ(below[1].text,
            "peers refuse the certificate \"CN=Weak\": its RSA key has 1024 bits, fewer than 2048");
  weak.rsa_bits = 2048;
  weak.sha1 = false;
  EXPECT_THAT(Judge(TestPki(pki_, weak), Fine()), IsEmpty());
}

TEST_F(ChainFindingsTest, AClientNeedsClientAuthAlsoAfterItsRenewal) {
  LeafSpec leaf = Fine();
  const auto missing = Judge(pki_, leaf, ChainUse::kClient);
  ASSERT_THAT(CodesOf(missing), ElementsAre("client_auth_missing"));
  EXPECT_EQ(missing[0].severity, Severity::kWarning);
  leaf.both_auths = true;
  const auto ends = Judge(pki_, leaf, ChainUse::kClient);
  ASSERT_THAT(CodesOf(ends), ElementsAre("client_auth_will_end"));
  EXPECT_THAT(ends[0].text, HasSubstr("after its renewal it will lack clientAuth"));
  EXPECT_THAT(Judge(pki_, leaf, ChainUse::kServer), IsEmpty());
  EXPECT_THAT(Judge(TestPki(now_, "Private CA"), leaf, ChainUse::kClient), IsEmpty());
  leaf.both_auths = leaf.server_auth = false;
  EXPECT_THAT(Judge(TestPki(now_, "Private CA"), leaf, ChainUse::kClient), IsEmpty());
}

TEST_F(ChainFindingsTest, ALeafAloneThatNamesItsIssuersPlaceLacksIt) {
  const TestPki intermediate(now_, "Elsewhere");
  LeafSpec leaf = Fine();
  leaf.ca_issuers_url = "http://ca.test/ca.crt";
  const auto missing = Judge(intermediate, leaf);
  ASSERT_THAT(CodesOf(missing), ElementsAre("intermediate_missing"));
  EXPECT_THAT(missing[0].text, HasSubstr("without its issuer \"CN=Elsewhere\""));
  EXPECT_THAT(Judge(TestPki(intermediate, "With it"), leaf), IsEmpty());
  EXPECT_THAT(Judge(pki_, leaf), IsEmpty()) << "a known root signed the leaf";
  ChainFindingOptions verified;
  verified.check_completeness = false;
  EXPECT_THAT(FindingsOfChain(intermediate.IssueCredential(leaf)->served(), verified, now_),
              IsEmpty());
  leaf.self_signed = true;
  EXPECT_THAT(Judge(intermediate, leaf), IsEmpty());
}

TEST_F(ChainFindingsTest, PublicCasForClientsAreFound) {
  const TestPki own(now_, "Private CA");
  const auto private_only = *TrustStore::Create(own.ca_pem());
  EXPECT_THAT(FindingsOfClientCas(*private_only, public_roots_.get()), IsEmpty());
  const auto both = *TrustStore::Create(own.ca_pem() + pki_.ca_pem());
  EXPECT_THAT(FindingsOfClientCas(*both, nullptr), IsEmpty());
  const auto found = FindingsOfClientCas(*both, public_roots_.get());
  ASSERT_THAT(CodesOf(found), ElementsAre("public_client_cas"));
  EXPECT_EQ(found[0].severity, Severity::kWarning);
  EXPECT_THAT(
      found[0].text,
      HasSubstr("a public CA is trusted for client certificates, as \"CN=Trestle Test CA\""));
  // The same name with another key is another CA.
  const auto namesake = *TrustStore::Create(TestPki(now_).ca_pem());
  EXPECT_THAT(FindingsOfClientCas(*namesake, public_roots_.get()), IsEmpty());
}

}  // namespace
}  // namespace trestle::testing
