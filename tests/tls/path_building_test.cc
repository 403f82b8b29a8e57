// Both legs verify by the path search, whose cases are in tests/pki/path_search_test, and report
// the end of the used path.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "tests/pki/path_shape.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/pki/trust_store.h"
#include "trestle/tls/client_authentication.h"

namespace trestle::testing {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);

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

  // Returns the context of a peer that presents `pair` and all its certificates, in its order.
  static bssl::UniquePtr<SSL_CTX> ContextOf(const PemPair& pair) {
    bssl::UniquePtr<SSL_CTX> context = MakeRawContext();
    UsePem(context.get(), pair);
    return context;
  }

  absl::Status BackLeg(const PemPair& pair, const std::string& cas, const std::string& crls) {
    RawPeer server(ContextOf(pair).get(), /*is_server=*/true);
    ClientTlsOptions options;
    options.ca_pem = cas;
    options.crl_pem = crls;
    const std::unique_ptr<TlsEngine> client = MakeClient(std::move(options));
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

  // Expects the same verdict of both legs, in every order.
  void ExpectVerdict(PathShape shape, std::optional<ErrorCode> failure) {
    const PemPair server_pair = shape.issuer.Issue(Leaf(/*server=*/true));
    const PemPair client_pair = shape.issuer.Issue(Leaf(/*server=*/false));
    ForEachOrder(shape, [&](const PathShape& order) {
      const std::string cas = absl::StrJoin(order.trusted, "");
      const std::string rest = absl::StrJoin(order.sent, "");
      const absl::Status back =
          BackLeg({FirstBlock(server_pair.chain) + rest, server_pair.key}, cas, order.crls);
      const absl::Status front =
          FrontLeg({FirstBlock(client_pair.chain) + rest, client_pair.key}, cas, order.crls);
      if (failure.has_value()) {
        EXPECT_EQ(CodeOf(back), *failure) << back;
        EXPECT_EQ(CodeOf(front), *failure) << front;
        return;
      }
      EXPECT_TRUE(back.ok()) << back;
      EXPECT_TRUE(front.ok()) << front;
      ASSERT_TRUE(path_end_.has_value());
      EXPECT_GT(path_end_->when, loop_.Now());
    });
  }

  void ExpectGood(const PathShape& shape) { ExpectVerdict(shape, std::nullopt); }

  std::optional<PathEnd> path_end_;
};

TEST_F(PathBuildingTest, AnExpiredRootBesideItsRenewedOneIsIgnored) {
  const TestPki root(loop_.Now(), Until("Root", -kDay));
  const std::string renewed = root.CrossCertify(root);
  ExpectGood({root, {}, {root.ca_pem(), renewed}});
  const TestPki intermediate(root, "Intermediate");
  ExpectGood({intermediate, {FirstBlock(intermediate.chain_pem())}, {root.ca_pem(), renewed}});
  // The same if the server sends either of them.
  ExpectGood({root, {root.ca_pem()}, {root.ca_pem(), renewed}});
  ExpectGood({root, {root.ca_pem(), renewed}, {renewed}});
  ExpectVerdict({root, {renewed}, {root.ca_pem()}}, ErrorCode::kCertificateExpired);
}

// May 2020: the old root and its cross-certificate expired, the new root was in every store.
TEST_F(PathBuildingTest, TheAddTrustOutageDoesNotRecur) {
  const TestPki add_trust(loop_.Now(), Until("AddTrust External CA Root", -kDay));
  const TestPki user_trust(loop_.Now(), "USERTrust RSA");
  const TestPki sectigo(user_trust, "Sectigo RSA DV");
  const std::string cross = add_trust.CrossCertify(user_trust, loop_.Now() - kDay);
  const std::vector<std::string> sent = {FirstBlock(sectigo.chain_pem()), cross};
  ExpectGood({sectigo, sent, {user_trust.ca_pem(), add_trust.ca_pem()}});
  ExpectGood({sectigo, sent, {user_trust.ca_pem()}});
  ExpectGood({sectigo, {sent[0], cross, add_trust.ca_pem()}, {user_trust.ca_pem()}});
  ExpectVerdict({sectigo, sent, {add_trust.ca_pem()}}, ErrorCode::kCertificateExpired);
}

TEST_F(PathBuildingTest, AnIntermediateAloneIsATrustAnchor) {
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
  const TestPki other(loop_.Now(), "Other");
  ExpectGood({other, {}, {pki_.CrossCertify(other), other.CrossCertify(pki_)}});
}

TEST_F(PathBuildingTest, ARevokedIntermediateInTheCaFileStaysRevoked) {
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

TEST_F(PathBuildingTest, UnusedCertificatesDoNotShortenTheReportedEnd) {
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

}  // namespace
}  // namespace trestle::testing
