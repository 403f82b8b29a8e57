// Peers of SPIFFE trust domains: a CA vouches for its own domain only, and IDs are verified by
// pattern, on both legs.
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/pki/trust_store.h"

namespace trestle::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class TrustDomainsTest : public TlsTest {
 protected:
  std::vector<TrustDomainCas> Both() const {
    return {{"example.org", pki_.ca_pem()}, {"partner.test", partner_.ca_pem()}};
  }

  static LeafSpec Svid(const std::string& id) {
    LeafSpec leaf;
    leaf.common_name = "workload";
    leaf.uri_names = {id};
    leaf.both_auths = true;
    return leaf;
  }

  // Returns the client's result for a server with `leaf` of `ca`.
  absl::Status VerifyServer(const TestPki& ca, const LeafSpec& leaf,
                            std::vector<std::string> uris) {
    bssl::UniquePtr<SSL_CTX> context = MakeRawContext();
    UsePem(context.get(), ca.Issue(leaf));
    RawPeer server(context.get(), /*is_server=*/true);
    ClientTlsOptions options;
    options.trust_domains = Both();
    options.peer_uris = std::move(uris);
    auto config = ClientTlsConfig::Create(std::move(options));
    EXPECT_TRUE(config.ok()) << config.status();
    auto client = TlsEngine::NewClient(*config, {}, loop_, Leg::kBack);
    EXPECT_TRUE(client.ok()) << client.status();
    server.Handshake(**client);
    EXPECT_EQ((*client)->info().server_name, "");
    return (*client)->status();
  }

  // Returns the server's result for a client with `leaf` of `ca`.
  absl::Status VerifyClient(const TestPki& ca, const LeafSpec& leaf,
                            std::vector<std::string> uris) {
    ClientAuthOptions clients;
    clients.otherwise.certificate = ClientCertificate::kRequired;
    clients.otherwise.trust = *TrustStore::CreateForTrustDomains(Both());
    clients.otherwise.allowed.uri_names = std::move(uris);
    ServerTlsOptions server;
    server.client_authentication = *ClientAuthentication::Create(std::move(clients));
    ClientTlsOptions client;
    client.credential = ca.IssueCredential(leaf);
    EnginePair pair = MakePair(std::move(server), std::move(client));
    pair.Handshake();
    return pair.server->status();
  }

  void ExpectBoth(const TestPki& ca, const LeafSpec& leaf, const std::vector<std::string>& uris,
                  ErrorCode code, const ::testing::Matcher<std::string>& detail) {
    for (const bool server : {true, false}) {
      const absl::Status status =
          server ? VerifyServer(ca, leaf, uris) : VerifyClient(ca, leaf, uris);
      const std::optional<Error> error = GetError(status);
      ASSERT_TRUE(error.has_value()) << status << " server " << server;
      EXPECT_EQ(error->code, code) << status << " server " << server;
      EXPECT_THAT(error->detail, detail) << " server " << server;
    }
  }

  const TestPki partner_{loop_.Now(), "Partner CA"};
};

TEST_F(TrustDomainsTest, PeersOfBothDomainsAreVerifiedByTheirOwn) {
  const std::vector<std::string> uris = {"spiffe://example.org/api", "spiffe://partner.test/web/*"};
  EXPECT_EQ(VerifyServer(pki_, Svid("spiffe://example.org/api"), uris), absl::OkStatus());
  EXPECT_EQ(VerifyServer(partner_, Svid("spiffe://partner.test/web/1"), uris), absl::OkStatus());
  EXPECT_EQ(VerifyClient(pki_, Svid("spiffe://example.org/api"), uris), absl::OkStatus());
  EXPECT_EQ(VerifyClient(partner_, Svid("spiffe://partner.test/web/1"), uris), absl::OkStatus());
  const TestPki intermediate(pki_, "Intermediate");
  EXPECT_EQ(VerifyServer(intermediate, Svid("spiffe://example.org/api"), uris), absl::OkStatus());
}

TEST_F(TrustDomainsTest, AFederatedCaDoesNotVouchForTheOwnDomain) {
  ExpectBoth(partner_, Svid("spiffe://example.org/api"), {"spiffe://example.org/*"},
             ErrorCode::kCertificateUntrusted, HasSubstr("is refused"));
  ExpectBoth(pki_, Svid("spiffe://partner.test/web"), {"spiffe://partner.test/*"},
             ErrorCode::kCertificateUntrusted, HasSubstr("is refused"));
}

TEST_F(TrustDomainsTest, UnknownDomainsAndOtherNamesAreRefused) {
  ExpectBoth(pki_, Svid("spiffe://stranger.test/api"), {"spiffe://stranger.test/api"},
             ErrorCode::kCertificateUntrusted,
             HasSubstr("is of the trust domain \"stranger.test\", for which there is no bundle"));
  ExpectBoth(pki_, LeafFor("a.test"), {"spiffe://example.org/*"}, ErrorCode::kCertificateUntrusted,
             HasSubstr("has 0 URIs, where a SPIFFE ID is the only one"));
  LeafSpec two = Svid("spiffe://example.org/api");
  two.uri_names.push_back("spiffe://partner.test/web");
  ExpectBoth(pki_, two, {"spiffe://example.org/*"}, ErrorCode::kCertificateUntrusted,
             HasSubstr("has 2 URIs"));
  ExpectBoth(pki_, Svid("https://example.org/api"), {"spiffe://example.org/*"},
             ErrorCode::kCertificateUntrusted, HasSubstr("has a URI that is no SPIFFE ID"));
}

TEST_F(TrustDomainsTest, TheCertificateOfACaIsNoPeer) {
  LeafSpec ca = Svid("spiffe://example.org/api");
  ca.is_ca = true;
  ExpectBoth(pki_, ca, {"spiffe://example.org/*"}, ErrorCode::kCertificateUntrusted,
             HasSubstr("is a CA's, and so the certificate of no workload"));
}

TEST_F(TrustDomainsTest, AnIdOutsideThePatternsIsRefused) {
  const LeafSpec leaf = Svid("spiffe://example.org/billing");
  const absl::Status status =
      VerifyServer(pki_, leaf, {"spiffe://example.org/api", "spiffe://example.org/web/*"});
  EXPECT_EQ(CodeOf(status), ErrorCode::kNameMismatch);
  EXPECT_THAT(GetError(status)->detail,
              AllOf(HasSubstr("is not for \"URI:spiffe://example.org/api, "
                              "spiffe://example.org/web/*\""),
                    HasSubstr("spiffe://example.org/billing")));
  EXPECT_EQ(CodeOf(VerifyClient(pki_, leaf, {"spiffe://example.org/api"})),
            ErrorCode::kCertificateUntrusted);
}

TEST_F(TrustDomainsTest, WithoutUrisTheNameCounts) {
  LeafSpec leaf = Svid("spiffe://example.org/api");
  leaf.dns_names = {"a.test"};
  bssl::UniquePtr<SSL_CTX> context = MakeRawContext();
  UsePem(context.get(), pki_.Issue(leaf));
  ClientTlsOptions options;
  options.trust_domains = Both();
  const auto config = *ClientTlsConfig::Create(std::move(options));
  EXPECT_EQ(CodeOf(TlsEngine::NewClient(config, {}, loop_, Leg::kBack).status()),
            ErrorCode::kConfiguration);
  for (const auto& [name, code] :
       {std::pair<std::string, ErrorCode>("b.test", ErrorCode::kNameMismatch), {"a.test", {}}}) {
    RawPeer server(context.get(), /*is_server=*/true);
    auto client = *TlsEngine::NewClient(config, {name, {}}, loop_, Leg::kBack);
    server.Handshake(*client);
    if (name == "a.test") {
      EXPECT_EQ(client->status(), absl::OkStatus());
    } else {
      EXPECT_EQ(CodeOf(client->status()), code);
    }
  }
}

TEST_F(TrustDomainsTest, AChainCheckerJudgesByTheSameRules) {
  ChainCheckerOptions options;
  options.trust = *TrustStore::CreateForTrustDomains(Both());
  options.peer_uris = {"spiffe://example.org/api"};
  const auto checker = *ChainChecker::Create(std::move(options));
  const auto check = [&](const TestPki& ca, const std::string& id) {
    return checker->Check(ca.IssueCredential(Svid(id))->served(), "", loop_.Now());
  };
  const ChainReport good = check(pki_, "spiffe://example.org/api");
  EXPECT_EQ(good.verdict, absl::OkStatus());
  EXPECT_TRUE(good.trusted);
  EXPECT_TRUE(good.first_failure.has_value());
  EXPECT_EQ(CodeOf(check(pki_, "spiffe://example.org/web").verdict), ErrorCode::kNameMismatch);
  EXPECT_EQ(CodeOf(check(partner_, "spiffe://example.org/api").verdict),
            ErrorCode::kCertificateUntrusted);
  const ChainReport stranger = check(pki_, "spiffe://stranger.test/api");
  EXPECT_EQ(CodeOf(stranger.verdict), ErrorCode::kCertificateUntrusted);
  EXPECT_EQ(stranger.path.size(), 1u);
}

TEST_F(TrustDomainsTest, StoresDependOnTheDomainsOfTheirCas) {
  const auto store = *TrustStore::CreateForTrustDomains(Both());
  EXPECT_EQ(store->Certificates().size(), 2u);
  auto swapped = Both();
  std::swap(swapped[0].ca_pem, swapped[1].ca_pem);
  EXPECT_NE((*TrustStore::CreateForTrustDomains(swapped))->digest(), store->digest());
  auto reversed = Both();
  std::swap(reversed[0], reversed[1]);
  EXPECT_EQ((*TrustStore::CreateForTrustDomains(reversed))->digest(), store->digest());
}

TEST_F(TrustDomainsTest, BadDomainsAndContradictionsAreErrors) {
  const auto fault = [](std::vector<TrustDomainCas> domains) {
    return ConfigurationFault(TrustStore::CreateForTrustDomains(domains).status());
  };
  EXPECT_THAT(fault({}), HasSubstr("no trust domain"));
  EXPECT_THAT(fault({{"example.org/a", pki_.ca_pem()}}), HasSubstr("is a path"));
  EXPECT_THAT(fault({{"Example.org", pki_.ca_pem()}}), HasSubstr("is no SPIFFE ID"));
  EXPECT_THAT(fault({{"example.org", ""}}), HasSubstr("the trust domain example.org: no CA"));
  EXPECT_THAT(fault({{"example.org", pki_.ca_pem()}, {"example.org", partner_.ca_pem()}}),
              HasSubstr("comes twice"));
  ClientTlsOptions options;
  options.trust_domains = Both();
  options.ca_pem = pki_.ca_pem();
  EXPECT_THAT(ConfigurationFault(ClientTlsConfig::Create(options).status()),
              HasSubstr("exclude other CAs"));
  options.ca_pem.clear();
  options.peer_uris = {"example.org/api"};
  EXPECT_THAT(ConfigurationFault(ClientTlsConfig::Create(options).status()),
              HasSubstr("is no URI"));
  ClientTlsOptions skipping;
  skipping.dangerous_skip_verify = true;
  skipping.peer_uris = {"spiffe://example.org/api"};
  EXPECT_THAT(ConfigurationFault(ClientTlsConfig::Create(skipping).status()),
              HasSubstr("not with skip_verify"));
}

}  // namespace
}  // namespace trestle::testing
