// Answers of the host for which a server's handshake waits: certificates loaded on demand, and
// verdicts on clients.
#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/resuming_client.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/credential_selector.h"
#include "trestle/tls/peer_verifier.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kUnrecognizedName = 112;

// Counts the destroyed calls, answered or not.
class CountedCall final : public PendingCall {
 public:
  explicit CountedCall(int& dropped) : dropped_(dropped) {}
  ~CountedCall() override { ++dropped_; }

 private:
  int& dropped_;
};

class HeldSelector final : public CredentialSelector {
 public:
  std::unique_ptr<PendingCall> Select(absl::string_view server_name, Scheduler& /*loop*/,
                                      Done done) const override {
    names.push_back(std::string(server_name));
    if (at_once.has_value()) {
      done(*at_once);
    } else {
      questions.push_back(std::move(done));
    }
    return std::make_unique<CountedCall>(dropped);
  }

  std::optional<Answer> at_once;
  mutable std::vector<std::string> names;
  mutable std::vector<Done> questions;
  mutable int dropped = 0;
};

class HeldVerifier final : public PeerVerifier {
 public:
  std::unique_ptr<PendingCall> Verify(const PeerToVerify& peer, Scheduler& /*loop*/,
                                      absl::AnyInvocable<void(absl::Status)> done) const override {
    EXPECT_EQ(peer.chain_der.size(), peer.chain.size());
    names.push_back(std::string(peer.name));
    resumed.push_back(peer.resumed);
    questions.push_back(std::move(done));
    return std::make_unique<CountedCall>(dropped);
  }

  mutable std::vector<std::string> names;
  mutable std::vector<bool> resumed;
  mutable std::vector<absl::AnyInvocable<void(absl::Status)>> questions;
  mutable int dropped = 0;
};

class ServerAnswersTest : public TlsTest, public ::testing::WithParamInterface<uint16_t> {
 protected:
  using Connection = std::unique_ptr<ResumingClient::Connection>;

  Connection Start(const std::shared_ptr<const ServerTlsConfig>& config, const char* name) {
    return client_.StartConnection(TlsEngine::NewServer(config, loop_, Leg::kFront), name);
  }

  static absl::Status Finish(const Connection& connection) {
    connection->client.Handshake(*connection->server);
    connection->server->QueueTickets();
    connection->Carry();
    return connection->server->status();
  }

  ResumingClient client_{GetParam()};
};

class CredentialSelectorTest : public ServerAnswersTest {
 protected:
  std::shared_ptr<const ServerTlsConfig> Config(UnknownName unknown = UnknownName::kRefuse) {
    ServerTlsOptions options;
    options.certificates = MakeStore({LeafFor("a.test")});
    options.selector = selector_;
    options.unknown_name = unknown;
    return MakeServerConfig(std::move(options));
  }

  std::shared_ptr<const Credential> CredentialFor(const LeafSpec& leaf) {
    const PemPair pair = pki_.Issue(leaf);
    return *Credential::FromPem(pair.chain, pair.key);
  }

  static std::string ShownName(const Connection& connection) {
    return connection->server->info().local_chain.front().dns_names.front();
  }

  const std::shared_ptr<HeldSelector> selector_ = std::make_shared<HeldSelector>();
};

INSTANTIATE_TEST_SUITE_P(Versions, CredentialSelectorTest,
                         ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION), VersionName);

TEST_P(CredentialSelectorTest, FetchesNamesThatTheStoreLacks) {
  const auto config = Config();
  const Connection connection = Start(config, "Vault.Test.");
  EXPECT_TRUE(connection->server->waits_for_answer());
  EXPECT_THAT(selector_->names, ElementsAre("vault.test"));
  selector_->questions.at(0)({{CredentialFor(LeafFor("vault.test"))}});
  EXPECT_TRUE(Finish(connection).ok()) << connection->server->status();
  EXPECT_EQ(ShownName(connection), "vault.test");
  EXPECT_EQ(selector_->dropped, 1);
  EXPECT_EQ(selector_->names.size(), 1u);
}

TEST_P(CredentialSelectorTest, IsNotCalledForNamesInTheStore) {
  const auto config = Config(UnknownName::kFallback);
  EXPECT_TRUE(Finish(Start(config, "a.test")).ok());
  EXPECT_TRUE(Finish(Start(config, nullptr)).ok());
  EXPECT_TRUE(selector_->names.empty());
}

TEST_P(CredentialSelectorTest, AnImmediateAnswerIsUsed) {
  selector_->at_once = {{CredentialFor(LeafFor("vault.test"))}};
  const auto config = Config();
  const Connection connection = Start(config, "vault.test");
  EXPECT_TRUE(Finish(connection).ok());
  EXPECT_EQ(ShownName(connection), "vault.test");
}

TEST_P(CredentialSelectorTest, ValidCredentialsArePreferred) {
  LeafSpec expired = LeafFor("vault.test");
  expired.not_after = loop_.Now() - absl::Hours(1);
  LeafSpec good = LeafFor("vault.test");
  good.dns_names = {"good.test", "vault.test"};
  selector_->at_once = {{CredentialFor(expired), CredentialFor(good)}};
  const auto config = Config();
  const Connection connection = Start(config, "vault.test");
  EXPECT_TRUE(Finish(connection).ok());
  EXPECT_EQ(ShownName(connection), "good.test");
  selector_->at_once = {{CredentialFor(expired)}};
  EXPECT_TRUE(Finish(Start(config, "expired.test")).ok()) << "the client can report the fault";
}

TEST_P(CredentialSelectorTest, AnEmptyAnswerIsTheSameAsNoSelector) {
  selector_->at_once.emplace(std::vector<std::shared_ptr<const Credential>>());
  const auto lenient = Config(UnknownName::kFallback);
  const Connection served = Start(lenient, "other.test");
  EXPECT_TRUE(Finish(served).ok());
  EXPECT_EQ(ShownName(served), "a.test");
  const auto strict = Config();
  const absl::Status refused = Finish(Start(strict, "other.test"));
  EXPECT_EQ(CodeOf(refused), ErrorCode::kNoCertificate);
  EXPECT_EQ(AlertOf(refused), kUnrecognizedName);
}

TEST_P(CredentialSelectorTest, AFailureRejectsTheClient) {
  selector_->at_once = absl::UnavailableError("the vault is shut");
  const auto config = Config(UnknownName::kFallback);
  const absl::Status refused = Finish(Start(config, "vault.test"));
  EXPECT_EQ(CodeOf(refused), ErrorCode::kNoCertificate);
  EXPECT_THAT(refused.message(), HasSubstr("the vault is shut"));
  Error error;
  error.code = ErrorCode::kOverLimit;
  error.detail = "too many names";
  selector_->at_once = MakeError(error);
  EXPECT_EQ(CodeOf(Finish(Start(config, "vault.test"))), ErrorCode::kOverLimit);
}

TEST_P(CredentialSelectorTest, HasATimeLimit) {
  const auto config = Config();
  const Connection connection = Start(config, "vault.test");
  loop_.RunFor(config->options().answer_timeout);
  EXPECT_EQ(CodeOf(connection->server->status()), ErrorCode::kTimeout);
  EXPECT_THAT(connection->server->status().message(), HasSubstr("selector of certificates"));
  EXPECT_EQ(selector_->dropped, 1);
  selector_->questions.at(0)({{CredentialFor(LeafFor("vault.test"))}});
  EXPECT_EQ(connection->server->Handshake(), IoState::kFailed);
}

TEST_P(CredentialSelectorTest, DestroyingTheConnectionCancels) {
  const auto config = Config();
  Start(config, "vault.test").reset();
  EXPECT_EQ(selector_->dropped, 1);
  selector_->questions.at(0)({{CredentialFor(LeafFor("vault.test"))}});
  EXPECT_EQ(loop_.RunUntilIdle(), 0u);
}

// Over a stream, as in a proxy: the client may close at any step, and nothing is kept.
TEST_P(CredentialSelectorTest, AStreamMayEndWhileItWaits) {
  for (const bool client_leaves : {true, false}) {
    auto [client_end, server_end] = NewMemoryPair(loop_);
    auto server = std::make_unique<TlsStream>(TlsEngine::NewServer(Config(), loop_, Leg::kFront),
                                              std::move(server_end), loop_);
    auto client = std::make_unique<TlsStream>(MakeClient({}, {"vault.test", {}}),
                                              std::move(client_end), loop_);
    std::optional<absl::Status> done;
    server->Handshake([&done](absl::Status status) { done = std::move(status); });
    client->Handshake([](const absl::Status&) {});
    loop_.RunReady();
    ASSERT_FALSE(done.has_value());
    if (client_leaves) {
      client->Abort();
    } else {
      server->Abort();
      server.reset();
    }
    loop_.RunReady();
    EXPECT_EQ(done.has_value(), client_leaves);
    server.reset();
    client.reset();
    for (auto& question : selector_->questions) {
      question({{CredentialFor(LeafFor("vault.test"))}});
    }
    loop_.RunReady();
    EXPECT_EQ(selector_->dropped, static_cast<int>(selector_->names.size()));
    EXPECT_EQ(loop_.buffers().lent_blocks(), 0u);
  }
}

class ClientVerifierTest : public ServerAnswersTest {
 protected:
  std::shared_ptr<const ServerTlsConfig> Config() {
    ClientAuthOptions authentication;
    authentication.otherwise.certificate = ClientCertificate::kOptional;
    authentication.otherwise.trust = *TrustStore::Create(pki_.ca_pem());
    ServerTlsOptions options;
    options.client_authentication = *ClientAuthentication::Create(std::move(authentication));
    options.client_verifier = verifier_;
    options.session_cache = std::make_shared<ServerSessionCache>();
    return MakeServerConfig(std::move(options));
  }

  void ShowCertificate() {
    LeafSpec leaf;
    leaf.common_name = "alice";
    leaf.server_auth = false;
    UsePem(client_.context(), pki_.Issue(leaf));
  }

  const std::shared_ptr<HeldVerifier> verifier_ = std::make_shared<HeldVerifier>();
};

INSTANTIATE_TEST_SUITE_P(Versions, ClientVerifierTest, WaysToResume(), VersionName);

TEST_P(ClientVerifierTest, AcceptsClients) {
  ShowCertificate();
  const auto config = Config();
  const Connection connection = Start(config, "a.test");
  EXPECT_TRUE(connection->server->waits_for_answer());
  EXPECT_EQ(connection->server->info().peer_identity, nullptr) << "no identity before the verdict";
  EXPECT_THAT(verifier_->names, ElementsAre("a.test"));
  verifier_->questions.at(0)(absl::OkStatus());
  EXPECT_TRUE(Finish(connection).ok()) << connection->server->status();
  ASSERT_NE(connection->server->info().peer_identity, nullptr);
  EXPECT_THAT(connection->server->info().peer_identity->subject, HasSubstr("alice"));
  EXPECT_EQ(verifier_->dropped, 1);
}

TEST_P(ClientVerifierTest, RejectsClients) {
  ShowCertificate();
  const auto config = Config();
  const Connection connection = Start(config, "a.test");
  verifier_->questions.at(0)(absl::PermissionDeniedError("she left the company"));
  const absl::Status refused = Finish(connection);
  EXPECT_EQ(CodeOf(refused), ErrorCode::kCertificateUntrusted);
  EXPECT_EQ(AlertOf(refused), SSL_AD_CERTIFICATE_UNKNOWN);
  EXPECT_THAT(refused.message(), HasSubstr("she left the company"));
  EXPECT_EQ(connection->server->info().peer_identity, nullptr);
}

TEST_P(ClientVerifierTest, IsNotCalledForClientsWithoutACertificate) {
  EXPECT_TRUE(Finish(Start(Config(), "a.test")).ok());
  EXPECT_TRUE(verifier_->names.empty());
}

TEST_P(ClientVerifierTest, IsCalledAgainWhenASessionIsResumed) {
  ShowCertificate();
  const auto config = Config();
  const Connection first = Start(config, "a.test");
  verifier_->questions.at(0)(absl::OkStatus());
  ASSERT_TRUE(Finish(first).ok());
  const Connection second = Start(config, "a.test");
  EXPECT_TRUE(second->server->waits_for_answer());
  verifier_->questions.at(1)(absl::OkStatus());
  EXPECT_TRUE(Finish(second).ok()) << second->server->status();
  EXPECT_TRUE(second->server->info().resumed);
  ASSERT_NE(second->server->info().peer_identity, nullptr);
  EXPECT_THAT(verifier_->resumed, ElementsAre(false, true));
}

TEST_P(ClientVerifierTest, ARejectedSessionLeadsToACertificateRequest) {
  ShowCertificate();
  const auto config = Config();
  const Connection first = Start(config, "a.test");
  verifier_->questions.at(0)(absl::OkStatus());
  ASSERT_TRUE(Finish(first).ok());
  const Connection second = Start(config, "a.test");
  verifier_->questions.at(1)(absl::PermissionDeniedError("no longer"));
  second->client.Handshake(*second->server);
  EXPECT_THAT(verifier_->resumed, ElementsAre(false, true, false));
  verifier_->questions.at(2)(absl::PermissionDeniedError("no longer"));
  EXPECT_EQ(CodeOf(Finish(second)), ErrorCode::kCertificateUntrusted);
}

TEST_P(ClientVerifierTest, HasATimeLimit) {
  ShowCertificate();
  const auto config = Config();
  const Connection connection = Start(config, "a.test");
  loop_.RunFor(config->options().answer_timeout);
  EXPECT_EQ(CodeOf(connection->server->status()), ErrorCode::kTimeout);
  EXPECT_EQ(verifier_->dropped, 1);
}

TEST_P(ClientVerifierTest, DestroyingTheConnectionCancels) {
  ShowCertificate();
  const auto config = Config();
  Start(config, "a.test").reset();
  EXPECT_EQ(verifier_->dropped, 1);
  verifier_->questions.at(0)(absl::OkStatus());
  EXPECT_EQ(loop_.RunUntilIdle(), 0u);
}

}  // namespace
}  // namespace trestle::testing
