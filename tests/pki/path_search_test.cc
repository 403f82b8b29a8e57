// Chains and CA files from practice, in every order of both: one verdict for servers and for
// clients, and a correct forecast.
#include "lib/pki/path_search.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/certificate_verifier.h"
#include "lib/pki/peer_name.h"
#include "tests/pki/path_shape.h"
#include "tests/pki/pki_fixture.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/pki/trust_store.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kDay = absl::Hours(24);

std::string Der(const std::string& pem) {
  constexpr absl::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  const size_t begin = pem.find(kBegin) + kBegin.size();
  const std::string base64 = pem.substr(begin, pem.find("-----END") - begin);
  std::string der;
  EXPECT_TRUE(absl::Base64Unescape(absl::StrReplaceAll(base64, {{"\n", ""}}), &der));
  return der;
}

absl::Status StatusOf(const ChainVerdict& verdict) {
  return verdict.failure.has_value() ? MakeError(verdict.failure->error) : absl::OkStatus();
}

class PathSearchTest : public PkiTest {
 protected:
  AuthoritySpec Until(const std::string& name, absl::Duration end) const {
    AuthoritySpec spec;
    spec.name = name;
    spec.not_after = now_ + end;
    return spec;
  }

  LeafSpec Leaf(bool server = true) const {
    LeafSpec leaf = LeafFor("a.test");
    leaf.server_auth = server;
    leaf.not_after = now_ + 300 * kDay;
    return leaf;
  }

  // Verifies `chain` as that of a client, or of a server with `name`.
  ChainVerdict Judge(const std::string& chain, const TrustStore& trust, ChainPurpose purpose,
                     const std::string& name = "a.test") const {
    const PeerName wanted = *PeerName::Parse(name);
    ChainRequirements requirements;
    requirements.trust = &trust;
    requirements.purpose = purpose;
    if (purpose == ChainPurpose::kServer) requirements.name = &wanted;
    requirements.check_crls = trust.has_crls();
    return VerifyChain(ChainOf(chain), requirements, now_);
  }

  absl::Status Verify(const std::string& chain, const std::string& cas,
                      const std::string& name) const {
    return StatusOf(Judge(chain, **TrustStore::Create(cas), ChainPurpose::kServer, name));
  }

  ChainReport Check(const std::vector<std::string>& sent, const std::string& cas,
                    const std::string& crls, absl::Time when) const {
    ChainCheckerOptions options;
    options.trust = *TrustStore::Create(cas, crls);
    ServedChain served;
    for (const std::string& pem : sent) served.certificates.push_back(Der(pem));
    return (*ChainChecker::Create(options))->Check(served, "a.test", when);
  }

  // Expects the same verdict for every order, and for valid chains also the same correct forecast.
  void ExpectVerdict(PathShape shape, std::optional<ErrorCode> failure) {
    const std::string server = shape.issuer.Issue(Leaf(/*server=*/true)).chain;
    const std::string client = shape.issuer.Issue(Leaf(/*server=*/false)).chain;
    if (shape.trusts_leaf) {
      shape.trusted.push_back(FirstBlock(server));
      shape.trusted.push_back(FirstBlock(client));
    }
    forecast_.reset();
    ForEachOrder(shape, [&](const PathShape& order) {
      const std::string cas = absl::StrJoin(order.trusted, "");
      const std::string rest = absl::StrJoin(order.sent, "");
      const std::shared_ptr<const TrustStore> trust = *TrustStore::Create(cas, order.crls);
      const ChainVerdict back = Judge(FirstBlock(server) + rest, *trust, ChainPurpose::kServer);
      const ChainVerdict front = Judge(FirstBlock(client) + rest, *trust, ChainPurpose::kClient);
      std::vector<std::string> sent = {FirstBlock(server)};
      sent.insert(sent.end(), order.sent.begin(), order.sent.end());
      const ChainReport report = Check(sent, cas, order.crls, now_);
      if (failure.has_value()) {
        EXPECT_EQ(CodeOf(StatusOf(back)), *failure) << StatusOf(back);
        EXPECT_EQ(CodeOf(StatusOf(front)), *failure) << StatusOf(front);
        EXPECT_EQ(CodeOf(report.verdict), *failure) << report.verdict;
        return;
      }
      EXPECT_EQ(StatusOf(back), absl::OkStatus());
      EXPECT_EQ(StatusOf(front), absl::OkStatus());
      ExpectForecast(sent, order, report, EndOfPath(back.path, back.anchored));
    });
  }

  // Expects the same forecast as for other orders, and checks it.
  void ExpectForecast(const std::vector<std::string>& sent, const PathShape& order,
                      const ChainReport& report, const PathEnd& path_end) {
    EXPECT_TRUE(report.verdict.ok()) << report.verdict;
    EXPECT_TRUE(report.trusted);
    ASSERT_TRUE(report.first_failure.has_value());
    const absl::Time end = report.first_failure->when;
    EXPECT_EQ(end, forecast_.value_or(end)) << "the forecast depends on the order";
    forecast_ = end;
    EXPECT_GT(path_end.when, now_);
    ASSERT_TRUE(report.first_certificate_failure.has_value());
    EXPECT_LE(path_end.when, report.first_certificate_failure->when);
    const std::string cas = absl::StrJoin(order.trusted, "");
    EXPECT_TRUE(Check(sent, cas, order.crls, end - absl::Seconds(1)).verdict.ok());
    EXPECT_FALSE(Check(sent, cas, order.crls, end).verdict.ok());
  }

  void ExpectGood(const PathShape& shape) { ExpectVerdict(shape, std::nullopt); }

  std::optional<absl::Time> forecast_;
};

TEST_F(PathSearchTest, AnExpiredRootBesideItsRenewedOneIsIgnored) {
  const TestPki root(now_, Until("Root", -kDay));
  const std::string renewed = root.CrossCertify(root);
  ExpectGood({root, {}, {root.ca_pem(), renewed}});
  const TestPki intermediate(root, "Intermediate");
  ExpectGood({intermediate, {FirstBlock(intermediate.chain_pem())}, {root.ca_pem(), renewed}});
  // The same if the server sends either of them.
  ExpectGood({root, {root.ca_pem()}, {root.ca_pem(), renewed}});
  ExpectGood({root, {root.ca_pem(), renewed}, {renewed}});
  ExpectVerdict({root, {renewed}, {root.ca_pem()}}, ErrorCode::kCertificateExpired);
}

TEST_F(PathSearchTest, TwoRootsOfOneNameWithoutKeyIdentifiersAreBothTried) {
  const TestPki a(now_, "Root");
  const TestPki b(now_, "Root");
  const TestPki c(now_, "Root");
  for (const TestPki* issuer : {&a, &b}) {
    ExpectGood({*issuer, {}, {a.ca_pem(), b.ca_pem()}});
    const TestPki intermediate(*issuer, "Intermediate");
    ExpectGood({intermediate, {FirstBlock(intermediate.chain_pem())}, {a.ca_pem(), b.ca_pem()}});
  }
  ExpectVerdict({c, {}, {a.ca_pem(), b.ca_pem()}}, ErrorCode::kCertificateUntrusted);
}

TEST_F(PathSearchTest, OneExpiredCrossSignedIntermediateIsIgnored) {
  const TestPki old_root(now_, "Old Root");
  const TestPki intermediate(pki_, "Intermediate");
  const std::string good = FirstBlock(intermediate.chain_pem());
  const std::string expired = old_root.CrossCertify(intermediate, now_ - kDay);
  ExpectGood({intermediate, {good, expired}, {pki_.ca_pem(), old_root.ca_pem()}});
  ExpectGood({intermediate, {good, expired}, {pki_.ca_pem()}});
  ExpectGood({intermediate, {good, good, expired}, {pki_.ca_pem()}});
  ExpectVerdict({intermediate, {good, expired}, {old_root.ca_pem()}},
                ErrorCode::kCertificateExpired);
}

TEST_F(PathSearchTest, ACrossSignedPairIsValidUntilTheLaterOneExpires) {
  const TestPki old_root(now_, "Old Root");
  const TestPki intermediate(pki_, Until("Intermediate", 200 * kDay));
  const std::string own = FirstBlock(intermediate.chain_pem());
  const std::string cross = old_root.CrossCertify(intermediate, now_ + 5 * kDay);
  ExpectGood({intermediate, {own, cross}, {pki_.ca_pem(), old_root.ca_pem()}});
  EXPECT_EQ(forecast_, now_ + 200 * kDay);
  ExpectGood({intermediate, {own, cross}, {old_root.ca_pem()}});
  EXPECT_EQ(forecast_, now_ + 5 * kDay);
}

TEST_F(PathSearchTest, AnExpiredIntermediateInTheCaFileIsIgnored) {
  const TestPki intermediate(pki_, "Intermediate");
  const std::string expired = pki_.CrossCertify(intermediate, now_ - kDay);
  const std::string good = FirstBlock(intermediate.chain_pem());
  ExpectGood({intermediate, {good}, {pki_.ca_pem(), expired}});
  // Alone it is an expired anchor.
  ExpectVerdict({intermediate, {good}, {expired}}, ErrorCode::kCertificateExpired);
  ExpectVerdict({intermediate, {}, {pki_.ca_pem(), expired}}, ErrorCode::kCertificateExpired);
  // The reverse case.
  ExpectGood({intermediate, {expired}, {pki_.ca_pem(), good}});
}

// May 2020: the old root and its cross-certificate expired, the new root was in every store.
TEST_F(PathSearchTest, TheAddTrustOutageDoesNotRecur) {
  const TestPki add_trust(now_, Until("AddTrust External CA Root", -kDay));
  const TestPki user_trust(now_, "USERTrust RSA");
  const TestPki sectigo(user_trust, "Sectigo RSA DV");
  const std::string cross = add_trust.CrossCertify(user_trust, now_ - kDay);
  const std::vector<std::string> sent = {FirstBlock(sectigo.chain_pem()), cross};
  ExpectGood({sectigo, sent, {user_trust.ca_pem(), add_trust.ca_pem()}});
  ExpectGood({sectigo, sent, {user_trust.ca_pem()}});
  ExpectGood({sectigo, {sent[0], cross, add_trust.ca_pem()}, {user_trust.ca_pem()}});
  EXPECT_EQ(forecast_, now_ + 300 * kDay) << "the leaf's expiry";
  ExpectVerdict({sectigo, sent, {add_trust.ca_pem()}}, ErrorCode::kCertificateExpired);
}

// September 2021: the cross-certificate outlived the root that had issued it.
TEST_F(PathSearchTest, TheDstRootX3OutageDoesNotRecur) {
  const TestPki dst(now_, Until("DST Root CA X3", -kDay));
  const TestPki isrg(now_, "ISRG Root X1");
  const TestPki r3(isrg, "R3");
  const std::string cross = dst.CrossCertify(isrg, now_ + 1000 * kDay);
  const std::vector<std::string> sent = {FirstBlock(r3.chain_pem()), cross};
  ExpectGood({r3, sent, {isrg.ca_pem(), dst.ca_pem()}});
  ExpectGood({r3, sent, {isrg.ca_pem()}});
  ExpectVerdict({r3, sent, {dst.ca_pem()}}, ErrorCode::kCertificateExpired);
  // The cross-certificate in the CA file, without its root, is an anchor.
  ExpectGood({r3, sent, {cross}});
  ExpectVerdict({r3, sent, {cross, dst.ca_pem()}}, ErrorCode::kCertificateExpired);
}

TEST_F(PathSearchTest, AnIntermediateAloneIsATrustAnchor) {
  const TestPki upper(pki_, "Upper");
  const TestPki lower(upper, "Lower");
  const std::string lower_pem = FirstBlock(lower.chain_pem());
  const std::string upper_pem = FirstBlock(upper.chain_pem());
  for (const std::string& anchor : {lower_pem, upper_pem}) {
    ExpectGood({lower, {lower_pem}, {anchor}});
    ExpectGood({lower, {lower_pem, upper_pem, pki_.ca_pem()}, {anchor}});
  }
  ExpectGood({lower, {}, {lower_pem}});
  ExpectGood({lower, {}, {lower_pem, upper_pem, pki_.ca_pem()}});
  ExpectVerdict({lower, {}, {upper_pem}}, ErrorCode::kCertificateUntrusted);
  // Two CAs that certify each other have no other issuer.
  const TestPki other(now_, "Other");
  ExpectGood({other, {}, {pki_.CrossCertify(other), other.CrossCertify(pki_)}});
}

TEST_F(PathSearchTest, ALeafIsATrustAnchorForItselfOnly) {
  const TestPki intermediate(pki_, "Intermediate");
  PathShape shape{intermediate, {}, {}};
  shape.trusts_leaf = true;
  ExpectGood(shape);
  shape.sent = {FirstBlock(intermediate.chain_pem()), pki_.ca_pem()};
  ExpectGood(shape);
  const TestPki no_ca(pki_, AuthoritySpec{"No CA", absl::InfinitePast(), absl::InfiniteFuture(), "",
                                          /*is_ca=*/false});
  ExpectVerdict({no_ca, {}, {FirstBlock(no_ca.chain_pem())}}, ErrorCode::kCertificateUntrusted);
  ExpectVerdict({no_ca, {FirstBlock(no_ca.chain_pem())}, {pki_.ca_pem()}},
                ErrorCode::kCertificateUntrusted);
}

TEST_F(PathSearchTest, ARevokedIntermediateInTheCaFileStaysRevoked) {
  const TestPki intermediate(pki_, "Intermediate");
  const std::string pem = FirstBlock(intermediate.chain_pem());
  const std::string below = intermediate.IssueCrl({});
  PathShape shape{intermediate, {pem}, {pki_.ca_pem(), pem}};
  shape.crls = pki_.IssueCrl({}) + below;
  ExpectGood(shape);
  shape.crls = pki_.IssueCrl({{pem, ""}}) + below;
  ExpectVerdict(shape, ErrorCode::kCertificateUntrusted);
  shape.crls = below;
  ExpectVerdict(shape, ErrorCode::kCertificateUntrusted);
  // As the only anchor it is trusted; the certificates that it issued are checked.
  shape.trusted = {pem};
  ExpectGood(shape);
  shape.crls = pki_.IssueCrl({});
  ExpectVerdict(shape, ErrorCode::kCertificateUntrusted);
}

TEST_F(PathSearchTest, AnotherPathIsUsedIfOneIsRevoked) {
  const TestPki other_root(now_, "Other Root");
  const TestPki intermediate(pki_, "Intermediate");
  const std::string own = FirstBlock(intermediate.chain_pem());
  const std::string cross = other_root.CrossCertify(intermediate);
  PathShape shape{intermediate, {own, cross}, {pki_.ca_pem(), other_root.ca_pem()}};
  shape.crls = pki_.IssueCrl({{own, ""}}) + other_root.IssueCrl({}) + intermediate.IssueCrl({});
  ExpectGood(shape);
}

TEST_F(PathSearchTest, AddressRangesConstrainNames) {
  struct Case {
    std::vector<std::string> permitted, excluded, names;
    bool good;
  };
  const std::vector<Case> cases = {
      {{"192.0.2.0/24"}, {}, {"192.0.2.7"}, true},
      {{"192.0.2.0/24"}, {}, {"192.0.3.7"}, false},
      {{"192.0.2.0/23", "2001:db8::/32"}, {}, {"192.0.3.7", "2001:db8::7"}, true},
      {{"192.0.2.0/24"}, {}, {"192.0.2.7", "2001:db8::7"}, false},
      {{"192.0.2.7/32"}, {}, {"192.0.2.7"}, true},
      {{}, {"192.0.2.0/24"}, {"192.0.3.7"}, true},
      {{}, {"192.0.2.0/24"}, {"192.0.2.7"}, false},
      {{}, {"0.0.0.0/0"}, {"2001:db8::7"}, true},
      {{}, {"0.0.0.0/0", "::/0"}, {"2001:db8::7"}, false},
      {{"192.0.2.0/24"}, {"192.0.2.128/25"}, {"192.0.2.200"}, false},
  };
  for (const Case& c : cases) {
    AuthoritySpec spec;
    spec.name = "Constrained";
    spec.permitted_ip_ranges = c.permitted;
    spec.excluded_ip_ranges = c.excluded;
    // The constraint at the root, and below it.
    const TestPki root(now_, spec);
    const TestPki intermediate(pki_, spec);
    for (const TestPki* issuer : {&root, &intermediate}) {
      LeafSpec leaf = Leaf();
      leaf.ip_names = c.names;
      const absl::Status status =
          Verify(issuer->Issue(leaf).chain, pki_.ca_pem() + root.ca_pem(), c.names[0]);
      EXPECT_EQ(status.ok(), c.good) << c.names[0] << ": " << status;
      if (!c.good) {
        EXPECT_EQ(CodeOf(status), ErrorCode::kCertificateUntrusted);
        EXPECT_THAT(std::string(status.message()), HasSubstr("subtree violation"));
      }
    }
  }
  // Other constraints still apply beside it.
  AuthoritySpec both;
  both.name = "Constrained";
  both.permitted_ip_ranges = {"192.0.2.0/24"};
  both.permitted_dns_name = "b.test";
  const TestPki root(now_, both);
  LeafSpec leaf = Leaf();
  leaf.ip_names = {"192.0.2.7"};
  const absl::Status status = Verify(root.Issue(leaf).chain, root.ca_pem(), "a.test");
  EXPECT_THAT(std::string(status.message()), HasSubstr("permitted subtree violation"));
}

// Only an attacker sends so many certificates. Connections limit their number earlier; probes
// inspect all of them.
TEST_F(PathSearchTest, TheWorkIsBoundedForAnyNumberOfPaths) {
  constexpr int kMany = 80;
  std::vector<std::string> wide;
  for (int i = 0; i < kMany; ++i) {
    const TestPki impostor(now_, "Trestle Test CA");
    wide.push_back(FirstBlock(TestPki(impostor, "Intermediate").chain_pem()));
  }
  const TestPki stranger(now_, "Intermediate");
  std::vector<std::string> sent = {stranger.Issue(Leaf()).chain};
  sent.insert(sent.end(), wide.begin(), wide.end());
  absl::Status verdict = Check(sent, pki_.ca_pem(), "", now_).verdict;
  EXPECT_EQ(CodeOf(verdict), ErrorCode::kCertificateUntrusted);
  EXPECT_THAT(std::string(verdict.message()), HasSubstr("more paths to a CA than are tried"));

  // Each certificate names all of the next level as issuers: without a bound, 8^9 paths.
  constexpr int kLevels = 9;
  constexpr int kWidth = 8;
  const TestPki bottom(now_, "Level 0");
  sent = {bottom.Issue(Leaf()).chain};
  for (int level = 0; level < kLevels; ++level) {
    for (int i = 0; i < kWidth; ++i) {
      const TestPki above(now_, absl::StrCat("Level ", level + 1));
      sent.push_back(FirstBlock(TestPki(above, absl::StrCat("Level ", level)).chain_pem()));
    }
  }
  verdict = Check(sent, pki_.ca_pem(), "", now_).verdict;
  EXPECT_EQ(CodeOf(verdict), ErrorCode::kCertificateUntrusted);
  EXPECT_THAT(std::string(verdict.message()), HasSubstr("more paths to a CA than are tried"));

  // A valid path is found among as many, and few paths are verified completely.
  const TestPki good(pki_, "Good");
  sent = {FirstBlock(good.Issue(Leaf()).chain)};
  sent.insert(sent.end(), wide.begin(), wide.end());
  sent.push_back(FirstBlock(good.chain_pem()));
  EXPECT_TRUE(Check(sent, pki_.ca_pem(), "", now_).verdict.ok());
  sent = {bottom.Issue(Leaf()).chain};
  EXPECT_THAT(std::string(Check(sent, pki_.ca_pem(), "", now_).verdict.message()),
              Not(HasSubstr("more paths")));
}

}  // namespace
}  // namespace trestle::testing
