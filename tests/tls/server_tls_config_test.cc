#include "trestle/tls/server_tls_config.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/client_tls_target.h"
#include "trestle/tls/tls_parameters.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kUnrecognizedName = 112;
constexpr int kHandshakeFailure = 40;
constexpr int kProtocolVersion = 70;
constexpr int kNoApplicationProtocol = 120;

std::string DetailOf(const absl::Status& status) {
  std::optional<Error> error = GetError(status);
  return error.has_value() ? error->detail : "no Error";
}

class ServerTlsConfigTest : public TlsTest {
 protected:
  // Returns the error of a server with `options` for a client with `context`.
  absl::Status ServerFailure(ServerTlsOptions options, SSL_CTX* context,
                             const char* server_name = "a.test") {
    std::unique_ptr<TlsEngine> server = MakeServer(std::move(options));
    RawPeer client(context, /*is_server=*/false);
    if (server_name != nullptr) SSL_set_tlsext_host_name(client.ssl(), server_name);
    client.Handshake(*server);
    EXPECT_FALSE(server->handshake_done());
    return server->status();
  }

  // Returns the certificate that a client with `context` receives for `server_name`.
  CertificateInfo Shown(const std::shared_ptr<const ServerTlsConfig>& config, SSL_CTX* context,
                        const char* server_name) {
    std::unique_ptr<TlsEngine> server = TlsEngine::NewServer(config, loop_, Leg::kFront);
    RawPeer client(context, /*is_server=*/false);
    if (server_name != nullptr) SSL_set_tlsext_host_name(client.ssl(), server_name);
    client.Handshake(*server);
    EXPECT_TRUE(server->handshake_done()) << server->status();
    if (server->info().local_chain.empty()) return {};
    return server->info().local_chain.front();
  }

  bssl::UniquePtr<SSL_CTX> raw_ = MakeRawContext();
};

TEST_F(ServerTlsConfigTest, ConnectionsShareTheDescriptionOfACredential) {
  const auto credential = pki_.IssueCredential(LeafFor("a.test"));
  ServerTlsOptions options;
  options.certificates = *CertificateStore::Create({credential}, loop_.Now());
  EnginePair pair = MakePair(std::move(options));
  pair.Handshake();
  ASSERT_EQ(pair.server->info().local_chain.size(), 1u);
  EXPECT_EQ(pair.server->info().local_chain.begin(), credential->chain().begin());
  const TlsInfo copy = pair.client->info();
  ASSERT_EQ(copy.peer_chain.size(), 1u);
  EXPECT_EQ(copy.peer_chain.begin(), pair.client->info().peer_chain.begin());
}

TEST_F(ServerTlsConfigTest, RejectsContradictingOptions) {
  EXPECT_THAT(DetailOf(ServerTlsConfig::Create({}).status()), HasSubstr("certificate store"));
  ServerTlsOptions good;
  good.certificates = MakeStore({LeafFor("a.test")});

  ServerTlsOptions bad = good;
  bad.parameters.min_version = TlsVersion::kTls13;
  bad.parameters.max_version = TlsVersion::kTls12;
  EXPECT_THAT(DetailOf(ServerTlsConfig::Create(bad).status()), HasSubstr("lowest TLS version"));
  bad = good;
  bad.parameters.groups = {};
  EXPECT_THAT(DetailOf(ServerTlsConfig::Create(bad).status()), HasSubstr("no key exchange"));
  bad.parameters.groups = {TlsGroup::kP256, TlsGroup::kX25519, TlsGroup::kP256};
  EXPECT_THAT(DetailOf(ServerTlsConfig::Create(bad).status()), HasSubstr("twice"));
  bad.parameters.groups = {TlsGroup::kX25519MlKem768};
  EXPECT_THAT(DetailOf(ServerTlsConfig::Create(bad).status()), HasSubstr("TLS 1.2 needs"));
  bad = good;
  for (const std::vector<std::string>& alpn :
       {std::vector<std::string>{""}, {std::string(256, 'x')}, {"h2", "h2"}}) {
    bad.alpn = alpn;
    EXPECT_EQ(CodeOf(ServerTlsConfig::Create(bad).status()), ErrorCode::kConfiguration);
  }
}

TEST_F(ServerTlsConfigTest, PrefersThePostQuantumGroupThenTheClientsChoice) {
  EnginePair pair = MakePair();
  pair.Handshake();
  EXPECT_EQ(pair.server->info().group, "X25519MLKEM768");

  ASSERT_TRUE(SSL_CTX_set1_groups_list(raw_.get(), "P-256:X25519"));
  std::unique_ptr<TlsEngine> server = MakeServer();
  RawPeer client(raw_.get(), /*is_server=*/false);
  client.Handshake(*server);
  ASSERT_TRUE(server->handshake_done()) << server->status();
  // The server's order counts, even at the price of a HelloRetryRequest.
  EXPECT_EQ(server->info().group, "X25519");
}

TEST_F(ServerTlsConfigTest, RejectsOldVersionsCiphersAndGroups) {
  SSL_CTX_set_min_proto_version(raw_.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(raw_.get(), TLS1_1_VERSION);
  absl::Status status = ServerFailure({}, raw_.get());
  EXPECT_EQ(CodeOf(status), ErrorCode::kNoCommonParameters);
  EXPECT_EQ(AlertOf(status), kProtocolVersion);

  for (const char* ciphers : {"ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256"}) {
    raw_ = MakeRawContext();
    SSL_CTX_set_max_proto_version(raw_.get(), TLS1_2_VERSION);
    ASSERT_TRUE(SSL_CTX_set_strict_cipher_list(raw_.get(), ciphers));
    status = ServerFailure({}, raw_.get());
    EXPECT_EQ(CodeOf(status), ErrorCode::kNoCommonParameters) << ciphers;
    EXPECT_EQ(AlertOf(status), kHandshakeFailure);
  }

  for (uint16_t version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    raw_ = MakeRawContext();
    SSL_CTX_set_max_proto_version(raw_.get(), version);
    ASSERT_TRUE(SSL_CTX_set1_groups_list(raw_.get(), "P-384"));
    ServerTlsOptions options;
    options.parameters.groups = {TlsGroup::kX25519, TlsGroup::kP256, TlsGroup::kP521};
    EXPECT_EQ(CodeOf(ServerFailure(std::move(options), raw_.get())),
              ErrorCode::kNoCommonParameters);
  }

  raw_ = MakeRawContext();
  const uint16_t rsa_only[] = {SSL_SIGN_RSA_PSS_RSAE_SHA256};
  ASSERT_TRUE(SSL_CTX_set_verify_algorithm_prefs(raw_.get(), rsa_only, 1));
  EXPECT_EQ(CodeOf(ServerFailure({}, raw_.get())), ErrorCode::kNoCommonParameters);
}

TEST_F(ServerTlsConfigTest, TheClientGetsAnAlertIfNothingIsInCommon) {
  ServerTlsOptions server;
  server.parameters = Only(TlsVersion::kTls13);
  ClientTlsOptions client;
  client.parameters = Only(TlsVersion::kTls12);
  EnginePair pair = MakePair(std::move(server), std::move(client));
  pair.Handshake();
  EXPECT_EQ(CodeOf(pair.server->status()), ErrorCode::kNoCommonParameters);
  EXPECT_EQ(CodeOf(pair.client->status()), ErrorCode::kPeerAlert);
  EXPECT_EQ(AlertOf(pair.client->status()), kProtocolVersion);
}

TEST_F(ServerTlsConfigTest, ChoosesTheCertificateByNameAndKeyType) {
  ServerTlsOptions options;
  options.certificates =
      MakeStore({LeafFor("a.test", KeyType::kRsa), LeafFor("a.test"), LeafFor("*.wild.test")});
  const auto config = MakeServerConfig(std::move(options));
  EXPECT_EQ(Shown(config, raw_.get(), "a.test").key, "ECDSA P-256");
  EXPECT_EQ(Shown(config, raw_.get(), "A.TEST.").subject, "CN=a.test");
  EXPECT_EQ(Shown(config, raw_.get(), "x.wild.test").subject, "CN=*.wild.test");
  EXPECT_EQ(Shown(config, raw_.get(), "x.y.wild.test").subject, "CN=a.test");
  EXPECT_EQ(Shown(config, raw_.get(), "unknown.test").subject, "CN=a.test");
  EXPECT_EQ(Shown(config, raw_.get(), nullptr).subject, "CN=a.test");

  for (uint16_t version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    bssl::UniquePtr<SSL_CTX> old = MakeRawContext();
    SSL_CTX_set_max_proto_version(old.get(), version);
    const uint16_t rsa_only[] = {SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PKCS1_SHA256};
    ASSERT_TRUE(SSL_CTX_set_verify_algorithm_prefs(old.get(), rsa_only, 2));
    EXPECT_EQ(Shown(config, old.get(), "a.test").key, "RSA 2048");
  }
}

TEST_F(ServerTlsConfigTest, RejectsUnknownNamesIfConfigured) {
  ServerTlsOptions options;
  options.certificates = MakeStore({LeafFor("a.test"), LeafFor("*.wild.test")});
  options.unknown_name = UnknownName::kRefuse;
  for (const char* name : {"b.test", "wild.test", "x.y.wild.test", "test"}) {
    const absl::Status status = ServerFailure(options, raw_.get(), name);
    EXPECT_EQ(CodeOf(status), ErrorCode::kNoCertificate) << name;
    EXPECT_EQ(AlertOf(status), kUnrecognizedName) << name;
    EXPECT_EQ(DetailOf(status), absl::StrCat("no certificate for \"", name, "\""));
  }
  EXPECT_EQ(Shown(MakeServerConfig(options), raw_.get(), nullptr).subject, "CN=a.test");

  EnginePair pair = MakePair(options, {}, {"b.test", {}});
  pair.Handshake();
  EXPECT_EQ(CodeOf(pair.client->status()), ErrorCode::kPeerAlert);
  EXPECT_EQ(AlertOf(pair.client->status()), kUnrecognizedName);
}

TEST_F(ServerTlsConfigTest, RejectsInvalidNames) {
  for (const char* name : {"127.0.1", "[::1]", "a..test", "-a.test", "a b.test", "a.test:443",
                           "*.wild.test", ".a.test", "\xc3\xa9.test", "a\x1b[31m.test"}) {
    const absl::Status status = ServerFailure({}, raw_.get(), name);
    EXPECT_EQ(CodeOf(status), ErrorCode::kMalformedHello) << name;
    EXPECT_EQ(AlertOf(status), kUnrecognizedName) << name;
    EXPECT_EQ(DetailOf(status).find('\x1b'), std::string::npos);
  }
}

TEST_F(ServerTlsConfigTest, AnAddressAsANameIsReplacedByTheConnectionsAddress) {
  LeafSpec address;
  address.ip_names = {"192.0.2.7", "2001:db8::7"};
  ServerTlsOptions options;
  options.certificates = MakeStore({LeafFor("a.test"), address});
  options.unknown_name = UnknownName::kRefuse;
  const auto config = MakeServerConfig(std::move(options));
  const auto shown = [&](const char* name, absl::string_view local) {
    std::unique_ptr<TlsEngine> server = TlsEngine::NewServer(config, loop_, Leg::kFront);
    server->SetLocalAddress(*Endpoint::Parse(local));
    RawPeer client(raw_.get(), /*is_server=*/false);
    if (name != nullptr) SSL_set_tlsext_host_name(client.ssl(), name);
    client.Handshake(*server);
    EXPECT_TRUE(server->handshake_done()) << server->status();
    EXPECT_EQ(server->info().server_name, name == nullptr || *name != 'a' ? "" : name);
    return CertificateName(server->info().local_chain.front());
  };
  EXPECT_EQ(shown(nullptr, "192.0.2.7:443"), "192.0.2.7");
  EXPECT_EQ(shown(nullptr, "[2001:db8::7]:443"), "192.0.2.7");
  EXPECT_EQ(shown(nullptr, "192.0.2.8:443"), "a.test") << "the fallback";
  EXPECT_EQ(shown("192.0.2.7", "192.0.2.7:443"), "192.0.2.7");
  EXPECT_EQ(shown("2001:db8::7", "192.0.2.7:443"), "192.0.2.7");
  EXPECT_EQ(shown("192.0.2.7", "192.0.2.8:443"), "a.test") << "the client's claim doesn't count";
  EXPECT_EQ(shown("a.test", "192.0.2.7:443"), "a.test");
}

TEST_F(ServerTlsConfigTest, AUriOnlyCertificateServesUncoveredNames) {
  LeafSpec svid;
  svid.uri_names = {"spiffe://example.test/front"};
  ServerTlsOptions options;
  options.certificates = MakeStore({LeafFor("a.test"), svid});
  options.unknown_name = UnknownName::kRefuse;
  ClientTlsTarget target{"front.internal.test", {}};
  target.verify_name = "spiffe://example.test/front";
  EnginePair pair = MakePair(options, {}, target);
  pair.Handshake();
  EXPECT_TRUE(pair.client->handshake_done()) << pair.client->status();
  EXPECT_EQ(CertificateName(pair.server->info().local_chain.front()),
            "spiffe://example.test/front");
  EXPECT_EQ(Shown(MakeServerConfig(options), raw_.get(), "a.test").subject, "CN=a.test");
}

TEST_F(ServerTlsConfigTest, NewCertificatesServeNewConnections) {
  ServerTlsOptions options;
  options.certificates = MakeStore({LeafFor("a.test")});
  const std::shared_ptr<CertificateStore> store = options.certificates;
  const auto config = MakeServerConfig(std::move(options));
  const CertificateInfo before = Shown(config, raw_.get(), "a.test");
  EXPECT_EQ(Shown(config, raw_.get(), "a.test").serial, before.serial);

  // A handshake that is pending during the change continues with the earlier set.
  std::unique_ptr<TlsEngine> server = TlsEngine::NewServer(config, loop_, Leg::kFront);
  RawPeer client(raw_.get(), /*is_server=*/false);
  client.Handshake();
  client.Carry(*server);
  server->Handshake();
  ASSERT_TRUE(store->Replace({pki_.IssueCredential(LeafFor("a.test"))}, loop_.Now()).ok());
  client.Handshake(*server);
  EXPECT_EQ(server->info().local_chain[0].serial, before.serial);

  EXPECT_NE(Shown(config, raw_.get(), "a.test").serial, before.serial);
}

TEST_F(ServerTlsConfigTest, ACertificateThatExpiresInServiceIsNotPreferred) {
  LeafSpec soon = LeafFor("a.test");
  soon.not_after = loop_.Now() + absl::Hours(24);
  ServerTlsOptions options;
  options.certificates = MakeStore({soon, LeafFor("a.test", KeyType::kRsa)});
  const auto config = MakeServerConfig(std::move(options));
  EXPECT_EQ(Shown(config, raw_.get(), "a.test").key, "ECDSA P-256");
  loop_.RunFor(absl::Hours(25));
  EXPECT_EQ(Shown(config, raw_.get(), "a.test").key, "RSA 2048");
  loop_.RunFor(absl::Hours(24 * 400));
  // No certificate is valid any more: the client receives an expired one, and reports that.
  EXPECT_EQ(Shown(config, raw_.get(), "a.test").key, "ECDSA P-256");
}

struct AlpnCase {
  std::vector<std::string> served;
  std::vector<std::string> offered;
  std::string chosen;  // "!" for a failure.
};

TEST_F(ServerTlsConfigTest, NegotiatesApplicationProtocols) {
  const std::vector<AlpnCase> cases = {
      {{"h2", "http/1.1"}, {"http/1.1", "h2"}, "h2"},
      {{"h2", "http/1.1"}, {"http/1.1"}, "http/1.1"},
      {{"h2"}, {}, ""},
      {{}, {}, ""},
      {{"h2"}, {"http/1.1"}, "!server"},
      {{"h2"}, {"h"}, "!server"},
      {{}, {"h2"}, "!client"},
  };
  for (TlsVersion version : {TlsVersion::kTls12, TlsVersion::kTls13}) {
    for (const AlpnCase& alpn : cases) {
      ServerTlsOptions options;
      options.parameters = Only(version);
      options.alpn = alpn.served;
      EnginePair pair = MakePair(std::move(options), {}, {"a.test", alpn.offered});
      pair.Handshake();
      const bool by_server = alpn.chosen == "!server";
      const bool by_client = alpn.chosen == "!client";
      if (!by_server && !by_client) {
        EXPECT_TRUE(pair.client->handshake_done()) << pair.client->status();
        EXPECT_EQ(pair.client->info().alpn, alpn.chosen);
        EXPECT_EQ(pair.server->info().alpn, alpn.chosen);
        continue;
      }
      TlsEngine& refusing = by_server ? *pair.server : *pair.client;
      TlsEngine& refused = by_server ? *pair.client : *pair.server;
      EXPECT_EQ(CodeOf(refusing.status()), ErrorCode::kAlpnMismatch);
      EXPECT_EQ(AlertOf(refusing.status()), kNoApplicationProtocol);
      if (by_server) {
        EXPECT_THAT(DetailOf(refusing.status()), HasSubstr("served here: \"h2\""));
      }
      // The server's handshake is complete when the client rejects; the server gets the alert as it
      // reads.
      ReadAll(refused);
      EXPECT_EQ(CodeOf(refused.status()), ErrorCode::kPeerAlert);
      EXPECT_EQ(AlertOf(refused.status()), kNoApplicationProtocol);
    }
  }
}

}  // namespace
}  // namespace trestle::testing
