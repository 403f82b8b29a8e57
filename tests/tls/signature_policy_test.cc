// The signature algorithms that the two legs use and accept.
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/pki/trust_store.h"
#include "trestle/tls/client_authentication.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Returns the context of a peer that accepts `scheme` only.
bssl::UniquePtr<SSL_CTX> ContextThatVerifies(uint16_t scheme, uint16_t version) {
  bssl::UniquePtr<SSL_CTX> context = MakeRawContext();
  SSL_CTX_set_min_proto_version(context.get(), version);
  SSL_CTX_set_max_proto_version(context.get(), version);
  EXPECT_TRUE(SSL_CTX_set_verify_algorithm_prefs(context.get(), &scheme, 1));
  return context;
}

// RFC 9155: not even for a TLS 1.2 peer that offers nothing else.
class Sha1Test : public TlsTest, public ::testing::WithParamInterface<KeyType> {
 protected:
  static uint16_t Sha1Of(KeyType type) {
    return type == KeyType::kRsa ? SSL_SIGN_RSA_PKCS1_SHA1 : SSL_SIGN_ECDSA_SHA1;
  }
};

TEST_P(Sha1Test, TheFrontLegNeverSignsWithIt) {
  for (const TlsPreset preset : {TlsPreset::kModern, TlsPreset::kIntermediate}) {
    ServerTlsOptions options;
    options.parameters = ParametersOf(preset);
    options.certificates = MakeStore({LeafFor("a.test", GetParam())});
    const std::unique_ptr<TlsEngine> server = MakeServer(std::move(options));
    RawPeer client(ContextThatVerifies(Sha1Of(GetParam()), TLS1_2_VERSION).get(),
                   /*is_server=*/false);
    client.Handshake(*server);
    EXPECT_FALSE(server->handshake_done());
    EXPECT_EQ(CodeOf(server->status()), ErrorCode::kNoCommonParameters) << server->status();
  }
}

TEST_P(Sha1Test, TheBackLegNeverSignsWithIt) {
  bssl::UniquePtr<SSL_CTX> context = ContextThatVerifies(Sha1Of(GetParam()), TLS1_2_VERSION);
  UsePem(context.get(), pki_.Issue(LeafFor("a.test")));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  RawPeer server(context.get(), /*is_server=*/true);
  ClientTlsOptions options;
  LeafSpec leaf = LeafFor("client.test", GetParam());
  leaf.server_auth = false;
  options.credential = pki_.IssueCredential(leaf);
  const std::unique_ptr<TlsEngine> client = MakeClient(std::move(options));
  server.Handshake(*client);
  EXPECT_FALSE(client->handshake_done());
  EXPECT_EQ(CodeOf(client->status()), ErrorCode::kNoCommonParameters) << client->status();
}

INSTANTIATE_TEST_SUITE_P(Keys, Sha1Test, ::testing::Values(KeyType::kEcdsa, KeyType::kRsa));

class LargeCurveTest : public TlsTest,
                       public ::testing::WithParamInterface<std::tuple<TlsVersion, int>> {
 protected:
  PemPair Issue(bool server) const {
    LeafSpec leaf = LeafFor("a.test");
    leaf.ec_bits = std::get<1>(GetParam());
    leaf.server_auth = server;
    return pki_.Issue(leaf);
  }
};

TEST_P(LargeCurveTest, SignsAndVerifiesOnBothLegs) {
  const PemPair server_pair = Issue(/*server=*/true);
  const PemPair client_pair = Issue(/*server=*/false);
  ServerTlsOptions server;
  server.parameters = Only(std::get<0>(GetParam()));
  server.certificates = *CertificateStore::Create(
      {*Credential::FromPem(server_pair.chain, server_pair.key)}, loop_.Now());
  ClientAuthOptions authentication;
  authentication.otherwise.certificate = ClientCertificate::kRequired;
  authentication.otherwise.trust = *TrustStore::Create(pki_.ca_pem());
  server.client_authentication = *ClientAuthentication::Create(std::move(authentication));
  ClientTlsOptions client;
  CredentialOptions as_client;
  as_client.use = CredentialUse::kClient;
  client.credential = *Credential::FromPem(client_pair.chain, client_pair.key, as_client);
  EnginePair pair = MakePair(std::move(server), std::move(client));
  pair.Handshake();
  EXPECT_TRUE(pair.client->handshake_done()) << pair.client->status();
  EXPECT_TRUE(pair.server->handshake_done()) << pair.server->status();
  EXPECT_EQ(pair.client->info().peer_chain[0].key,
            absl::StrCat("ECDSA P-", std::get<1>(GetParam())));
}

INSTANTIATE_TEST_SUITE_P(Curves, LargeCurveTest,
                         ::testing::Combine(::testing::Values(TlsVersion::kTls12,
                                                              TlsVersion::kTls13),
                                            ::testing::Values(384, 521)));

using OfferTest = TlsTest;

TEST_F(OfferTest, TheLargeGroupsAreLast) {
  for (const TlsPreset preset : {TlsPreset::kModern, TlsPreset::kIntermediate}) {
    EXPECT_THAT(ParametersOf(preset).groups,
                ElementsAre(TlsGroup::kX25519MlKem768, TlsGroup::kX25519, TlsGroup::kP256,
                            TlsGroup::kP384, TlsGroup::kP521));
  }
}

// A server with RSA key exchange only, such as an old appliance.
TEST_F(OfferTest, ABackendsHandshakeFailureNamesTheMissingOffer) {
  bssl::UniquePtr<SSL_CTX> context = MakeRawContext();
  UsePem(context.get(), pki_.Issue(LeafFor("a.test", KeyType::kRsa)));
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  ASSERT_TRUE(SSL_CTX_set_strict_cipher_list(context.get(), "AES128-GCM-SHA256"));
  RawPeer server(context.get(), /*is_server=*/true);
  const std::unique_ptr<TlsEngine> client = MakeClient();
  server.Handshake(*client);
  EXPECT_EQ(CodeOf(client->status()), ErrorCode::kPeerAlert) << client->status();
  EXPECT_THAT(std::string(client->status().message()),
              HasSubstr("handshake_failure; not offered are TLS 1.1 and older, key exchange "
                        "without ECDHE (RSA, DHE)"));
}

TEST_F(OfferTest, AnOldVersionNamesTheOffer) {
  bssl::UniquePtr<SSL_CTX> context = MakeRawContext();
  UsePem(context.get(), pki_.Issue(LeafFor("a.test")));
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  RawPeer server(context.get(), /*is_server=*/true);
  ClientTlsOptions options;
  options.parameters = ParametersOf(TlsPreset::kModern);
  const std::unique_ptr<TlsEngine> client = MakeClient(std::move(options));
  server.Handshake(*client);
  EXPECT_THAT(std::string(client->status().message()),
              HasSubstr("protocol_version; only TLS 1.3 is offered"));
}

}  // namespace
}  // namespace trestle::testing
