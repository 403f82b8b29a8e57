// Sessions that clients resume: for which targets, for how long, and when they must not be resumed.
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/base/endpoint.h"
#include "trestle/tls/client_session_cache.h"

namespace trestle::testing {
namespace {

class ClientResumptionTest : public TlsTest, public ::testing::WithParamInterface<TlsVersion> {
 protected:
  ClientResumptionTest() {
    SSL_CTX_set_min_proto_version(lax_.get(), NativeVersion());
    SSL_CTX_set_max_proto_version(lax_.get(), NativeVersion());
    LeafSpec leaf = LeafFor("a.test");
    leaf.dns_names.push_back("b.test");
    UsePem(lax_.get(), pki_.Issue(leaf));
  }

  static uint16_t NativeVersion() {
    return GetParam() == TlsVersion::kTls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
  }

  ClientTlsTarget Target(const std::string& name = "a.test") {
    ClientTlsTarget target;
    target.server_name = name;
    target.endpoint = *Endpoint::Parse("192.0.2.1:443");
    target.sessions = &cache_;
    return target;
  }

  std::unique_ptr<TlsEngine> NewClient(const ClientTlsTarget& target) {
    auto client = TlsEngine::NewClient(config_, target, loop_, Leg::kBack);
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  // Makes the handshake with a server that resumes every session for which it has keys, under any
  // name, and reads the tickets. Returns the client's view.
  TlsInfo Join(TlsEngine& client) {
    RawPeer server(lax_.get(), /*is_server=*/true);
    server.Handshake(client);
    EXPECT_TRUE(client.handshake_done()) << client.status();
    if (!client.handshake_done()) return {};
    server.Write("tickets go first");
    server.Carry(client);
    EXPECT_EQ(ReadAll(client), "tickets go first");
    EXPECT_EQ(SSL_session_reused(server.ssl()) == 1, client.info().resumed);
    return client.info();
  }

  TlsInfo Connect(const ClientTlsTarget& target) { return Join(*NewClient(target)); }
  bool Resumes(const ClientTlsTarget& target) { return Connect(target).resumed; }

  bssl::UniquePtr<SSL_CTX> lax_ = MakeRawContext();
  std::shared_ptr<const ClientTlsConfig> config_ = MakeClientConfig();
  ClientSessionCache cache_;
};

TEST_P(ClientResumptionTest, ResumesAndReportsIt) {
  const TlsInfo first = Connect(Target());
  EXPECT_FALSE(first.resumed);
  EXPECT_GT(cache_.sessions(), 0u);
  EXPECT_EQ(cache_.targets(), 1u);
  const TlsInfo second = Connect(Target());
  EXPECT_TRUE(second.resumed);
  EXPECT_EQ(second.server_name, "a.test");
  ASSERT_EQ(second.peer_chain.size(), 1u);
  EXPECT_EQ(second.peer_chain[0].serial, first.peer_chain[0].serial);
  EXPECT_EQ(second.peer_chain[0].not_after, first.peer_chain[0].not_after);
}

TEST_P(ClientResumptionTest, WorksForManyConnectionsInARow) {
  EXPECT_FALSE(Resumes(Target()));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Resumes(Target())) << i;
}

TEST_P(ClientResumptionTest, NothingIsKeptWithoutACache) {
  ClientTlsTarget target = Target();
  target.sessions = nullptr;
  EXPECT_FALSE(Resumes(target));
  EXPECT_FALSE(Resumes(target));
  EXPECT_FALSE(Resumes(Target()));
}

// Envoy #46243: one cache for all names of an endpoint. The session of one was offered for another.
TEST_P(ClientResumptionTest, DoesNotCrossNames) {
  EXPECT_FALSE(Resumes(Target("a.test")));
  EXPECT_FALSE(Resumes(Target("b.test")));
  EXPECT_TRUE(Resumes(Target("a.test")));
  EXPECT_TRUE(Resumes(Target("b.test")));
  EXPECT_TRUE(Resumes(Target("B.TEST.")));
}

TEST_P(ClientResumptionTest, DoesNotCrossEndpoints) {
  ClientTlsTarget other_address = Target();
  other_address.endpoint = *Endpoint::Parse("192.0.2.2:443");
  ClientTlsTarget other_port = Target();
  other_port.endpoint = *Endpoint::Parse("192.0.2.1:444");
  EXPECT_FALSE(Resumes(Target()));
  EXPECT_FALSE(Resumes(other_address));
  EXPECT_FALSE(Resumes(other_port));
  EXPECT_TRUE(Resumes(Target()));
}

TEST_P(ClientResumptionTest, DoesNotCrossProtocols) {
  SSL_CTX_set_alpn_select_cb(
      lax_.get(),
      [](SSL*, const uint8_t** out, uint8_t* out_bytes, const uint8_t* in, unsigned, void*) {
        *out = in + 1;
        *out_bytes = in[0];
        return SSL_TLSEXT_ERR_OK;
      },
      nullptr);
  ClientTlsTarget h2 = Target();
  h2.alpn = {"h2"};
  ClientTlsTarget both = Target();
  both.alpn = {"h2", "http/1.1"};
  EXPECT_FALSE(Resumes(Target()));
  EXPECT_FALSE(Resumes(h2));
  EXPECT_FALSE(Resumes(both));
  EXPECT_TRUE(Resumes(h2));
  EXPECT_EQ(Connect(both).alpn, "h2");
}

TEST_P(ClientResumptionTest, DoesNotCrossPolicies) {
  TestPki other(loop_.Now(), "Other CA");
  const auto strict = config_;
  EXPECT_FALSE(Resumes(Target()));

  ClientTlsOptions more_roots;
  more_roots.ca_pem = pki_.ca_pem() + other.ca_pem();
  config_ = MakeClientConfig(more_roots);
  EXPECT_FALSE(Resumes(Target()));

  ClientTlsOptions one_version;
  one_version.parameters = Only(GetParam());
  config_ = MakeClientConfig(one_version);
  EXPECT_FALSE(Resumes(Target()));

  ClientTlsOptions trusting;
  trusting.dangerous_skip_verify = true;
  config_ = MakeClientConfig(trusting);
  EXPECT_FALSE(Resumes(Target()));
  EXPECT_TRUE(Resumes(Target()));

  // A new config of equal options has the same policy.
  EXPECT_EQ(strict->policy(), MakeClientConfig()->policy());
  config_ = MakeClientConfig();
  EXPECT_TRUE(Resumes(Target()));
}

// apisix #13587: connections with one client certificate were used for requests with another.
TEST_P(ClientResumptionTest, DoesNotCrossClientCertificates) {
  SSL_CTX_set_custom_verify(lax_.get(), SSL_VERIFY_PEER,
                            [](SSL*, uint8_t*) { return ssl_verify_ok; });
  const auto with_credential = [this](const std::string& name) {
    LeafSpec leaf;
    leaf.common_name = name;
    leaf.server_auth = false;
    const PemPair pair = pki_.Issue(leaf);
    ClientTlsOptions options;
    options.credential = *Credential::FromPem(pair.chain, pair.key, {CredentialUse::kClient});
    return MakeClientConfig(options);
  };
  const auto alice = with_credential("alice");
  const auto bob = with_credential("bob");
  const auto nobody = config_;
  EXPECT_FALSE(Resumes(Target()));
  for (const auto& config : {alice, bob}) {
    config_ = config;
    const TlsInfo first = Connect(Target());
    EXPECT_FALSE(first.resumed);
    ASSERT_EQ(first.local_chain.size(), 1u) << "the presented certificate is reported";
    EXPECT_EQ(first.local_chain[0].subject, config == alice ? "CN=alice" : "CN=bob");
  }
  for (const auto& config : {nobody, alice, bob}) {
    config_ = config;
    EXPECT_TRUE(Resumes(Target()));
  }
  // The same certificate, read again, is the same client.
  ClientTlsOptions again;
  again.credential = alice->options().credential;
  config_ = MakeClientConfig(again);
  EXPECT_TRUE(Resumes(Target()));
}

// An unverified session must not reach a client that verifies.
TEST_P(ClientResumptionTest, AnUnverifiedSessionIsNotResumedWithVerification) {
  TestPki other(loop_.Now(), "Other CA");
  EXPECT_FALSE(Resumes(Target()));
  ClientTlsOptions options;
  options.ca_pem = other.ca_pem();
  config_ = MakeClientConfig(options);
  const std::unique_ptr<TlsEngine> client = NewClient(Target());
  RawPeer(lax_.get(), /*is_server=*/true).Handshake(*client);
  EXPECT_EQ(CodeOf(client->status()), ErrorCode::kCertificateUntrusted);
}

TEST_P(ClientResumptionTest, EndsWithTheCertificate) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.not_after = loop_.Now() + absl::Minutes(30);
  UsePem(lax_.get(), pki_.Issue(leaf));
  EXPECT_FALSE(Resumes(Target()));
  loop_.RunFor(absl::Minutes(29));
  EXPECT_TRUE(Resumes(Target()));
  loop_.RunFor(absl::Minutes(2));
  // The certificate has been renewed, but the session ends with the certificate of the first
  // handshake.
  const std::unique_ptr<TlsEngine> client = NewClient(Target());
  RawPeer(lax_.get(), /*is_server=*/true).Handshake(*client);
  EXPECT_FALSE(client->handshake_done());
  EXPECT_EQ(CodeOf(client->status()), ErrorCode::kCertificateExpired);
}

TEST_P(ClientResumptionTest, EndsWithTheCertificateDuringTheHandshake) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.not_after = loop_.Now() + absl::Minutes(30);
  UsePem(lax_.get(), pki_.Issue(leaf));
  EXPECT_FALSE(Resumes(Target()));
  loop_.RunFor(absl::Minutes(29));
  const std::unique_ptr<TlsEngine> client = NewClient(Target());
  client->Handshake();
  loop_.RunFor(absl::Minutes(2));
  RawPeer(lax_.get(), /*is_server=*/true).Handshake(*client);
  EXPECT_EQ(CodeOf(client->status()), ErrorCode::kCertificateExpired);
  EXPECT_EQ(cache_.sessions(), 0u);
}

TEST_P(ClientResumptionTest, EndsWithTheRevocationList) {
  ClientTlsOptions options;
  options.crl_pem = pki_.IssueCrl({}, loop_.Now() + absl::Minutes(30));
  config_ = MakeClientConfig(options);
  EXPECT_NE(config_->policy(), MakeClientConfig()->policy());
  EXPECT_FALSE(Resumes(Target()));
  loop_.RunFor(absl::Minutes(29));
  EXPECT_TRUE(Resumes(Target()));
  loop_.RunFor(absl::Minutes(2));
  const std::unique_ptr<TlsEngine> client = NewClient(Target());
  RawPeer(lax_.get(), /*is_server=*/true).Handshake(*client);
  EXPECT_EQ(CodeOf(client->status()), ErrorCode::kCertificateUntrusted);
}

TEST_P(ClientResumptionTest, AFullHandshakeIsRequiredAfterTheMaximumAge) {
  const auto full_after = [this](absl::Duration age) {
    loop_.RunFor(age);
    return !Resumes(Target());
  };
  EXPECT_FALSE(Resumes(Target()));
  EXPECT_FALSE(full_after(absl::Minutes(50)));
  EXPECT_TRUE(full_after(absl::Minutes(11))) << "renewed tickets don't make sessions younger";
  EXPECT_FALSE(full_after(absl::Minutes(50)));
}

TEST_P(ClientResumptionTest, AFailureForgetsTheSessions) {
  EXPECT_FALSE(Resumes(Target()));
  ASSERT_GT(cache_.sessions(), 0u);
  const std::unique_ptr<TlsEngine> client = NewClient(Target());
  client->Handshake();
  client->received().Append(AsBytes(absl::string_view("\x15\x03\x03\x00\x02\x02\x28", 7)));
  client->Handshake();
  EXPECT_EQ(CodeOf(client->status()), ErrorCode::kPeerAlert);
  EXPECT_EQ(cache_.sessions(), 0u);
  EXPECT_FALSE(Resumes(Target()));
  EXPECT_TRUE(Resumes(Target()));
}

TEST_P(ClientResumptionTest, ClearForgetsEverything) {
  EXPECT_FALSE(Resumes(Target()));
  cache_.Clear();
  EXPECT_EQ(cache_.sessions(), 0u);
  EXPECT_EQ(cache_.targets(), 0u);
  EXPECT_EQ(cache_.bytes(), 0u);
  EXPECT_FALSE(Resumes(Target()));
}

TEST_P(ClientResumptionTest, ZeroSessionsAreAllowed) {
  ClientSessionCacheOptions none;
  none.max_sessions = 0;
  ClientSessionCache cache(none);
  ClientTlsTarget target = Target();
  target.sessions = &cache;
  EXPECT_FALSE(Resumes(target));
  EXPECT_FALSE(Resumes(target));
  EXPECT_EQ(cache.sessions(), 0u);
  EXPECT_EQ(cache.targets(), 1u) << "the group is remembered nevertheless";
}

TEST_P(ClientResumptionTest, EveryBoundIsEnforced) {
  ClientSessionCacheOptions few_sessions;
  few_sessions.max_sessions = 3;
  ClientSessionCacheOptions few_each;
  few_each.max_sessions_per_target = 1;
  ClientSessionCacheOptions few_targets;
  few_targets.max_targets = 2;
  ClientSessionCacheOptions few_bytes;
  few_bytes.max_bytes = 5000;
  ClientSessionCacheOptions hardly_any_bytes;
  hardly_any_bytes.max_bytes = 100;
  for (const ClientSessionCacheOptions& options :
       {few_sessions, few_each, few_targets, few_bytes, hardly_any_bytes}) {
    ClientSessionCache cache(options);
    for (uint16_t port = 1; port <= 20; ++port) {
      ClientTlsTarget target = Target();
      target.sessions = &cache;
      target.endpoint = Endpoint(target.endpoint.address(), port);
      EXPECT_FALSE(Resumes(target));
      EXPECT_LE(cache.sessions(), options.max_sessions);
      EXPECT_LE(cache.sessions(), 20 * options.max_sessions_per_target);
      EXPECT_LE(cache.targets(), options.max_targets);
      EXPECT_LE(cache.bytes(), options.max_bytes);
      // The newest session remains, if anything fits.
      EXPECT_EQ(Resumes(target), options.max_bytes > 1000) << port;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Versions, ClientResumptionTest,
                         ::testing::Values(TlsVersion::kTls12, TlsVersion::kTls13),
                         [](const ::testing::TestParamInfo<TlsVersion>& info) {
                           return info.param == TlsVersion::kTls12 ? "Tls12" : "Tls13";
                         });

class SingleUseTest : public ClientResumptionTest {};

TEST_P(SingleUseTest, NoSessionIsOfferedTwice) {
  EXPECT_FALSE(Resumes(Target()));
  const size_t kept = cache_.sessions();
  ASSERT_GT(kept, 0u);
  std::vector<std::unique_ptr<TlsEngine>> at_once;
  for (size_t i = 0; i < kept; ++i) {
    at_once.push_back(NewClient(Target()));
    EXPECT_EQ(cache_.sessions(), kept - i - 1);
  }
  const std::unique_ptr<TlsEngine> one_more = NewClient(Target());
  for (const auto& client : at_once) EXPECT_TRUE(Join(*client).resumed);
  EXPECT_FALSE(Join(*one_more).resumed);
}

TEST_P(SingleUseTest, ASessionForSeveralUsesIsKeptOnce) {
  // TLS 1.2 for comparison, with the same cache.
  SSL_CTX_set_min_proto_version(lax_.get(), TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(lax_.get(), TLS1_2_VERSION);
  EXPECT_FALSE(Resumes(Target()));
  EXPECT_EQ(cache_.sessions(), 1u);
  const std::unique_ptr<TlsEngine> one = NewClient(Target());
  const std::unique_ptr<TlsEngine> two = NewClient(Target());
  EXPECT_TRUE(Join(*one).resumed);
  EXPECT_TRUE(Join(*two).resumed);
  EXPECT_EQ(cache_.sessions(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Tls13, SingleUseTest, ::testing::Values(TlsVersion::kTls13));

class KeyShareTest : public TlsTest {
 protected:
  std::shared_ptr<const ServerTlsConfig> ServerWith(std::vector<TlsGroup> groups) {
    ServerTlsOptions options;
    options.parameters.groups = std::move(groups);
    return MakeServerConfig(std::move(options));
  }

  TlsInfo Connect(const std::shared_ptr<const ServerTlsConfig>& server) {
    ClientTlsTarget target;
    target.server_name = "a.test";
    target.sessions = &cache_;
    EnginePair pair;
    pair.client = *TlsEngine::NewClient(config_, target, loop_, Leg::kBack);
    pair.server = TlsEngine::NewServer(server, loop_, Leg::kFront);
    pair.client->Handshake();
    hello_bytes_ = pair.client->to_send().size();
    pair.Handshake();
    EXPECT_TRUE(pair.client->handshake_done()) << pair.client->status();
    EXPECT_EQ(pair.client->info().hello_retried, pair.server->info().hello_retried);
    return pair.client->info();
  }

  std::shared_ptr<const ClientTlsConfig> config_ = MakeClientConfig();
  ClientSessionCache cache_{[] {
    ClientSessionCacheOptions options;
    options.max_sessions = 0;
    return options;
  }()};
  size_t hello_bytes_ = 0;
};

TEST_F(KeyShareTest, AServerRequestsARetryOnce) {
  const auto server = ServerWith({TlsGroup::kP256});
  EXPECT_TRUE(Connect(server).hello_retried);
  const TlsInfo second = Connect(server);
  EXPECT_FALSE(second.hello_retried);
  EXPECT_EQ(second.group, "P-256");
}

TEST_F(KeyShareTest, UnusedSharesAreNotSentAgain) {
  const auto server = ServerWith({TlsGroup::kX25519});
  EXPECT_EQ(Connect(server).group, "X25519");
  EXPECT_GT(hello_bytes_, 1184u) << "the hello has an ML-KEM-768 share";
  EXPECT_EQ(Connect(server).group, "X25519");
  EXPECT_LT(hello_bytes_, 1184u);
}

TEST_F(KeyShareTest, PostQuantumIsOfferedAgainAfterAWhile) {
  EXPECT_EQ(Connect(ServerWith({TlsGroup::kX25519})).group, "X25519");
  const auto upgraded = ServerWith(DefaultGroups());
  loop_.RunFor(absl::Minutes(9));
  Connect(upgraded);
  loop_.RunFor(absl::Minutes(1));
  EXPECT_EQ(Connect(upgraded).group, "X25519MLKEM768") << "connections in between don't delay it";
  EXPECT_EQ(Connect(upgraded).group, "X25519MLKEM768");
}

TEST_F(KeyShareTest, AServersNewGroupIsRemembered) {
  EXPECT_EQ(Connect(ServerWith(DefaultGroups())).group, "X25519MLKEM768");
  const auto downgraded = ServerWith({TlsGroup::kX25519});
  EXPECT_TRUE(Connect(downgraded).hello_retried);
  EXPECT_FALSE(Connect(downgraded).hello_retried);
}

}  // namespace
}  // namespace trestle::testing
