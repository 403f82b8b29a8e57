#include "trestle/pki/chain_checker.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"
#include "trestle/testing/test_pki.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kDay = absl::Hours(24);
constexpr char kBegin[] = "-----BEGIN CERTIFICATE-----";
constexpr char kEnd[] = "-----END CERTIFICATE-----";

// Returns the certificates of a PEM text, as DER.
std::vector<std::string> DerOf(absl::string_view pem) {
  std::vector<std::string> certificates;
  size_t at = 0;
  while ((at = pem.find(kBegin, at)) != absl::string_view::npos) {
    at += sizeof(kBegin) - 1;
    const size_t end = pem.find(kEnd, at);
    std::string der;
    const std::string text = absl::StrReplaceAll(pem.substr(at, end - at), {{"\n", ""}});
    EXPECT_TRUE(absl::Base64Unescape(text, &der));
    certificates.push_back(der);
  }
  return certificates;
}

std::string First(const std::string& pem) { return pem.substr(0, pem.find("-----BEGIN", 1)); }
std::string AfterFirst(const std::string& pem) { return pem.substr(pem.find("-----BEGIN", 1)); }

class ChainCheckerTest : public ::testing::Test {
 protected:
  LeafSpec Leaf(absl::Duration days = 365 * kDay) const {
    LeafSpec leaf;
    leaf.dns_names = {"a.test"};
    leaf.not_after = now_ + days;
    return leaf;
  }

  AuthoritySpec Authority(const std::string& name, absl::Duration days) const {
    AuthoritySpec spec;
    spec.name = name;
    spec.not_after = now_ + days;
    return spec;
  }

  ChainReport Check(const std::string& served_pem, const std::string& ca_pem,
                    const std::string& crl_pem = "", const std::string& known = "",
                    const std::string& staple = "") const {
    ChainCheckerOptions options;
    options.trust = *TrustStore::Create(ca_pem, crl_pem);
    options.known_intermediates_pem = known;
    const auto checker = ChainChecker::Create(options);
    EXPECT_TRUE(checker.ok()) << checker.status();
    return (*checker)->Check({DerOf(served_pem), staple}, "a.test", now_);
  }

  static ErrorCode CodeOf(const ChainReport& report) {
    const std::optional<Error> error = GetError(report.verdict);
    return error.has_value() ? error->code : ErrorCode::kInternal;
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01
  const TestPki root_{now_, "Root"};
};

TEST_F(ChainCheckerTest, AValidChainIsDescribedAndItsLeafExpiresFirst) {
  const TestPki intermediate(root_, "Intermediate");
  const ChainReport report = Check(intermediate.Issue(Leaf(90 * kDay)).chain, root_.ca_pem());
  EXPECT_TRUE(report.verdict.ok()) << report.verdict;
  EXPECT_TRUE(report.trusted);
  ASSERT_EQ(report.path.size(), 3u);
  EXPECT_EQ(report.path[2].subject, "CN=Root");
  EXPECT_THAT(report.roles, ElementsAre(ServedRole::kLeaf, ServedRole::kIntermediate));
  EXPECT_THAT(report.missing, IsEmpty());
  EXPECT_FALSE(report.out_of_order);
  EXPECT_FALSE(report.must_staple);
  EXPECT_EQ(report.staple.state, StapleState::kNone);
  ASSERT_TRUE(report.first_failure.has_value());
  EXPECT_EQ(report.first_failure->when, now_ + 90 * kDay);
  EXPECT_EQ(report.first_failure->part, ChainPart::kLeaf);
  EXPECT_EQ(report.first_failure->detail, "leaf \"CN=a.test\" expires on 2026-04-01");
  EXPECT_NE(report.path[0].spki_sha256, report.path[1].spki_sha256);
}

TEST_F(ChainCheckerTest, AnIntermediateThatExpiresBeforeItsLeafIsReported) {
  const TestPki intermediate(root_, Authority("Intermediate", 9 * kDay));
  const ChainReport report = Check(intermediate.Issue(Leaf()).chain, root_.ca_pem());
  EXPECT_TRUE(report.verdict.ok()) << report.verdict;
  ASSERT_TRUE(report.first_failure.has_value());
  EXPECT_EQ(report.first_failure->when, now_ + 9 * kDay);
  EXPECT_EQ(report.first_failure->part, ChainPart::kIntermediate);
  EXPECT_EQ(report.first_failure->subject, "CN=Intermediate");
  EXPECT_EQ(report.first_failure->detail, "intermediate \"CN=Intermediate\" expires on 2026-01-10");
}

TEST_F(ChainCheckerTest, ARootThatExpiresFirstIsReported) {
  const TestPki root(now_, Authority("Short Root", 20 * kDay));
  const TestPki intermediate(root, "Intermediate");
  const ChainReport report = Check(intermediate.Issue(Leaf()).chain, root.ca_pem());
  ASSERT_TRUE(report.first_failure.has_value());
  EXPECT_EQ(report.first_failure->when, now_ + 20 * kDay);
  EXPECT_EQ(report.first_failure->part, ChainPart::kRoot);
  EXPECT_EQ(report.first_failure->subject, "CN=Short Root");
}

TEST_F(ChainCheckerTest, TheForecastIsTheVerifiersFirstRejection) {
  const TestPki intermediate(root_, Authority("Intermediate", 9 * kDay));
  ChainCheckerOptions options;
  options.trust = *TrustStore::Create(root_.ca_pem());
  const auto checker = *ChainChecker::Create(options);
  const ServedChain served{DerOf(intermediate.Issue(Leaf()).chain), ""};
  const absl::Time end = checker->Check(served, "a.test", now_).first_failure->when;
  EXPECT_TRUE(checker->Check(served, "a.test", end - absl::Seconds(1)).verdict.ok());
  const ChainReport after = checker->Check(served, "a.test", end);
  EXPECT_EQ(CodeOf(after), ErrorCode::kCertificateExpired);
  EXPECT_THAT(std::string(after.verdict.message()), HasSubstr("CN=Intermediate"));
  EXPECT_FALSE(after.first_failure.has_value());
}

// Verification ignores the cross-certificate if the issuer itself is a trusted root.
TEST_F(ChainCheckerTest, AnExpiringCrossCertificateBesideATrustedRootDoesNotCount) {
  const TestPki old_root(now_, "Old Root");
  const TestPki intermediate(root_, "Intermediate");
  const std::string served =
      intermediate.Issue(Leaf(200 * kDay)).chain + old_root.CrossCertify(root_, now_ + 5 * kDay);
  const ChainReport both = Check(served, root_.ca_pem() + old_root.ca_pem());
  ASSERT_TRUE(both.first_failure.has_value()) << both.verdict;
  EXPECT_EQ(both.first_failure->when, now_ + 200 * kDay);
  EXPECT_THAT(both.roles,
              ElementsAre(ServedRole::kLeaf, ServedRole::kIntermediate, ServedRole::kUnused));
  // A client that trusts the old root alone depends on it.
  const ChainReport old_only = Check(served, old_root.ca_pem());
  ASSERT_TRUE(old_only.first_failure.has_value()) << old_only.verdict;
  EXPECT_EQ(old_only.first_failure->when, now_ + 5 * kDay);
  EXPECT_EQ(old_only.first_failure->part, ChainPart::kIntermediate);
  EXPECT_EQ(old_only.first_failure->subject, "CN=Root");
}

TEST_F(ChainCheckerTest, AnExpiringRevocationListEndsVerification) {
  const TestPki intermediate(root_, Authority("Intermediate", 9 * kDay));
  const PemPair leaf = intermediate.Issue(Leaf());
  const std::string crls =
      root_.IssueCrl({}, now_ + 30 * kDay) + intermediate.IssueCrl({}, now_ + 3 * kDay);
  const ChainReport report = Check(leaf.chain, root_.ca_pem(), crls);
  EXPECT_TRUE(report.verdict.ok()) << report.verdict;
  ASSERT_TRUE(report.first_failure.has_value());
  EXPECT_EQ(report.first_failure->when, now_ + 3 * kDay);
  EXPECT_EQ(report.first_failure->part, ChainPart::kCrl);
  EXPECT_EQ(report.first_failure->subject, "CN=Intermediate");
  EXPECT_EQ(report.first_failure->detail,
            "the revocation list of \"CN=Intermediate\" expires on 2026-01-04");
  ASSERT_TRUE(report.first_certificate_failure.has_value());
  EXPECT_EQ(report.first_certificate_failure->when, now_ + 9 * kDay);
  EXPECT_EQ(report.first_certificate_failure->part, ChainPart::kIntermediate);

  const std::string revoking = root_.IssueCrl({}) + intermediate.IssueCrl({leaf});
  const ChainReport revoked = Check(leaf.chain, root_.ca_pem(), revoking);
  EXPECT_EQ(CodeOf(revoked), ErrorCode::kCertificateUntrusted);
  EXPECT_THAT(std::string(revoked.verdict.message()), HasSubstr("revoked"));
}

TEST_F(ChainCheckerTest, AMissingIntermediateDiffersFromAnUnknownCa) {
  const TestPki upper(root_, "Upper");
  const TestPki lower(upper, "Lower");
  const std::string leaf = First(lower.Issue(Leaf()).chain);

  const ChainReport unknown = Check(leaf, root_.ca_pem());
  EXPECT_EQ(CodeOf(unknown), ErrorCode::kCertificateUntrusted);
  EXPECT_FALSE(unknown.trusted);
  ASSERT_EQ(unknown.missing.size(), 1u);
  EXPECT_EQ(unknown.missing[0].subject, "CN=Lower");
  EXPECT_FALSE(unknown.missing[0].known);

  const ChainReport known = Check(leaf, root_.ca_pem(), "", lower.chain_pem());
  EXPECT_EQ(CodeOf(known), ErrorCode::kCertificateUntrusted);
  EXPECT_TRUE(known.trusted);
  ASSERT_EQ(known.missing.size(), 2u);
  EXPECT_EQ(known.missing[0].subject, "CN=Lower");
  EXPECT_EQ(known.missing[1].subject, "CN=Upper");
  EXPECT_TRUE(known.missing[0].known);
}

TEST_F(ChainCheckerTest, AnIntermediateFromTheCaFileIsReportedAsMissing) {
  const TestPki intermediate(root_, "Intermediate");
  const ChainReport report =
      Check(First(intermediate.Issue(Leaf()).chain), root_.ca_pem() + intermediate.chain_pem());
  EXPECT_TRUE(report.verdict.ok()) << report.verdict;
  ASSERT_EQ(report.missing.size(), 1u);
  EXPECT_EQ(report.missing[0].subject, "CN=Intermediate");
  EXPECT_TRUE(report.missing[0].known);
}

TEST_F(ChainCheckerTest, SurplusAndMisorderedCertificatesAreReported) {
  const TestPki upper(root_, "Upper");
  const TestPki lower(upper, "Lower");
  const TestPki stranger(now_, "Stranger");
  const std::string good = lower.Issue(Leaf()).chain;
  const std::string lower_pem = First(AfterFirst(good));
  const std::string upper_pem = AfterFirst(AfterFirst(good));
  const ChainReport report = Check(
      absl::StrCat(First(good), upper_pem, lower_pem, lower_pem, stranger.ca_pem(), root_.ca_pem()),
      root_.ca_pem());
  EXPECT_TRUE(report.verdict.ok()) << report.verdict;
  EXPECT_TRUE(report.out_of_order);
  EXPECT_THAT(report.roles,
              ElementsAre(ServedRole::kLeaf, ServedRole::kIntermediate, ServedRole::kIntermediate,
                          ServedRole::kDuplicate, ServedRole::kUnused, ServedRole::kRoot));
}

TEST_F(ChainCheckerTest, StaplesAreVerified) {
  const TestPki intermediate(root_, "Intermediate");
  const PemPair leaf = intermediate.Issue(Leaf());
  const auto staple = [&](StapleSpec spec) {
    return Check(leaf.chain, root_.ca_pem(), "", "", intermediate.IssueStaple(leaf, spec)).staple;
  };
  StapleSpec good;
  good.next_update = now_ + 4 * kDay;
  const StapleReport report = staple(good);
  EXPECT_EQ(report.state, StapleState::kGood) << report.detail;
  EXPECT_EQ(report.this_update, now_ - kDay);
  EXPECT_EQ(report.next_update, now_ + 4 * kDay);

  StapleSpec revoked;
  revoked.answer = StapleSpec::Answer::kRevoked;
  EXPECT_EQ(staple(revoked).state, StapleState::kRevoked);
  StapleSpec unknown;
  unknown.answer = StapleSpec::Answer::kUnknown;
  EXPECT_EQ(staple(unknown).state, StapleState::kUnknown);
  EXPECT_EQ(staple(unknown).detail, "the responder does not know the certificate");
  StapleSpec outdated;
  outdated.this_update = now_ - 9 * kDay;
  outdated.next_update = now_ - 2 * kDay;
  EXPECT_EQ(staple(outdated).state, StapleState::kBad);
  EXPECT_EQ(staple(outdated).detail, "it expired on 2025-12-30");
  StapleSpec early;
  early.this_update = now_ + 2 * kDay;
  EXPECT_EQ(staple(early).detail, "it is not valid before 2026-01-03");
}

TEST_F(ChainCheckerTest, StaplesForOtherCertificatesAreBad) {
  const TestPki intermediate(root_, "Intermediate");
  const TestPki stranger(root_, "Intermediate");  // An equal name does not make a CA the issuer.
  const PemPair leaf = intermediate.Issue(Leaf());
  const PemPair other = intermediate.Issue(Leaf());
  const auto judge = [&](const std::string& staple) {
    return Check(leaf.chain, root_.ca_pem(), "", "", staple).staple;
  };
  EXPECT_EQ(judge(intermediate.IssueStaple(other)).detail, "it is about another certificate");
  const StapleReport forged = judge(stranger.IssueStaple(leaf));
  EXPECT_EQ(forged.state, StapleState::kBad) << forged.detail;
  EXPECT_EQ(judge("\x30\x03 no staple").detail, "it doesn't parse");
  std::string damaged = intermediate.IssueStaple(leaf);
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  EXPECT_EQ(judge(damaged).detail,
            "it is not signed by the issuer, nor by a responder of the issuer");
}

TEST_F(ChainCheckerTest, ALeafThatRequiresAStapleFailsWithIt) {
  LeafSpec spec = Leaf();
  spec.must_staple = true;
  const PemPair leaf = root_.Issue(spec);
  StapleSpec staple;
  staple.next_update = now_ + 4 * kDay;
  const ChainReport report =
      Check(leaf.chain, root_.ca_pem(), "", "", root_.IssueStaple(leaf, staple));
  EXPECT_TRUE(report.must_staple);
  ASSERT_TRUE(report.first_failure.has_value());
  EXPECT_EQ(report.first_failure->part, ChainPart::kStaple);
  EXPECT_EQ(report.first_failure->when, now_ + 4 * kDay);
  EXPECT_EQ(report.first_certificate_failure->when, now_ + 365 * kDay);
}

TEST_F(ChainCheckerTest, UnparsableChainsHaveABadVerdict) {
  ChainCheckerOptions options;
  options.trust = *TrustStore::Create(root_.ca_pem());
  const auto checker = *ChainChecker::Create(options);
  EXPECT_THAT(std::string(checker->Check({}, "a.test", now_).verdict.message()),
              HasSubstr("sent no certificate"));
  EXPECT_THAT(std::string(checker->Check({{"junk"}, ""}, "a.test", now_).verdict.message()),
              HasSubstr("doesn't parse"));
  const ServedChain served{DerOf(root_.Issue(Leaf()).chain), ""};
  EXPECT_EQ(GetError(checker->Check(served, "", now_).verdict)->code, ErrorCode::kConfiguration);
  EXPECT_EQ(GetError(checker->Check(served, "b.test", now_).verdict)->code,
            ErrorCode::kNameMismatch);
}

TEST_F(ChainCheckerTest, OptionsMustBeUsable) {
  EXPECT_FALSE(ChainChecker::Create({}).ok());
  ChainCheckerOptions options;
  options.trust = *TrustStore::Create(root_.ca_pem());
  options.known_intermediates_pem = "nothing";
  EXPECT_EQ(GetError(ChainChecker::Create(options).status())->code, ErrorCode::kConfiguration);
  options.known_intermediates_pem = absl::StrCat(kBegin, "\nAAAA\n", kEnd, "\n");
  EXPECT_EQ(GetError(ChainChecker::Create(options).status())->code, ErrorCode::kConfiguration);
}

TEST(ChainNamesTest, AreSnakeCase) {
  EXPECT_EQ(EnumName(ChainPart::kLeaf), "leaf");
  EXPECT_EQ(EnumName(ChainPart::kIntermediate), "intermediate");
  EXPECT_EQ(EnumName(ChainPart::kRoot), "root");
  EXPECT_EQ(EnumName(ChainPart::kCrl), "crl");
  EXPECT_EQ(EnumName(ChainPart::kStaple), "staple");
  EXPECT_EQ(EnumName(ServedRole::kUnused), "unused");
  EXPECT_EQ(EnumName(ServedRole::kDuplicate), "duplicate");
  EXPECT_EQ(EnumName(StapleState::kGood), "good");
  EXPECT_EQ(EnumName(StapleState::kBad), "bad");
}

}  // namespace
}  // namespace trestle::testing
