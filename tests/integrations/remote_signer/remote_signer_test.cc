// The client and the server of the signing protocol, over transports in memory.
#include "integrations/remote_signer/remote_signer.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/remote_signer/signing_server.h"
#include "trestle/base/error.h"
#include "trestle/pki/private_key.h"
#include "trestle/pki/signer_proof.h"
#include "trestle/pki/trust_store.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Signs inside the call, or keeps the call.
class TestSigner final : public Signer {
 public:
  explicit TestSigner(std::shared_ptr<const PrivateKey> key) : key_(std::move(key)) {}

  std::unique_ptr<PendingCall> Sign(SignatureScheme scheme, ByteView input, Scheduler&,
                                    Done done) const override {
    if (holds) {
      held.push_back(
          [this, scheme, text = std::string(AsText(input)), done = std::move(done)]() mutable {
            done(key_->Sign(scheme, AsBytes(text)));
          });
    } else {
      done(failure.ok() ? key_->Sign(scheme, input) : failure);
    }
    return nullptr;
  }

  bool holds = false;
  absl::Status failure;
  mutable std::vector<absl::AnyInvocable<void()>> held;

 private:
  const std::shared_ptr<const PrivateKey> key_;
};

class AuditLines final : public SigningAudit {
 public:
  void OnRequest(const SigningRecord& record) override {
    lines.push_back(absl::StrCat(record.client, " ", record.key, " ", EnumName(record.input), " ",
                                 EnumName(record.verdict)));
  }
  std::vector<std::string> lines;
};

class RemoteSignerTest : public ::testing::Test {
 protected:
  RemoteSignerTest() {
    ServedKey key;
    key.spki_sha256 = spki_;
    key.name = "front";
    key.signer = signer_;
    key.clients = {"unix", "dns:edge.test"};
    options_.keys = {key};
  }

  PemPair Issue(const std::string& name, bool server = true) const {
    LeafSpec leaf;
    leaf.dns_names = {name};
    leaf.server_auth = server;
    return pki_.Issue(leaf);
  }

  void StartServer() {
    server_ = *SigningServer::Create(loop_, options_, audit_);
    dialer_.Listen(socket_, [this](std::unique_ptr<Transport> transport) {
      server_->Serve(std::move(transport), {"unix"});
    });
  }

  void Connect(absl::Duration deadline = absl::Seconds(2), size_t max_waiting = 1024) {
    RemoteSignerOptions options;
    options.server = socket_;
    options.deadline = deadline;
    options.max_waiting = max_waiting;
    remote_ = *RemoteSigner::Create(loop_, dialer_, options);
  }

  std::unique_ptr<PendingCall> Ask(const SpkiSha256& key, const std::string& input) {
    return remote_->SignerFor(key)->Sign(
        SignatureScheme::kEcdsaP256Sha256, AsBytes(input), loop_,
        [this](absl::StatusOr<std::string> answer) { answers_.push_back(std::move(answer)); });
  }

  // The error of one request, whose text is a CertificateVerify.
  absl::Status Fault(const SpkiSha256& key, const std::string& input) {
    answers_.clear();
    const auto pending = Ask(key, input);
    loop_.RunFor(absl::Milliseconds(100));
    return answers_.size() == 1 ? answers_[0].status() : absl::UnknownError("not one answer");
  }

  static ErrorCode CodeOf(const absl::Status& status) { return GetError(status).value().code; }

  SimulatedLoop loop_;
  MemoryDialer dialer_{loop_};
  const TestPki pki_{loop_.Now()};
  const PemPair pair_ = Issue("a.test");
  const SpkiSha256 spki_ = *SpkiSha256Of(pair_.chain);
  const std::string verify_ =
      CertificateVerifyInput(SigningSide::kServer, AsBytes(std::string(32, 'h')));
  const std::shared_ptr<TestSigner> signer_ =
      std::make_shared<TestSigner>(*PrivateKey::FromPem(pair_.key));
  const Endpoint socket_ = Endpoint::Unix("/run/keys.sock");
  AuditLines audit_;
  SigningServerOptions options_;
  std::unique_ptr<SigningServer> server_;
  std::shared_ptr<const RemoteSigner> remote_;
  std::vector<absl::StatusOr<std::string>> answers_;
};

TEST_F(RemoteSignerTest, AServersKeyIsProvenByItsCertificate) {
  StartServer();
  Connect();
  std::optional<absl::Status> proven;
  const auto pending = ProveSigner(*remote_->SignerFor(spki_), pair_.chain, SigningSide::kServer,
                                   loop_, [&](absl::Status status) { proven = std::move(status); });
  loop_.RunFor(absl::Milliseconds(100));
  EXPECT_EQ(proven, absl::OkStatus());
  EXPECT_THAT(audit_.lines, ElementsAre("unix front server_verify signed"));
}

TEST_F(RemoteSignerTest, RequestsArePipelinedOnOneConnection) {
  StartServer();
  Connect();
  signer_->holds = true;
  std::vector<std::unique_ptr<PendingCall>> pending;
  for (int i = 0; i < 3; ++i) pending.push_back(Ask(spki_, verify_));
  loop_.RunFor(absl::Milliseconds(100));
  ASSERT_EQ(signer_->held.size(), 3u);
  EXPECT_EQ(dialer_.dials(), 1u);
  for (const int i : {2, 0, 1}) signer_->held[i]();
  loop_.RunFor(absl::Milliseconds(100));
  EXPECT_EQ(answers_.size(), 3u);
  for (const auto& answer : answers_) EXPECT_TRUE(answer.ok());
}

TEST_F(RemoteSignerTest, AServerSignsOnlyWhatTlsServersSign) {
  StartServer();
  Connect();
  const absl::Status other = Fault(spki_, "a contract");
  EXPECT_EQ(CodeOf(other), ErrorCode::kInternal);
  EXPECT_THAT(std::string(other.message()), HasSubstr("doesn't sign this kind of text"));
  const std::string as_client =
      CertificateVerifyInput(SigningSide::kClient, AsBytes(std::string(32, 'h')));
  EXPECT_EQ(CodeOf(Fault(spki_, as_client)), ErrorCode::kInternal);
  EXPECT_THAT(audit_.lines,
              ElementsAre("unix front other not_allowed", "unix front client_verify not_allowed"));
  options_.keys[0].signs_as_client = true;
  StartServer();
  Connect();
  EXPECT_EQ(Fault(spki_, as_client), absl::OkStatus());
}

TEST_F(RemoteSignerTest, AKeyIsForItsClients) {
  options_.keys[0].clients = {"dns:other.test"};
  StartServer();
  Connect();
  const absl::Status refused = Fault(spki_, verify_);
  EXPECT_EQ(CodeOf(refused), ErrorCode::kInternal);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("no such key, or not for this client"));
  EXPECT_EQ(CodeOf(Fault(SpkiSha256{}, verify_)), ErrorCode::kInternal);
  EXPECT_THAT(audit_.lines, ElementsAre("unix front server_verify unknown_key",
                                        absl::StrCat("unix ", std::string(64, '0'),
                                                     " server_verify unknown_key")));
}

TEST_F(RemoteSignerTest, KeysAreReplacedWithoutALossOfConnectionsAndRequests) {
  StartServer();
  Connect();
  signer_->holds = true;
  const auto pending = Ask(spki_, verify_);
  loop_.RunFor(absl::Milliseconds(100));
  ASSERT_EQ(signer_->held.size(), 1u);
  // The key goes to another name, and gets a neighbour.
  const PemPair other = Issue("b.test");
  ServedKey second;
  second.spki_sha256 = *SpkiSha256Of(other.chain);
  second.name = "second";
  second.signer = std::make_shared<TestSigner>(*PrivateKey::FromPem(other.key));
  second.clients = {"unix"};
  std::vector<ServedKey> keys = {second};
  EXPECT_EQ(server_->ReplaceKeys(keys), absl::OkStatus());
  signer_->held.front()();
  loop_.RunFor(absl::Milliseconds(100));
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_TRUE(answers_.front().ok()) << "it was asked before";
  EXPECT_EQ(Fault(second.spki_sha256, verify_), absl::OkStatus());
  EXPECT_THAT(std::string(Fault(spki_, verify_).message()), HasSubstr("no such key"));
  EXPECT_EQ(dialer_.dials(), 1u);
  // What is wrong changes nothing.
  keys.push_back(second);
  EXPECT_EQ(CodeOf(server_->ReplaceKeys(keys)), ErrorCode::kConfiguration);
  EXPECT_EQ(CodeOf(server_->ReplaceKeys({})), ErrorCode::kConfiguration);
  EXPECT_EQ(Fault(second.spki_sha256, verify_), absl::OkStatus());
}

TEST_F(RemoteSignerTest, FailuresOfKeysAreTold) {
  StartServer();
  Connect();
  signer_->failure = MakeError(ErrorCode::kTransport, Phase::kSetUp, "the token is gone");
  const absl::Status away = Fault(spki_, verify_);
  EXPECT_EQ(CodeOf(away), ErrorCode::kTransport) << "another server is asked";
  EXPECT_THAT(std::string(away.message()), HasSubstr("the token is gone"));
  signer_->failure = OverLimitError(Limit::kTasks, Phase::kHandshake, "all are busy");
  EXPECT_EQ(CodeOf(Fault(spki_, verify_)), ErrorCode::kOverLimit);
}

TEST_F(RemoteSignerTest, QueuesAreBounded) {
  options_.max_waiting_per_connection = 2;
  StartServer();
  Connect(absl::Seconds(2), 3);
  signer_->holds = true;
  std::vector<std::unique_ptr<PendingCall>> pending;
  for (int i = 0; i < 4; ++i) pending.push_back(Ask(spki_, verify_));
  loop_.RunFor(absl::Milliseconds(100));
  ASSERT_EQ(answers_.size(), 2u);
  EXPECT_EQ(CodeOf(answers_[0].status()), ErrorCode::kOverLimit) << "this side's limit";
  EXPECT_EQ(CodeOf(answers_[1].status()), ErrorCode::kOverLimit) << "the server's";
}

TEST_F(RemoteSignerTest, AServerThatSaysNothingIsLeftAtTheDeadline) {
  std::vector<std::unique_ptr<Transport>> silent;
  dialer_.Listen(socket_, [&](std::unique_ptr<Transport> t) { silent.push_back(std::move(t)); });
  Connect();
  const auto pending = Ask(spki_, verify_);
  loop_.RunFor(absl::Milliseconds(1999));
  EXPECT_TRUE(answers_.empty());
  loop_.RunFor(absl::Milliseconds(2));
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_THAT(std::string(answers_[0].status().message()), HasSubstr("2s"));
  StartServer();
  EXPECT_EQ(Fault(spki_, verify_), absl::OkStatus()) << "on a new connection";
  EXPECT_EQ(dialer_.dials(), 2u);
}

TEST_F(RemoteSignerTest, AServerThatIsAwayIsDialedAgain) {
  dialer_.Refuse(socket_, MakeError(ErrorCode::kTransport, Phase::kDial, "connection refused"));
  Connect();
  const absl::Status away = Fault(spki_, verify_);
  EXPECT_EQ(CodeOf(away), ErrorCode::kTransport);
  EXPECT_THAT(std::string(away.message()), HasSubstr("connection refused"));
  StartServer();
  EXPECT_EQ(Fault(spki_, verify_), absl::OkStatus());
  server_.reset();  // Ends the connection.
  loop_.RunFor(absl::Milliseconds(10));
  StartServer();
  EXPECT_EQ(Fault(spki_, verify_), absl::OkStatus());
}

TEST_F(RemoteSignerTest, AnAnswerWithoutItsFormEndsTheConnection) {
  for (const std::string& bytes : {std::string("\0\0\0\1x", 5), std::string("\0\1\0\0", 4),
                                   std::string("\0\0\0\5\0\0\0\1\x09", 9)}) {
    std::vector<std::unique_ptr<Transport>> open;
    dialer_.Listen(socket_, [&](std::unique_ptr<Transport> transport) {
      transport->Write(AsBytes(bytes));
      open.push_back(std::move(transport));
    });
    Connect();
    EXPECT_EQ(CodeOf(Fault(spki_, verify_)), ErrorCode::kTransport);
  }
}

TEST_F(RemoteSignerTest, ARequestWithoutItsFormEndsTheConnection) {
  StartServer();
  for (const std::string& bytes : {std::string("\0\0\0\1x", 5), std::string("\0\1\0\0", 4)}) {
    auto [client, server] = NewMemoryPair(loop_);
    server_->Serve(std::move(server), {"unix"});
    EXPECT_EQ(server_->connections(), 1u);
    client->Write(AsBytes(bytes));
    loop_.RunFor(absl::Milliseconds(10));
    EXPECT_EQ(server_->connections(), 0u);
  }
}

TEST_F(RemoteSignerTest, ConnectionsWithoutNamesAndTooManyAreCut) {
  options_.max_connections = 1;
  StartServer();
  auto [nobody, for_nobody] = NewMemoryPair(loop_);
  server_->Serve(std::move(for_nobody));
  EXPECT_EQ(server_->connections(), 0u) << "plain TCP";
  auto [first, for_first] = NewMemoryPair(loop_);
  auto [second, for_second] = NewMemoryPair(loop_);
  server_->Serve(std::move(for_first), {"unix"});
  server_->Serve(std::move(for_second), {"unix"});
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(RemoteSignerTest, CancelledRequestsGetNoAnswer) {
  StartServer();
  Connect();
  signer_->holds = true;
  auto pending = Ask(spki_, verify_);
  loop_.RunFor(absl::Milliseconds(10));
  pending.reset();
  for (auto& answer : signer_->held) answer();
  loop_.RunFor(absl::Seconds(3));
  EXPECT_TRUE(answers_.empty());
}

TEST_F(RemoteSignerTest, UnusableOptionsAreRefused) {
  const auto fault = [](const absl::Status& status) {
    EXPECT_EQ(CodeOf(status), ErrorCode::kConfiguration);
    return std::string(status.message());
  };
  RemoteSignerOptions remote;
  remote.server = *Endpoint::Parse("127.0.0.1:1");
  EXPECT_THAT(fault(RemoteSigner::Create(loop_, dialer_, remote).status()),
              HasSubstr("is on the network, which needs TLS"));
  remote.server = socket_;
  remote.max_waiting = 0;
  EXPECT_THAT(fault(RemoteSigner::Create(loop_, dialer_, remote).status()),
              HasSubstr("positive and finite"));
  const auto server_fault = [&](const SigningServerOptions& options) {
    return fault(SigningServer::Create(loop_, options, audit_).status());
  };
  SigningServerOptions options = options_;
  options.keys[0].clients.clear();
  EXPECT_THAT(server_fault(options), HasSubstr("no clients"));
  options = options_;
  options.keys[0].signer = nullptr;
  EXPECT_THAT(server_fault(options), HasSubstr("no signer"));
  options = options_;
  options.keys.push_back(options.keys[0]);
  EXPECT_THAT(server_fault(options), HasSubstr("are the same"));
  options = options_;
  options.max_connections = 0;
  EXPECT_THAT(server_fault(options), HasSubstr("limits"));
  EXPECT_THAT(server_fault({}), HasSubstr("needs keys"));
  EXPECT_THAT(fault(SpkiSha256Of("no PEM").status()), HasSubstr("does not begin with"));
}

// TLS on both sides: the certificate names the client.
class RemoteSignerOverTlsTest : public RemoteSignerTest {
 protected:
  void StartTlsServer() {
    server_ = *SigningServer::Create(loop_, options_, audit_);
    ServerTlsOptions tls;
    const PemPair own = Issue("keys.test");
    tls.certificates =
        *CertificateStore::Create({*Credential::FromPem(own.chain, own.key)}, loop_.Now());
    ClientAuthOptions policies;
    policies.otherwise.certificate = ClientCertificate::kRequired;
    policies.otherwise.trust = *TrustStore::Create(pki_.ca_pem());
    tls.client_authentication = *ClientAuthentication::Create(std::move(policies));
    TlsTerminatorOptions options;
    options.front_tls = *ServerTlsConfig::Create(std::move(tls));
    options.handler = server_.get();
    terminator_ = *TlsTerminator::Create(loop_, dialer_, std::move(options));
    dialer_.Listen(address_, [this](std::unique_ptr<Transport> transport) {
      terminator_->Serve(std::move(transport));
    });
  }

  void ConnectAs(const std::string& name) {
    const PemPair own = Issue(name, false);
    ClientTlsOptions tls;
    tls.ca_pem = pki_.ca_pem();
    CredentialOptions use;
    use.use = CredentialUse::kClient;
    tls.credential = *Credential::FromPem(own.chain, own.key, use);
    RemoteSignerOptions options;
    options.server = address_;
    options.tls = *ClientTlsConfig::Create(std::move(tls));
    EXPECT_EQ(CodeOf(RemoteSigner::Create(loop_, dialer_, options).status()),
              ErrorCode::kConfiguration)
        << "a name is missing";
    options.server_name = "keys.test";
    remote_ = *RemoteSigner::Create(loop_, dialer_, options);
  }

  const Endpoint address_ = *Endpoint::Parse("192.0.2.7:7443");
  std::unique_ptr<TlsTerminator> terminator_;
};

TEST_F(RemoteSignerOverTlsTest, TheCertificateNamesTheClient) {
  StartTlsServer();
  ConnectAs("edge.test");
  EXPECT_EQ(Fault(spki_, verify_), absl::OkStatus());
  ConnectAs("other.test");
  EXPECT_EQ(CodeOf(Fault(spki_, verify_)), ErrorCode::kInternal);
  EXPECT_THAT(audit_.lines, ElementsAre("dns:edge.test front server_verify signed",
                                        "dns:other.test front server_verify unknown_key"));
}

}  // namespace
}  // namespace trestle::testing
