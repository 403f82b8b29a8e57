// Client certificates: which names request one and which are accepted. Other names and old sessions
// don't bypass the policy.
#include "trestle/tls/client_authentication.h"

#include <openssl/bio.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/resuming_client.h"
#include "tests/tls/tls_fixture.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kHandshakeFailure = 40;
constexpr int kBadCertificate = 42;
constexpr int kUnsupportedCertificate = 43;
constexpr int kCertificateRevoked = 44;
constexpr int kCertificateExpired = 45;
constexpr int kCertificateUnknown = 46;
constexpr int kUnknownCa = 48;
constexpr int kAccessDenied = 49;
constexpr int kCertificateRequired = 116;

class ClientAuthenticationTest : public TlsTest, public ::testing::WithParamInterface<uint16_t> {
 protected:
  static LeafSpec ClientLeaf(const std::string& common_name = "alice") {
    LeafSpec leaf;
    leaf.common_name = common_name;
    leaf.server_auth = false;
    return leaf;
  }

  std::shared_ptr<const TrustStore> Trust(const std::string& crls = "") {
    auto trust = TrustStore::Create(pki_.ca_pem(), crls);
    EXPECT_TRUE(trust.ok()) << trust.status();
    return *std::move(trust);
  }

  ClientAuthPolicy Policy(ClientCertificate mode, const std::string& crls = "") {
    ClientAuthPolicy policy;
    policy.certificate = mode;
    policy.trust = Trust(crls);
    return policy;
  }

  // Returns a server whose rules `authentication_` can replace.
  std::shared_ptr<const ServerTlsConfig> Server(ClientAuthOptions options) {
    auto authentication = ClientAuthentication::Create(std::move(options));
    EXPECT_TRUE(authentication.ok()) << authentication.status();
    authentication_ = *std::move(authentication);
    return ServerWith(authentication_);
  }

  std::shared_ptr<const ServerTlsConfig> Server(ClientAuthPolicy policy) {
    ClientAuthOptions options;
    options.otherwise = std::move(policy);
    return Server(std::move(options));
  }

  std::shared_ptr<const ServerTlsConfig> ServerWith(
      std::shared_ptr<ClientAuthentication> authentication, const TlsParameters& parameters = {}) {
    ServerTlsOptions options;
    options.parameters = parameters;
    options.certificates = store_;
    options.client_authentication = std::move(authentication);
    options.ticket_keys = ring_;
    options.session_cache = sessions_;
    return MakeServerConfig(std::move(options));
  }

  // Returns the server's result for a client that presents `pair`.
  absl::Status ConnectWith(const PemPair& pair,
                           const std::shared_ptr<const ServerTlsConfig>& server,
                           const char* name = "a.test") {
    ResumingClient client(GetParam());
    UsePem(client.context(), pair);
    const absl::Status status = client.TryConnect(server, loop_, name);
    identity_ = client.info().peer_identity;
    info_ = client.info();
    return status;
  }

  absl::Status ConnectWith(const LeafSpec& leaf, const ClientAuthPolicy& policy) {
    return ConnectWith(pki_.Issue(leaf), Server(policy));
  }

  absl::Status ConnectWithout(const std::shared_ptr<const ServerTlsConfig>& server,
                              const char* name = "a.test") {
    ResumingClient client(GetParam());
    const absl::Status status = client.TryConnect(server, loop_, name);
    identity_ = client.info().peer_identity;
    return status;
  }

  void ExpectRefusal(const absl::Status& status, ErrorCode code, int alert,
                     const std::string& detail) {
    const std::optional<Error> error = GetError(status);
    ASSERT_TRUE(error.has_value()) << status;
    EXPECT_EQ(error->code, code) << status;
    EXPECT_EQ(error->leg, Leg::kFront);
    EXPECT_EQ(error->phase, Phase::kHandshake);
    EXPECT_EQ(AlertOf(status), alert) << status;
    EXPECT_THAT(error->detail, HasSubstr(detail));
    EXPECT_EQ(identity_, nullptr);
  }

  const std::shared_ptr<CertificateStore> store_ =
      MakeStore({LeafFor("a.test"), LeafFor("b.test"), LeafFor("*.c.test")});
  const std::shared_ptr<TicketKeyRing> ring_ = TicketKeyRing::InMemory(absl::Hours(24 * 365));
  const std::shared_ptr<ServerSessionCache> sessions_ = std::make_shared<ServerSessionCache>();
  std::shared_ptr<ClientAuthentication> authentication_;
  std::shared_ptr<const PeerIdentity> identity_;
  TlsInfo info_;
};

TEST_P(ClientAuthenticationTest, ThePresetSetsTheSizesOfClientsKeys) {
  const auto intermediate = Server(Policy(ClientCertificate::kRequired));
  TlsParameters modern = ParametersOf(TlsPreset::kModern);
  modern.min_version = TlsVersion::kTls12;
  modern.min_ec_bits = 384;
  const auto strict = ServerWith(authentication_, modern);
  LeafSpec leaf = ClientLeaf();
  for (const auto& [type, fault] : {std::pair(KeyType::kRsa, "2048 bits, fewer than 3072"),
                                    std::pair(KeyType::kEcdsa, "256 bits, fewer than 384")}) {
    leaf.key_type = type;
    const PemPair pair = pki_.Issue(leaf);
    EXPECT_TRUE(ConnectWith(pair, intermediate).ok());
    ExpectRefusal(ConnectWith(pair, strict), ErrorCode::kCertificateUntrusted, kBadCertificate,
                  fault);
    // Nor does the strict server resume a session of the intermediate preset.
    ResumingClient client(GetParam());
    UsePem(client.context(), pair);
    EXPECT_TRUE(client.TryConnect(intermediate, loop_, "a.test").ok());
    EXPECT_FALSE(client.TryConnect(strict, loop_, "a.test").ok());
  }
}

TEST_P(ClientAuthenticationTest, CaNamesThatDoNotFitAreOmitted) {
  std::string cas = pki_.ca_pem();
  const std::string long_name(60, 'x');
  for (int i = 0; i < 900; ++i) cas += TestPki(loop_.Now(), absl::StrCat(long_name, i)).ca_pem();
  ClientAuthPolicy policy = Policy(ClientCertificate::kRequired);
  EXPECT_TRUE(policy.trust->ca_names_fit());
  policy.trust = *TrustStore::Create(cas);
  EXPECT_FALSE(policy.trust->ca_names_fit());
  EXPECT_TRUE(ConnectWith(ClientLeaf(), policy).ok());
  // One CA many times, as after renewals, is one name.
  cas.clear();
  for (int i = 0; i < 900; ++i) cas += pki_.ca_pem();
  EXPECT_TRUE((*TrustStore::Create(cas))->ca_names_fit());
}

// Each name takes time, so they are counted before any is parsed.
TEST_P(ClientAuthenticationTest, ACertificateWithTooManyNamesIsRejectedUnparsed) {
  LeafSpec leaf = ClientLeaf();
  for (int i = 0; i < 1000; ++i) leaf.dns_names.push_back(absl::StrCat("n", i));
  EXPECT_TRUE(ConnectWith(leaf, Policy(ClientCertificate::kRequired)).ok());
  leaf.dns_names.push_back("one.more");
  const absl::Status status = ConnectWith(leaf, Policy(ClientCertificate::kRequired));
  EXPECT_EQ(CodeOf(status), ErrorCode::kCertificateUntrusted);
  EXPECT_EQ(GetError(status)->detail, "the peer sent a certificate with over 1000 names");
  EXPECT_TRUE(info_.peer_chain.empty());
  EXPECT_EQ(identity_, nullptr);
}

TEST_P(ClientAuthenticationTest, ACertificateThatIsTooLargeIsRejectedUnparsed) {
  LeafSpec leaf = ClientLeaf();
  for (int i = 0; i < 40; ++i) {
    leaf.uri_names.push_back(absl::StrCat("spiffe://a.test/", i, std::string(1000, 'x')));
  }
  const absl::Status status = ConnectWith(leaf, Policy(ClientCertificate::kRequired));
  EXPECT_EQ(CodeOf(status), ErrorCode::kCertificateUntrusted);
  EXPECT_EQ(GetError(status)->detail, "the peer sent a certificate of over 32768 bytes");
  EXPECT_TRUE(info_.peer_chain.empty());
}

TEST_P(ClientAuthenticationTest, ModeNoneRequestsNoCertificate) {
  const auto server = Server(ClientAuthPolicy());
  EXPECT_TRUE(ConnectWithout(server).ok());
  EXPECT_TRUE(ConnectWith(pki_.Issue(ClientLeaf()), server).ok());
  EXPECT_EQ(identity_, nullptr);
}

TEST_P(ClientAuthenticationTest, ModeRequiredRejectsClientsWithoutACertificate) {
  ExpectRefusal(ConnectWithout(Server(Policy(ClientCertificate::kRequired))),
                ErrorCode::kClientCertificateMissing,
                GetParam() == TLS1_2_VERSION ? kHandshakeFailure : kCertificateRequired, "client");
}

TEST_P(ClientAuthenticationTest, TheIdentityIsReadFromTheCertificate) {
  LeafSpec leaf = ClientLeaf("Alice \xc3\x84");
  leaf.dns_names = {"Client.A.test", "x\ny.test"};
  leaf.uri_names = {"spiffe://td.test/ns/prod/alice"};
  leaf.ip_names = {"192.0.2.7", "2001:db8::7"};
  leaf.not_after = loop_.Now() + absl::Hours(3);
  ASSERT_TRUE(ConnectWith(leaf, Policy(ClientCertificate::kRequired)).ok());
  ASSERT_NE(identity_, nullptr);
  EXPECT_EQ(identity_->common_name, "Alice \xc3\x84");
  EXPECT_EQ(identity_->issuer, "CN=Trestle Test CA");
  EXPECT_THAT(identity_->dns_names, ElementsAre("client.a.test"))
      << "names that can't be forwarded unchanged are omitted";
  EXPECT_THAT(identity_->uri_names, ElementsAre("spiffe://td.test/ns/prod/alice"));
  EXPECT_THAT(identity_->ip_names, ElementsAre("192.0.2.7", "2001:db8::7"));
  EXPECT_EQ(identity_->not_after, leaf.not_after);
  EXPECT_FALSE(identity_->resumed);
  EXPECT_EQ(identity_->serial, info_.peer_chain[0].serial);
  EXPECT_NE(identity_->certificate_sha256, (std::array<uint8_t, 32>{}));
  EXPECT_NE(identity_->key_sha256, (std::array<uint8_t, 32>{}));
}

TEST_P(ClientAuthenticationTest, ModeOptionalRejectsInvalidCertificatesOnly) {
  const auto server = Server(Policy(ClientCertificate::kOptional));
  EXPECT_TRUE(ConnectWithout(server).ok());
  EXPECT_EQ(identity_, nullptr);
  EXPECT_TRUE(ConnectWith(pki_.Issue(ClientLeaf()), server).ok());
  EXPECT_NE(identity_, nullptr);
  TestPki stranger(loop_.Now(), "Stranger CA");
  ExpectRefusal(ConnectWith(stranger.Issue(ClientLeaf()), server), ErrorCode::kCertificateUntrusted,
                kUnknownCa, "Stranger CA");
}

TEST_P(ClientAuthenticationTest, InvalidCertificatesAreRejected) {
  const ClientAuthPolicy required = Policy(ClientCertificate::kRequired);
  LeafSpec expired = ClientLeaf();
  expired.not_after = loop_.Now() - absl::Hours(24 * 3);
  ExpectRefusal(ConnectWith(expired, required), ErrorCode::kCertificateExpired, kCertificateExpired,
                "(3 days ago)");
  LeafSpec early = ClientLeaf();
  early.not_before = loop_.Now() + absl::Hours(1);
  ExpectRefusal(ConnectWith(early, required), ErrorCode::kCertificateExpired, kCertificateExpired,
                "not valid before");
  LeafSpec for_servers = ClientLeaf();
  for_servers.server_auth = true;
  ExpectRefusal(ConnectWith(for_servers, required), ErrorCode::kCertificateUntrusted,
                kUnsupportedCertificate, "purpose");
  LeafSpec self_signed = ClientLeaf();
  self_signed.self_signed = true;
  ExpectRefusal(ConnectWith(self_signed, required), ErrorCode::kCertificateUntrusted, kUnknownCa,
                "self-signed");
  LeafSpec weak = ClientLeaf();
  weak.key_type = KeyType::kRsa;
  weak.rsa_bits = 1024;
  ExpectRefusal(ConnectWith(weak, required), ErrorCode::kCertificateUntrusted, kBadCertificate,
                "1024 bits");
}

TEST_P(ClientAuthenticationTest, GarbageInTheChainIsRejected) {
  const PemPair pair = pki_.Issue(ClientLeaf());
  bssl::UniquePtr<BIO> chain(BIO_new_mem_buf(pair.chain.data(), -1));
  bssl::UniquePtr<X509> leaf(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
  bssl::UniquePtr<BIO> text(BIO_new_mem_buf(pair.key.data(), -1));
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(text.get(), nullptr, nullptr, nullptr));
  uint8_t* der = nullptr;
  const int der_bytes = i2d_X509(leaf.get(), &der);
  bssl::UniquePtr<uint8_t> owner(der);
  const uint8_t garbage[] = {1, 2, 3};
  bssl::UniquePtr<CRYPTO_BUFFER> head(
      CRYPTO_BUFFER_new(der, static_cast<size_t>(der_bytes), nullptr));
  bssl::UniquePtr<CRYPTO_BUFFER> tail(CRYPTO_BUFFER_new(garbage, sizeof(garbage), nullptr));
  CRYPTO_BUFFER* buffers[] = {head.get(), tail.get()};
  ResumingClient client(GetParam());
  ASSERT_TRUE(SSL_CTX_set_chain_and_key(client.context(), buffers, 2, key.get(), nullptr));
  ExpectRefusal(client.TryConnect(Server(Policy(ClientCertificate::kRequired)), loop_, "a.test"),
                ErrorCode::kCertificateUntrusted, kBadCertificate, "doesn't parse");
}

TEST_P(ClientAuthenticationTest, TheDepthIsLimited) {
  TestPki upper(pki_, "Upper");
  TestPki lower(upper, "Lower");
  ClientAuthPolicy policy = Policy(ClientCertificate::kRequired);
  policy.max_intermediates = 2;
  EXPECT_TRUE(ConnectWith(lower.Issue(ClientLeaf()), Server(policy)).ok());
  policy.max_intermediates = 1;
  EXPECT_TRUE(ConnectWith(upper.Issue(ClientLeaf()), Server(policy)).ok());
  ExpectRefusal(ConnectWith(lower.Issue(ClientLeaf()), Server(policy)),
                ErrorCode::kCertificateUntrusted, kUnknownCa,
                "\"CN=Upper\" is one intermediate too many: at most 1");
}

TEST_P(ClientAuthenticationTest, RevokedCertificatesAreRejected) {
  const PemPair good = pki_.Issue(ClientLeaf("good"));
  const PemPair bad = pki_.Issue(ClientLeaf("bad"));
  const auto server = Server(Policy(ClientCertificate::kRequired, pki_.IssueCrl({bad})));
  EXPECT_TRUE(ConnectWith(good, server).ok());
  ExpectRefusal(ConnectWith(bad, server), ErrorCode::kCertificateUntrusted, kCertificateRevoked,
                "revoked");
}

TEST_P(ClientAuthenticationTest, WithoutAValidListNoClientIsAccepted) {
  const std::string crl = pki_.IssueCrl({}, loop_.Now() + absl::Hours(1));
  const auto server = Server(Policy(ClientCertificate::kRequired, crl));
  EXPECT_TRUE(ConnectWith(pki_.Issue(ClientLeaf()), server).ok());
  // An intermediate CA without a list.
  TestPki intermediate(pki_, "Intermediate");
  ExpectRefusal(ConnectWith(intermediate.Issue(ClientLeaf()), server),
                ErrorCode::kCertificateUntrusted, kCertificateUnknown,
                "there is no revocation list");
  loop_.RunFor(absl::Hours(2));
  ExpectRefusal(ConnectWith(pki_.Issue(ClientLeaf()), server), ErrorCode::kCertificateUntrusted,
                kCertificateUnknown, "the revocation list of its issuer has expired");
}

TEST_P(ClientAuthenticationTest, AllowedNamesMatchTheirOwnKindOnly) {
  ClientAuthPolicy policy = Policy(ClientCertificate::kRequired);
  policy.allowed.dns_names = {"one.test", "*.many.test"};
  policy.allowed.uri_names = {"spiffe://td.test/exact", "spiffe://td.test/ns/*"};
  const auto server = Server(policy);
  const auto allowed = [&](std::vector<std::string> dns, std::vector<std::string> uris) {
    LeafSpec leaf = ClientLeaf("one.test");
    leaf.dns_names = std::move(dns);
    leaf.uri_names = std::move(uris);
    return ConnectWith(pki_.Issue(leaf), server).ok();
  };
  EXPECT_TRUE(allowed({"ONE.test"}, {}));
  EXPECT_TRUE(allowed({"other.test", "x.many.test"}, {}));
  EXPECT_TRUE(allowed({}, {"spiffe://td.test/exact"}));
  EXPECT_TRUE(allowed({}, {"spiffe://td.test/ns/a/b"}));
  EXPECT_FALSE(allowed({}, {})) << "a common name does not count";
  EXPECT_FALSE(allowed({"many.test"}, {}));
  EXPECT_FALSE(allowed({"x.y.many.test"}, {}));
  EXPECT_FALSE(allowed({"*.many.test"}, {})) << "a wildcard names no client";
  EXPECT_FALSE(allowed({}, {"one.test"})) << "a URI is no DNS name (CVE-2022-21656)";
  EXPECT_FALSE(allowed({"spiffe://td.test/exact"}, {}));
  EXPECT_FALSE(allowed({}, {"spiffe://td.test/exact/more"}));
  EXPECT_FALSE(allowed({}, {"spiffe://td.test/ns/"}));
  EXPECT_FALSE(allowed({}, {"spiffe://td.test/ns/../admin"}));
  ExpectRefusal(ConnectWith(pki_.Issue(ClientLeaf()), server), ErrorCode::kCertificateUntrusted,
                kAccessDenied, "neither its names nor its key are allowed");
}

TEST_P(ClientAuthenticationTest, AllowedKeysMatchRenewedCertificates) {
  const PemPair pair = pki_.Issue(ClientLeaf());
  ClientAuthPolicy policy = Policy(ClientCertificate::kRequired);
  ASSERT_TRUE(ConnectWith(pair, Server(policy)).ok());
  policy.allowed.key_sha256 = {identity_->key_sha256};
  EXPECT_TRUE(ConnectWith(pair, Server(policy)).ok());
  EXPECT_FALSE(ConnectWith(pki_.Issue(ClientLeaf()), Server(policy)).ok());
}

TEST_P(ClientAuthenticationTest, PoliciesDependOnTheServerName) {
  ClientAuthOptions options;
  options.otherwise = Policy(ClientCertificate::kRequired);
  options.by_name = {{"a.test", Policy(ClientCertificate::kRequired)},
                     {"b.test", ClientAuthPolicy()},
                     {"*.c.test", Policy(ClientCertificate::kOptional)},
                     {"**.test", Policy(ClientCertificate::kRequired)}};
  const auto server = Server(options);
  // Neither case nor a trailing dot bypasses the policy (CVE-2026-53622).
  for (const char* name : {"a.test", "A.TEST", "a.test.", "d.test", "x.y.test", "elsewhere"}) {
    EXPECT_EQ(CodeOf(ConnectWithout(server, name)), ErrorCode::kClientCertificateMissing) << name;
  }
  for (const char* name : {"b.test", "B.Test", "x.c.test"}) {
    EXPECT_TRUE(ConnectWithout(server, name).ok()) << name;
  }
  EXPECT_EQ(CodeOf(ConnectWithout(server, nullptr)), ErrorCode::kClientCertificateMissing);
}

TEST_P(ClientAuthenticationTest, ReplacedRulesApplyFromThenOn) {
  const auto server = Server(Policy(ClientCertificate::kRequired));
  EXPECT_FALSE(ConnectWithout(server).ok());
  ASSERT_TRUE(authentication_->Replace({}).ok());
  EXPECT_TRUE(ConnectWithout(server).ok());
  ClientAuthOptions bad;
  bad.otherwise.certificate = ClientCertificate::kRequired;
  EXPECT_EQ(CodeOf(authentication_->Replace(bad)), ErrorCode::kConfiguration);
  EXPECT_TRUE(ConnectWithout(server).ok()) << "the old rules remain";
}

// ---- Resumption: the same checks again ----

class ClientResumptionTest : public ClientAuthenticationTest {
 protected:
  ClientResumptionTest() { UsePem(client_.context(), pair_); }

  bool Resumes(const std::shared_ptr<const ServerTlsConfig>& server, const char* name = "a.test") {
    return client_.Connect(server, loop_, name);
  }

  LeafSpec ShortLived() {
    LeafSpec leaf = ClientLeaf();
    leaf.not_after = loop_.Now() + absl::Minutes(90);
    return leaf;
  }

  std::array<uint8_t, 32> KeyDigest() {
    EXPECT_TRUE(ConnectWith(pair_, Server(Policy(ClientCertificate::kRequired))).ok());
    return identity_->key_sha256;
  }

  const PemPair pair_ = pki_.Issue(ShortLived());
  ResumingClient client_{GetParam()};
};

TEST_P(ClientResumptionTest, TheIdentityIsResumed) {
  const auto server = Server(Policy(ClientCertificate::kRequired));
  EXPECT_FALSE(Resumes(server));
  EXPECT_TRUE(Resumes(server));
  ASSERT_NE(client_.info().peer_identity, nullptr);
  EXPECT_EQ(client_.info().peer_identity->common_name, "alice");
  EXPECT_TRUE(client_.info().peer_identity->resumed);
  EXPECT_EQ(client_.info().peer_chain.size(), 1u);
}

TEST_P(ClientResumptionTest, AnExpiredCertificateDoesNotResume) {
  const auto server = Server(Policy(ClientCertificate::kRequired));
  EXPECT_FALSE(Resumes(server));
  loop_.RunFor(absl::Minutes(80));
  EXPECT_TRUE(Resumes(server));
  loop_.RunFor(absl::Minutes(20));
  ExpectRefusal(client_.TryConnect(server, loop_, "a.test"), ErrorCode::kCertificateExpired,
                kCertificateExpired, "expired on");
}

TEST_P(ClientResumptionTest, ARevokedCertificateDoesNotResume) {
  const auto server = Server(Policy(ClientCertificate::kRequired, pki_.IssueCrl({})));
  EXPECT_FALSE(Resumes(server));
  EXPECT_TRUE(Resumes(server));
  ClientAuthOptions options;
  options.otherwise = Policy(ClientCertificate::kRequired, pki_.IssueCrl({pair_}));
  ASSERT_TRUE(authentication_->Replace(options).ok());
  ExpectRefusal(client_.TryConnect(server, loop_, "a.test"), ErrorCode::kCertificateUntrusted,
                kCertificateRevoked, "revoked");
}

// haproxy 4a8f76220, 5d5f12376, 9f1d59099 and nginx CVE-2025-23419. A session made under one mode,
// CA set, list or name is not resumed under another, with the same ticket keys.
TEST_P(ClientResumptionTest, NoSessionCrossesPolicies) {
  const ClientAuthPolicy base = Policy(ClientCertificate::kRequired);
  ClientAuthPolicy optional = base;
  optional.certificate = ClientCertificate::kOptional;
  TestPki other(loop_.Now(), "Other CA");
  ClientAuthPolicy more_cas = base;
  more_cas.trust = *TrustStore::Create(pki_.ca_pem() + other.ca_pem());
  ClientAuthPolicy shallow = base;
  shallow.max_intermediates = 0;
  ClientAuthPolicy listed = base;
  listed.allowed.dns_names = {"x.test"};
  listed.allowed.key_sha256 = {KeyDigest()};
  std::vector<std::shared_ptr<const ServerTlsConfig>> servers;
  for (const ClientAuthPolicy& policy :
       {ClientAuthPolicy(), base, optional, more_cas, shallow, listed}) {
    servers.push_back(Server(policy));
  }
  servers.push_back(ServerWith(nullptr));
  for (size_t from = 0; from < servers.size(); ++from) {
    for (size_t to = 0; to < servers.size(); ++to) {
      client_.ForgetAll();
      EXPECT_FALSE(Resumes(servers[from]));
      const bool same = from == to || (from == 0 && to == 6) || (from == 6 && to == 0);
      EXPECT_EQ(Resumes(servers[to]), same) << from << " to " << to;
    }
  }
}

TEST_P(ClientResumptionTest, NoSessionCrossesNames) {
  ClientAuthOptions options;
  options.by_name = {{"a.test", Policy(ClientCertificate::kRequired)}};
  const auto server = Server(options);
  // The session of the unprotected name, offered for the protected one.
  EXPECT_FALSE(Resumes(server, "b.test"));
  EXPECT_EQ(client_.info().peer_identity, nullptr);
  EXPECT_FALSE(Resumes(server, "a.test"));
  EXPECT_NE(client_.info().peer_identity, nullptr);
  // The same by a client without any certificate.
  ResumingClient bare(GetParam());
  EXPECT_FALSE(bare.Connect(server, loop_, "b.test"));
  EXPECT_EQ(CodeOf(bare.TryConnect(server, loop_, "a.test")), ErrorCode::kClientCertificateMissing);
}

TEST_P(ClientResumptionTest, AClientWithoutACertificateGainsNoIdentity) {
  const auto server = Server(Policy(ClientCertificate::kOptional));
  ResumingClient bare(GetParam());
  EXPECT_FALSE(bare.Connect(server, loop_, "a.test"));
  EXPECT_TRUE(bare.Connect(server, loop_, "a.test"));
  EXPECT_EQ(bare.info().peer_identity, nullptr);
}

TEST_P(ClientResumptionTest, AChainTooLongForAHelloMakesNoTicket) {
  LeafSpec leaf = ClientLeaf();
  for (int i = 0; i < 500; ++i) leaf.dns_names.push_back(absl::StrCat("a-long-name-", i, ".test"));
  ResumingClient client(GetParam());
  UsePem(client.context(), pki_.Issue(leaf));
  const auto server = Server(Policy(ClientCertificate::kRequired));
  EXPECT_FALSE(client.Connect(server, loop_, "a.test"));
  EXPECT_EQ(client.Connect(server, loop_, "a.test"), GetParam() == kTls12WithoutTickets);
}

INSTANTIATE_TEST_SUITE_P(Versions, ClientAuthenticationTest,
                         ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION), VersionName);
INSTANTIATE_TEST_SUITE_P(Versions, ClientResumptionTest, WaysToResume(), VersionName);

}  // namespace
}  // namespace trestle::testing
