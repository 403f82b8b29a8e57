// Chains and CA files as the field has them, in every order of both: what one verifier says, all
// say, on both legs and in the forecast.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/pki/trust_store.h"
#include "trestle/tls/client_authentication.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kDay = absl::Hours(24);

std::string First(const std::string& pem) { return pem.substr(0, pem.find("-----BEGIN", 1)); }

std::string Der(const std::string& pem) {
  constexpr absl::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  const size_t begin = pem.find(kBegin) + kBegin.size();
  const std::string base64 = pem.substr(begin, pem.find("-----END") - begin);
  std::string der;
  EXPECT_TRUE(absl::Base64Unescape(absl::StrReplaceAll(base64, {{"\n", ""}}), &der));
  return der;
}

// One shape: a leaf that `issuer` made, with what is sent behind it and what is trusted.
struct Shape {
  const TestPki& issuer;
  std::vector<std::string> sent;
  std::vector<std::string> trusted;
  std::string crls = "";
  bool trusts_leaf = false;
};

class PathBuildingTest : public TlsTest {
 protected:
  AuthoritySpec Until(const std::string& name, absl::Duration end) const {
    AuthoritySpec spec;
    spec.name = name;
    spec.not_after = loop_.Now() + end;
    return spec;
  }

  LeafSpec Leaf(bool server) const {
    LeafSpec leaf = LeafFor("a.test");
    leaf.server_auth = server;
    leaf.not_after = loop_.Now() + 300 * kDay;
    return leaf;
  }

  // A bare peer that shows `pair` and whatever it has, in its order.
  static bssl::UniquePtr<SSL_CTX> ContextOf(const PemPair& pair) {
    bssl::UniquePtr<SSL_CTX> context = MakeRawContext();
    UsePem(context.get(), pair);
    return context;
  }

  absl::Status BackLeg(const PemPair& pair, const std::string& cas, const std::string& crls,
                       const std::string& name = "a.test") {
    RawPeer server(ContextOf(pair).get(), /*is_server=*/true);
    ClientTlsOptions options;
    options.ca_pem = cas;
    options.crl_pem = crls;
    const std::unique_ptr<TlsEngine> client = MakeClient(std::move(options), {name, {}});
    server.Handshake(*client);
    EXPECT_EQ(client->handshake_done(), client->status().ok());
    path_end_ = client->info().peer_chain.path_end();
    return client->status();
  }

  absl::Status FrontLeg(const PemPair& pair, const std::string& cas, const std::string& crls) {
    ClientAuthOptions authentication;
    authentication.otherwise.certificate = ClientCertificate::kRequired;
    authentication.otherwise.trust = *TrustStore::Create(cas, crls);
    ServerTlsOptions options;
    options.client_authentication = *ClientAuthentication::Create(std::move(authentication));
    const std::unique_ptr<TlsEngine> server = MakeServer(std::move(options));
    RawPeer client(ContextOf(pair).get(), /*is_server=*/false);
    client.Handshake(*server);
    EXPECT_EQ(server->handshake_done(), server->status().ok());
    return server->status();
  }

  ChainReport Check(const std::vector<std::string>& sent, const std::string& cas,
                    const std::string& crls, absl::Time when) {
    ChainCheckerOptions options;
    options.trust = *TrustStore::Create(cas, crls);
    ServedChain served;
    for (const std::string& pem : sent) served.certificates.push_back(Der(pem));
    return (*ChainChecker::Create(options))->Check(served, "a.test", when);
  }

  // Runs `visit` for every order of what is sent behind the leaf and of the CA file.
  template <typename Visit>
  static void ForEachOrder(Shape shape, const Visit& visit) {
    std::sort(shape.sent.begin(), shape.sent.end());
    do {
      std::sort(shape.trusted.begin(), shape.trusted.end());
      do visit(shape);
      while (std::next_permutation(shape.trusted.begin(), shape.trusted.end()));
    } while (std::next_permutation(shape.sent.begin(), shape.sent.end()));
  }

  // Expects one verdict of all, in every order; of what is good, also one forecast, which holds.
  void ExpectVerdict(Shape shape, std::optional<ErrorCode> failure) {
    const PemPair server_pair = shape.issuer.Issue(Leaf(/*server=*/true));
    const PemPair client_pair = shape.issuer.Issue(Leaf(/*server=*/false));
    if (shape.trusts_leaf) {
      shape.trusted.push_back(First(server_pair.chain));
      shape.trusted.push_back(First(client_pair.chain));
    }
    std::optional<absl::Time> forecast;
    ForEachOrder(shape, [&](const Shape& order) {
      const std::string cas = absl::StrJoin(order.trusted, "");
      const std::string rest = absl::StrJoin(order.sent, "");
      const absl::Status back =
          BackLeg({First(server_pair.chain) + rest, server_pair.key}, cas, order.crls);
      const std::optional<PathEnd> path_end = path_end_;
      const absl::Status front =
          FrontLeg({First(client_pair.chain) + rest, client_pair.key}, cas, order.crls);
      std::vector<std::string> sent = {First(server_pair.chain)};
      sent.insert(sent.end(), order.sent.begin(), order.sent.end());
      const ChainReport report = Check(sent, cas, order.crls, loop_.Now());
      if (failure.has_value()) {
        EXPECT_EQ(CodeOf(back), *failure) << back;
        EXPECT_EQ(CodeOf(front), *failure) << front;
        EXPECT_EQ(CodeOf(report.verdict), *failure) << report.verdict;
        return;
      }
      EXPECT_TRUE(back.ok()) << back;
      EXPECT_TRUE(front.ok()) << front;
      EXPECT_TRUE(report.verdict.ok()) << report.verdict;
      EXPECT_TRUE(report.trusted);
      ASSERT_TRUE(report.first_failure.has_value());
      const absl::Time end = report.first_failure->when;
      EXPECT_EQ(end, forecast.value_or(end)) << "the forecast depends on the order";
      forecast = end;
      ASSERT_TRUE(path_end.has_value());
      EXPECT_GT(path_end->when, loop_.Now());
      ASSERT_TRUE(report.first_certificate_failure.has_value());
      EXPECT_LE(path_end->when, report.first_certificate_failure->when);
      EXPECT_TRUE(Check(sent, cas, order.crls, end - absl::Seconds(1)).verdict.ok());
      EXPECT_FALSE(Check(sent, cas, order.crls, end).verdict.ok());
    });
    forecast_ = forecast;
  }

  void ExpectGood(const Shape& shape) { ExpectVerdict(shape, std::nullopt); }

  std::optional<PathEnd> path_end_;
  std::optional<absl::Time> forecast_;
};

TEST_F(PathBuildingTest, AnExpiredRootBesideItsRenewedOne) {
  const TestPki root(loop_.Now(), Until("Root", -kDay));
  const std::string renewed = root.CrossCertify(root);
  ExpectGood({root, {}, {root.ca_pem(), renewed}});
  const TestPki intermediate(root, "Intermediate");
  ExpectGood({intermediate, {First(intermediate.chain_pem())}, {root.ca_pem(), renewed}});
  // Also where the server sends either of them.
  ExpectGood({root, {root.ca_pem()}, {root.ca_pem(), renewed}});
  ExpectGood({root, {root.ca_pem(), renewed}, {renewed}});
  ExpectVerdict({root, {renewed}, {root.ca_pem()}}, ErrorCode::kCertificateExpired);
}

TEST_F(PathBuildingTest, TwoRootsOfOneNameWithoutKeyIdentifiers) {
  const TestPki a(loop_.Now(), "Root");
  const TestPki b(loop_.Now(), "Root");
  const TestPki c(loop_.Now(), "Root");
  for (const TestPki* issuer : {&a, &b}) {
    ExpectGood({*issuer, {}, {a.ca_pem(), b.ca_pem()}});
    const TestPki intermediate(*issuer, "Intermediate");
    ExpectGood({intermediate, {First(intermediate.chain_pem())}, {a.ca_pem(), b.ca_pem()}});
  }
  ExpectVerdict({c, {}, {a.ca_pem(), b.ca_pem()}}, ErrorCode::kCertificateUntrusted);
}

TEST_F(PathBuildingTest, BothCrossSignedIntermediatesOneOfThemExpired) {
  const TestPki old_root(loop_.Now(), "Old Root");
  const TestPki intermediate(pki_, "Intermediate");
  const std::string good = First(intermediate.chain_pem());
  const std::string expired = old_root.CrossCertify(intermediate, loop_.Now() - kDay);
  ExpectGood({intermediate, {good, expired}, {pki_.ca_pem(), old_root.ca_pem()}});
  ExpectGood({intermediate, {good, expired}, {pki_.ca_pem()}});
  ExpectGood({intermediate, {good, good, expired}, {pki_.ca_pem()}});
  ExpectVerdict({intermediate, {good, expired}, {old_root.ca_pem()}},
                ErrorCode::kCertificateExpired);
}

TEST_F(PathBuildingTest, ACrossSignedPairIsGoodUntilTheLaterOneEnds) {
  const TestPki old_root(loop_.Now(), "Old Root");
  const TestPki intermediate(pki_, Until("Intermediate", 200 * kDay));
  const std::string own = First(intermediate.chain_pem());
  const std::string cross = old_root.CrossCertify(intermediate, loop_.Now() + 5 * kDay);
  ExpectGood({intermediate, {own, cross}, {pki_.ca_pem(), old_root.ca_pem()}});
  EXPECT_EQ(forecast_, loop_.Now() + 200 * kDay);
  ExpectGood({intermediate, {own, cross}, {old_root.ca_pem()}});
  EXPECT_EQ(forecast_, loop_.Now() + 5 * kDay);
}

TEST_F(PathBuildingTest, AnExpiredIntermediateInTheCaFileWhileTheServerSendsAValidOne) {
  const TestPki intermediate(pki_, "Intermediate");
  const std::string expired = pki_.CrossCertify(intermediate, loop_.Now() - kDay);
  const std::string good = First(intermediate.chain_pem());
  ExpectGood({intermediate, {good}, {pki_.ca_pem(), expired}});
  // Alone it is an anchor, and a bad one.
  ExpectVerdict({intermediate, {good}, {expired}}, ErrorCode::kCertificateExpired);
  ExpectVerdict({intermediate, {}, {pki_.ca_pem(), expired}}, ErrorCode::kCertificateExpired);
  // The other way round.
  ExpectGood({intermediate, {expired}, {pki_.ca_pem(), good}});
}

// May 2020: the old root and its cross-certificate expired, the new root was in every store.
TEST_F(PathBuildingTest, TheAddTrustOutage) {
  const TestPki add_trust(loop_.Now(), Until("AddTrust External CA Root", -kDay));
  const TestPki user_trust(loop_.Now(), "USERTrust RSA");
  const TestPki sectigo(user_trust, "Sectigo RSA DV");
  const std::string cross = add_trust.CrossCertify(user_trust, loop_.Now() - kDay);
  const std::vector<std::string> sent = {First(sectigo.chain_pem()), cross};
  ExpectGood({sectigo, sent, {user_trust.ca_pem(), add_trust.ca_pem()}});
  ExpectGood({sectigo, sent, {user_trust.ca_pem()}});
  ExpectGood({sectigo, {sent[0], cross, add_trust.ca_pem()}, {user_trust.ca_pem()}});
  EXPECT_EQ(forecast_, loop_.Now() + 300 * kDay) << "the leaf's end";
  ExpectVerdict({sectigo, sent, {add_trust.ca_pem()}}, ErrorCode::kCertificateExpired);
}

// September 2021: the cross-certificate outlived the root that had issued it.
TEST_F(PathBuildingTest, TheDstRootX3Outage) {
  const TestPki dst(loop_.Now(), Until("DST Root CA X3", -kDay));
  const TestPki isrg(loop_.Now(), "ISRG Root X1");
  const TestPki r3(isrg, "R3");
  const std::string cross = dst.CrossCertify(isrg, loop_.Now() + 1000 * kDay);
  const std::vector<std::string> sent = {First(r3.chain_pem()), cross};
  ExpectGood({r3, sent, {isrg.ca_pem(), dst.ca_pem()}});
  ExpectGood({r3, sent, {isrg.ca_pem()}});
  ExpectVerdict({r3, sent, {dst.ca_pem()}}, ErrorCode::kCertificateExpired);
  // The cross-certificate in the CA file, without its root, is an anchor of its own.
  ExpectGood({r3, sent, {cross}});
  ExpectVerdict({r3, sent, {cross, dst.ca_pem()}}, ErrorCode::kCertificateExpired);
}

TEST_F(PathBuildingTest, AnIntermediateAloneIsATrustAnchor) {
  const TestPki upper(pki_, "Upper");
  const TestPki lower(upper, "Lower");
  const std::string lower_pem = First(lower.chain_pem());
  const std::string upper_pem = First(upper.chain_pem());
  for (const std::string& anchor : {lower_pem, upper_pem}) {
    ExpectGood({lower, {lower_pem}, {anchor}});
    ExpectGood({lower, {lower_pem, upper_pem, pki_.ca_pem()}, {anchor}});
  }
  ExpectGood({lower, {}, {lower_pem}});
  ExpectGood({lower, {}, {lower_pem, upper_pem, pki_.ca_pem()}});
  ExpectVerdict({lower, {}, {upper_pem}}, ErrorCode::kCertificateUntrusted);
  // Two that certify each other lead nowhere else.
  const TestPki other(loop_.Now(), "Other");
  ExpectGood({other, {}, {pki_.CrossCertify(other), other.CrossCertify(pki_)}});
}

TEST_F(PathBuildingTest, ALeafIsATrustAnchorForItselfOnly) {
  const TestPki intermediate(pki_, "Intermediate");
  Shape shape{intermediate, {}, {}};
  shape.trusts_leaf = true;
  ExpectGood(shape);
  shape.sent = {First(intermediate.chain_pem()), pki_.ca_pem()};
  ExpectGood(shape);
  const TestPki no_ca(pki_, AuthoritySpec{"No CA", absl::InfinitePast(), absl::InfiniteFuture(), "",
                                          /*is_ca=*/false});
  ExpectVerdict({no_ca, {}, {First(no_ca.chain_pem())}}, ErrorCode::kCertificateUntrusted);
  ExpectVerdict({no_ca, {First(no_ca.chain_pem())}, {pki_.ca_pem()}},
                ErrorCode::kCertificateUntrusted);
}

TEST_F(PathBuildingTest, ARevokedIntermediateInTheCaFileStaysRevoked) {
  const TestPki intermediate(pki_, "Intermediate");
  const std::string pem = First(intermediate.chain_pem());
  const std::string below = intermediate.IssueCrl({});
  Shape shape{intermediate, {pem}, {pki_.ca_pem(), pem}};
  shape.crls = pki_.IssueCrl({}) + below;
  ExpectGood(shape);
  shape.crls = pki_.IssueCrl({{pem, ""}}) + below;
  ExpectVerdict(shape, ErrorCode::kCertificateUntrusted);
  shape.crls = below;
  ExpectVerdict(shape, ErrorCode::kCertificateUntrusted);
  // As the only anchor it is trusted for itself; what it issued is checked.
  shape.trusted = {pem};
  ExpectGood(shape);
  shape.crls = pki_.IssueCrl({});
  ExpectVerdict(shape, ErrorCode::kCertificateUntrusted);
}

TEST_F(PathBuildingTest, AnotherPathIsTakenWhereOneIsRevoked) {
  const TestPki other_root(loop_.Now(), "Other Root");
  const TestPki intermediate(pki_, "Intermediate");
  const std::string own = First(intermediate.chain_pem());
  const std::string cross = other_root.CrossCertify(intermediate);
  Shape shape{intermediate, {own, cross}, {pki_.ca_pem(), other_root.ca_pem()}};
  shape.crls = pki_.IssueCrl({{own, ""}}) + other_root.IssueCrl({}) + intermediate.IssueCrl({});
  ExpectGood(shape);
}

TEST_F(PathBuildingTest, WhatNobodyNeedsDoesNotShortenWhatWasSeen) {
  const TestPki old_root(loop_.Now(), "Old Root");
  const PemPair pair = pki_.Issue(Leaf(/*server=*/true));
  const std::string expired = old_root.CrossCertify(pki_, loop_.Now() - kDay);
  ASSERT_TRUE(BackLeg({pair.chain + expired, pair.key}, pki_.ca_pem(), "").ok());
  ASSERT_TRUE(path_end_.has_value());
  EXPECT_EQ(path_end_->when, loop_.Now() + 300 * kDay);
  EXPECT_EQ(path_end_->part, ChainPart::kLeaf);
  EXPECT_EQ(path_end_->subject, "CN=a.test");
  const TestPki short_root(loop_.Now(), Until("Short Root", 9 * kDay));
  const PemPair short_pair = short_root.Issue(Leaf(/*server=*/true));
  ASSERT_TRUE(BackLeg(short_pair, short_root.ca_pem(), "").ok());
  EXPECT_EQ(path_end_->when, loop_.Now() + 9 * kDay);
  EXPECT_EQ(path_end_->part, ChainPart::kRoot);
}

TEST_F(PathBuildingTest, RangesOfAddressesConstrainNames) {
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
    // At the root, and below it.
    const TestPki root(loop_.Now(), spec);
    const TestPki intermediate(pki_, spec);
    for (const TestPki* issuer : {&root, &intermediate}) {
      LeafSpec leaf = Leaf(/*server=*/true);
      leaf.ip_names = c.names;
      const absl::Status status =
          BackLeg(issuer->Issue(leaf), pki_.ca_pem() + root.ca_pem(), "", c.names[0]);
      EXPECT_EQ(status.ok(), c.good) << c.names[0] << ": " << status;
      if (!c.good) {
        EXPECT_EQ(CodeOf(status), ErrorCode::kCertificateUntrusted);
        EXPECT_THAT(std::string(status.message()), HasSubstr("subtree violation"));
      }
    }
  }
  // Beside it, other constraints hold as ever.
  AuthoritySpec both;
  both.name = "Constrained";
  both.permitted_ip_ranges = {"192.0.2.0/24"};
  both.permitted_dns_name = "b.test";
  const TestPki root(loop_.Now(), both);
  LeafSpec leaf = Leaf(/*server=*/true);
  leaf.ip_names = {"192.0.2.7"};
  const absl::Status status = BackLeg(root.Issue(leaf), root.ca_pem(), "");
  EXPECT_THAT(std::string(status.message()), HasSubstr("permitted subtree violation"));
}

// Nobody sends so many but to make verification expensive. Connections bound them before; probes
// look at all there are.
TEST_F(PathBuildingTest, TheWorkIsBoundedHoweverManyPathsThereAre) {
  constexpr int kMany = 80;
  std::vector<std::string> wide;
  for (int i = 0; i < kMany; ++i) {
    const TestPki impostor(loop_.Now(), "Trestle Test CA");
    wide.push_back(First(TestPki(impostor, "Intermediate").chain_pem()));
  }
  const TestPki stranger(loop_.Now(), "Intermediate");
  std::vector<std::string> sent = {stranger.Issue(Leaf(/*server=*/true)).chain};
  sent.insert(sent.end(), wide.begin(), wide.end());
  absl::Status verdict = Check(sent, pki_.ca_pem(), "", loop_.Now()).verdict;
  EXPECT_EQ(CodeOf(verdict), ErrorCode::kCertificateUntrusted);
  EXPECT_THAT(std::string(verdict.message()), HasSubstr("more ways to a CA than are tried"));

  // Levels of which each certificate names all of the next: without a bound, 8^9 paths.
  constexpr int kLevels = 9;
  constexpr int kWidth = 8;
  const TestPki bottom(loop_.Now(), "Level 0");
  sent = {bottom.Issue(Leaf(/*server=*/true)).chain};
  for (int level = 0; level < kLevels; ++level) {
    for (int i = 0; i < kWidth; ++i) {
      const TestPki above(loop_.Now(), absl::StrCat("Level ", level + 1));
      sent.push_back(First(TestPki(above, absl::StrCat("Level ", level)).chain_pem()));
    }
  }
  verdict = Check(sent, pki_.ca_pem(), "", loop_.Now()).verdict;
  EXPECT_EQ(CodeOf(verdict), ErrorCode::kCertificateUntrusted);
  EXPECT_THAT(std::string(verdict.message()), HasSubstr("more ways to a CA than are tried"));

  // What is good is found among as many, and few are tried in whole.
  const TestPki good(pki_, "Good");
  sent = {First(good.Issue(Leaf(/*server=*/true)).chain)};
  sent.insert(sent.end(), wide.begin(), wide.end());
  sent.push_back(First(good.chain_pem()));
  EXPECT_TRUE(Check(sent, pki_.ca_pem(), "", loop_.Now()).verdict.ok());
  sent = {bottom.Issue(Leaf(/*server=*/true)).chain};
  EXPECT_THAT(std::string(Check(sent, pki_.ca_pem(), "", loop_.Now()).verdict.message()),
              Not(HasSubstr("more ways")));
}

}  // namespace
}  // namespace trestle::testing
