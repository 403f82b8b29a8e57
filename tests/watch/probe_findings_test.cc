#include "trestle/watch/probe_findings.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kDay = absl::Hours(24);

class ProbeFindingsTest : public ::testing::Test {
 protected:
  static CertificateInfo Certificate(const std::string& subject, absl::Time end) {
    CertificateInfo certificate;
    certificate.subject = subject;
    certificate.not_after = end;
    return certificate;
  }

  // Returns the report of a valid leaf, intermediate and root.
  ProbeReport Good() const {
    ProbeReport report;
    report.target.server_name = "a.test";
    report.post_quantum = true;
    ChainReport& chain = report.chain.emplace();
    chain.path = {Certificate("CN=a.test", now_ + 90 * kDay),
                  Certificate("CN=Int", now_ + 900 * kDay),
                  Certificate("CN=Root", now_ + 9000 * kDay)};
    chain.served = {chain.path[0], chain.path[1]};
    chain.served[0].dns_names = {"a.test"};
    chain.roles = {ServedRole::kLeaf, ServedRole::kIntermediate};
    chain.trusted = true;
    chain.first_failure = FutureFailure{now_ + 90 * kDay, ChainPart::kLeaf, "CN=a.test", "ends"};
    chain.first_certificate_failure.emplace(*chain.first_failure);
    return report;
  }

  static absl::Status Failure(ErrorCode code) {
    return MakeError(code, Leg::kBack, Phase::kHandshake, "detail");
  }

  Finding Only(const ProbeReport& report) const {
    const std::vector<Finding> findings = FindingsOf(report, now_);
    EXPECT_EQ(findings.size(), 1u);
    return findings.empty() ? Finding() : findings[0];
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01
};

TEST_F(ProbeFindingsTest, AGoodReportHasNoFindings) {
  EXPECT_THAT(FindingsOf(Good(), now_), IsEmpty());
  EXPECT_EQ(WorstOf({}), Severity::kFine);
}

TEST_F(ProbeFindingsTest, AnExpiryThatIsNearIsAWarningWithAdvice) {
  const std::vector<std::pair<ChainPart, std::string>> parts = {
      {ChainPart::kLeaf, "renew the server's certificate"},
      {ChainPart::kIntermediate, "current intermediate in place of \"CN=X\""},
      {ChainPart::kRoot, "whose root lasts longer than \"CN=X\""}};
  for (const auto& [part, advice] : parts) {
    ProbeReport report = Good();
    report.chain->first_certificate_failure =
        FutureFailure{now_ + 9 * kDay + absl::Hours(1), part, "CN=X", "it expires"};
    const Finding finding = Only(report);
    EXPECT_EQ(finding.severity, Severity::kWarning);
    EXPECT_EQ(finding.code, "verification_will_fail");
    EXPECT_EQ(finding.text, "verification will fail in 9 days: it expires");
    EXPECT_THAT(finding.advice, HasSubstr(advice));
    FindingOptions options;
    options.alarms.warn_within = 8 * kDay;
    EXPECT_THAT(FindingsOf(report, now_, options), IsEmpty());
  }
}

TEST_F(ProbeFindingsTest, AnExpiryInTheLastTenthOfALifetimeIsCritical) {
  ProbeReport report = Good();
  CertificateInfo& leaf = report.chain->path[0];
  leaf.not_after = now_ + 4 * kDay;
  report.chain->first_certificate_failure =
      FutureFailure{leaf.not_after, ChainPart::kLeaf, leaf.subject, "it expires"};
  leaf.not_before = leaf.not_after - 47 * kDay;
  EXPECT_EQ(Only(report).severity, Severity::kCritical);
  EXPECT_EQ(Only(report).code, "verification_will_fail");
  leaf.not_before = leaf.not_after - 30 * kDay;
  EXPECT_EQ(Only(report).severity, Severity::kWarning);
  leaf.not_before = leaf.not_after - 10 * kDay;
  EXPECT_THAT(FindingsOf(report, now_), IsEmpty());
}

TEST_F(ProbeFindingsTest, RevocationListsAndStaplesHaveAShorterWarningTime) {
  ProbeReport report = Good();
  report.chain->first_failure =
      FutureFailure{now_ + 3 * kDay, ChainPart::kCrl, "CN=Int", "the list expires"};
  EXPECT_THAT(FindingsOf(report, now_), IsEmpty());
  report.chain->first_failure->when = now_ + absl::Hours(5);
  const Finding crl = Only(report);
  EXPECT_EQ(crl.code, "statement_will_expire");
  EXPECT_EQ(crl.text, "verification will fail in 5 hours: the list expires");
  EXPECT_EQ(crl.advice, "fetch the next revocation list of \"CN=Int\"");
  report.chain->first_failure->part = ChainPart::kStaple;
  EXPECT_THAT(Only(report).advice, HasSubstr("OCSP"));
}

TEST_F(ProbeFindingsTest, ExpiredNamesThePartToReplace) {
  for (const auto& [index, advice] :
       {std::pair<size_t, std::string>{0, "renew the server's certificate"},
        {1, "current intermediate in place of \"CN=Int\""},
        {2, "whose root lasts longer than \"CN=Root\""}}) {
    ProbeReport report = Good();
    report.chain->verdict = Failure(ErrorCode::kCertificateExpired);
    report.chain->first_failure.reset();
    report.chain->first_certificate_failure.reset();
    report.chain->path[index].not_after = now_ - kDay;
    const Finding finding = Only(report);
    EXPECT_EQ(finding.severity, Severity::kCritical);
    EXPECT_EQ(finding.code, "certificate_expired");
    EXPECT_EQ(finding.text, "detail");
    EXPECT_THAT(finding.advice, HasSubstr(advice));
  }
  ProbeReport early = Good();
  early.chain->verdict = Failure(ErrorCode::kCertificateExpired);
  early.chain->first_certificate_failure.reset();
  early.chain->path[0].not_before = now_ + kDay;
  EXPECT_THAT(Only(early).advice, HasSubstr("no earlier than 2026-01-02 00:00 UTC"));
}

TEST_F(ProbeFindingsTest, UntrustedNamesTheMissingPart) {
  ProbeReport report = Good();
  report.chain->verdict = Failure(ErrorCode::kCertificateUntrusted);
  report.chain->first_certificate_failure.reset();
  report.chain->missing = {{"CN=Int", true}};
  EXPECT_EQ(Only(report).advice, "have the server send \"CN=Int\" after its leaf");
  report.chain->missing = {{"CN=Int", false}};
  report.chain->trusted = false;
  EXPECT_THAT(Only(report).advice, HasSubstr("if it is a root, add it"));
  report.chain->missing = {};
  EXPECT_THAT(Only(report).advice, HasSubstr("if you trust \"CN=Root\""));
  report.chain->trusted = true;
  EXPECT_THAT(Only(report).advice, HasSubstr("fit for TLS servers"));
}

TEST_F(ProbeFindingsTest, ANameMismatchListsThePresentNames) {
  ProbeReport report = Good();
  report.chain->verdict = Failure(ErrorCode::kNameMismatch);
  report.chain->first_certificate_failure.reset();
  report.chain->served[0].dns_names = {"1", "2", "3", "4", "5", "6"};
  EXPECT_THAT(Only(report).advice, HasSubstr("(DNS:1, DNS:2, DNS:3, DNS:4, DNS:5, …)"));
  report.chain->served[0].dns_names = {"1"};
  report.chain->served[0].ip_names = {"192.0.2.1"};
  report.chain->served[0].uri_names = {"spiffe://internal.test/back"};
  EXPECT_THAT(Only(report).advice,
              HasSubstr("(DNS:1, IP:192.0.2.1, URI:spiffe://internal.test/back)"));
  report.chain->served[0].dns_names = report.chain->served[0].ip_names = {};
  EXPECT_THAT(Only(report).advice, HasSubstr("\"a.test\" as subject alternative name"));
}

TEST_F(ProbeFindingsTest, EachConnectionFailureHasAdvice) {
  for (const ErrorCode code : {ErrorCode::kTransport, ErrorCode::kTimeout, ErrorCode::kAlpnMismatch,
                               ErrorCode::kProtocol, ErrorCode::kNotTls, ErrorCode::kPeerAlert,
                               ErrorCode::kTruncated, ErrorCode::kNoCommonParameters}) {
    ProbeReport report;
    report.status = Failure(code);
    const Finding finding = Only(report);
    EXPECT_EQ(finding.severity, Severity::kCritical);
    EXPECT_EQ(finding.code, EnumName(code));
    EXPECT_FALSE(finding.advice.empty()) << finding.code;
  }
  ProbeReport foreign;
  foreign.status = absl::UnknownError("who knows");
  EXPECT_EQ(Only(foreign).code, "internal");
}

TEST_F(ProbeFindingsTest, StaplesCauseFindings) {
  ProbeReport report = Good();
  report.chain->staple.state = StapleState::kRevoked;
  EXPECT_EQ(Only(report).severity, Severity::kCritical);
  EXPECT_EQ(Only(report).code, "staple_revoked");
  for (const StapleState state : {StapleState::kBad, StapleState::kUnknown}) {
    report.chain->staple.state = state;
    EXPECT_EQ(Only(report).code, "staple_bad");
    EXPECT_EQ(Only(report).severity, Severity::kWarning);
  }
  report.chain->staple.state = StapleState::kGood;
  EXPECT_THAT(FindingsOf(report, now_), IsEmpty());
  report.chain->staple.state = StapleState::kNone;
  report.chain->must_staple = true;
  EXPECT_EQ(Only(report).code, "staple_missing");
}

TEST_F(ProbeFindingsTest, SurplusAndMissingCertificatesAreReported) {
  ProbeReport report = Good();
  report.chain->missing = {{"CN=Int", true}};
  EXPECT_EQ(Only(report).code, "intermediate_not_sent");
  EXPECT_EQ(Only(report).severity, Severity::kWarning);

  report = Good();
  for (const ServedRole role : {ServedRole::kUnused, ServedRole::kDuplicate, ServedRole::kRoot}) {
    report.chain->served.push_back(Certificate("CN=More", now_));
    report.chain->roles.push_back(role);
  }
  report.chain->out_of_order = true;
  report.post_quantum = false;
  std::vector<std::string> codes;
  for (const Finding& finding : FindingsOf(report, now_)) {
    EXPECT_EQ(finding.severity, Severity::kNote);
    codes.push_back(finding.code);
  }
  EXPECT_THAT(codes, ElementsAre("certificate_not_needed", "certificate_not_needed", "root_sent",
                                 "out_of_order", "not_post_quantum"));
}

TEST_F(ProbeFindingsTest, FindingsOfTheChainComeToo) {
  ProbeReport report = Good();
  report.chain->findings = {{Severity::kWarning, "lifetime_over_policy", "too long", "shorten"}};
  EXPECT_EQ(Only(report).code, "lifetime_over_policy");
  report.chain->out_of_order = true;
  report.chain->verdict = Failure(ErrorCode::kNameMismatch);
  const std::vector<Finding> standing = StandingFindingsOf(*report.chain);
  ASSERT_EQ(standing.size(), 2u);
  EXPECT_EQ(standing[0].code, "lifetime_over_policy");
  EXPECT_EQ(standing[1].code, "out_of_order");
}

TEST_F(ProbeFindingsTest, TheWorstComesFirst) {
  ProbeReport report = Good();
  report.post_quantum = false;
  report.chain->out_of_order = true;
  report.chain->verdict = Failure(ErrorCode::kNameMismatch);
  const std::vector<Finding> findings = FindingsOf(report, now_);
  EXPECT_EQ(findings.front().code, "name_mismatch");
  EXPECT_EQ(WorstOf(findings), Severity::kCritical);
}

}  // namespace
}  // namespace trestle
