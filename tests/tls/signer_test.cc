// External private keys: signatures that come at once, later, wrong, or never, and those of other
// threads.
#include "trestle/pki/signer.h"

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/resuming_client.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/io/task_runner.h"
#include "trestle/pki/private_key.h"
#include "trestle/pki/thread_pool_signer.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Values;

// Keeps requests until the test makes it sign.
class HeldSigner final : public Signer {
 public:
  explicit HeldSigner(std::shared_ptr<const PrivateKey> key) : key_(std::move(key)) {}

  std::unique_ptr<PendingCall> Sign(SignatureScheme scheme, ByteView input, Scheduler& /*loop*/,
                                    Done done) const override {
    class Pending final : public PendingCall {
     public:
      explicit Pending(int& dropped) : dropped_(dropped) {}
      ~Pending() override { ++dropped_; }

     private:
      int& dropped_;
    };
    requests_.push_back({scheme, std::string(AsText(input)), std::move(done)});
    if (at_once) Answer();
    return std::make_unique<Pending>(dropped);
  }

  /// Answers the last request, with `failure` if there is one.
  void Answer() const {
    Request& request = requests_.back();
    if (failure.ok()) {
      request.done(key_->Sign(request.scheme, AsBytes(request.input)));
    } else {
      request.done(failure);
    }
  }

  size_t asked() const { return requests_.size(); }
  SignatureScheme scheme() const { return requests_.back().scheme; }

  bool at_once = false;
  absl::Status failure;
  mutable int dropped = 0;

 private:
  struct Request {
    SignatureScheme scheme;
    std::string input;
    Done done;
  };

  const std::shared_ptr<const PrivateKey> key_;
  mutable std::vector<Request> requests_;
};

class SignerTest : public TlsTest {
 protected:
  std::shared_ptr<HeldSigner> MakeHeldSigner(const PemPair& pair) {
    return std::make_shared<HeldSigner>(*PrivateKey::FromPem(pair.key));
  }

  ServerTlsOptions Showing(std::shared_ptr<const Credential> credential) {
    ServerTlsOptions options;
    options.certificates = *CertificateStore::Create({std::move(credential)}, loop_.Now());
    return options;
  }

  /// Returns a pair that waits for the server's signature.
  EnginePair Begin(ServerTlsOptions options) {
    EnginePair pair = MakePair(std::move(options));
    pair.server->SetAnswerCallback([this] { ++woken_; });
    pair.Handshake();
    EXPECT_TRUE(pair.server->waits_for_answer()) << pair.server->status();
    return pair;
  }
  EnginePair Begin() { return Begin(Showing(*Credential::FromSigner(pair_.chain, signer_))); }

  const PemPair pair_ = pki_.Issue(LeafFor("a.test"));
  const std::shared_ptr<HeldSigner> signer_ = MakeHeldSigner(pair_);
  int woken_ = 0;
};

class SignerSchemesTest : public SignerTest,
                          public ::testing::WithParamInterface<std::tuple<TlsVersion, KeyType>> {};

std::string SchemesName(const ::testing::TestParamInfo<std::tuple<TlsVersion, KeyType>>& info) {
  constexpr const char* kKeys[] = {"Ecdsa", "Rsa", "Ed25519"};
  return absl::StrCat(std::get<0>(info.param) == TlsVersion::kTls12 ? "Tls12" : "Tls13",
                      kKeys[static_cast<int>(std::get<1>(info.param))]);
}

INSTANTIATE_TEST_SUITE_P(All, SignerSchemesTest,
                         ::testing::Combine(Values(TlsVersion::kTls12, TlsVersion::kTls13),
                                            Values(KeyType::kEcdsa, KeyType::kRsa,
                                                   KeyType::kEd25519)),
                         SchemesName);

TEST_P(SignerSchemesTest, TheHandshakeWaitsForTheSignature) {
  const auto [version, key_type] = GetParam();
  const PemPair leaf = pki_.Issue(LeafFor("a.test", key_type));
  const auto signer = MakeHeldSigner(leaf);
  ServerTlsOptions options = Showing(*Credential::FromSigner(leaf.chain, signer));
  options.parameters = Only(version);
  const auto config = MakeServerConfig(std::move(options));
  ResumingClient client(version == TlsVersion::kTls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
  if (key_type == KeyType::kEd25519) {  // BoringSSL's clients don't offer it by default.
    const uint16_t scheme = SSL_SIGN_ED25519;
    ASSERT_TRUE(SSL_CTX_set_verify_algorithm_prefs(client.context(), &scheme, 1));
  }
  auto connection =
      client.StartConnection(TlsEngine::NewServer(config, loop_, Leg::kFront), "a.test");
  ASSERT_TRUE(connection->server->waits_for_answer()) << connection->server->status();
  EXPECT_EQ(signer->asked(), 1u);
  signer->Answer();
  connection->client.Handshake(*connection->server);
  EXPECT_TRUE(connection->server->handshake_done()) << connection->server->status();
  EXPECT_EQ(signer->asked(), 1u);
  EXPECT_EQ(signer->dropped, 1);
  if (version == TlsVersion::kTls13 && key_type == KeyType::kRsa) {
    EXPECT_EQ(signer->scheme(), SignatureScheme::kRsaPssSha256);
  }
}

TEST_F(SignerTest, AnImmediateAnswerIsUsed) {
  signer_->at_once = true;
  EnginePair pair = MakePair(Showing(*Credential::FromSigner(pair_.chain, signer_)));
  pair.Handshake();
  EXPECT_TRUE(pair.server->handshake_done()) << pair.server->status();
  EXPECT_TRUE(pair.client->handshake_done()) << pair.client->status();
  EXPECT_EQ(signer_->dropped, 1);
}

TEST_F(SignerTest, TheEngineIsWokenOnce) {
  EnginePair pair = Begin();
  EXPECT_EQ(pair.server->Handshake(), IoState::kWouldBlock);
  signer_->Answer();
  signer_->Answer();
  EXPECT_EQ(woken_, 1);
  pair.Handshake();
  EXPECT_TRUE(pair.client->handshake_done());
}

TEST_F(SignerTest, AFailureEndsTheHandshake) {
  EnginePair pair = Begin();
  signer_->failure = absl::UnavailableError("the vault is shut");
  signer_->Answer();
  pair.Handshake();
  EXPECT_EQ(CodeOf(pair.server->status()), ErrorCode::kInternal);
  EXPECT_THAT(pair.server->status().message(), HasSubstr("the vault is shut"));
  EXPECT_FALSE(pair.client->handshake_done());
}

TEST_F(SignerTest, AFailureMayHaveItsOwnCode) {
  EnginePair pair = Begin();
  Error error;
  error.code = ErrorCode::kOverLimit;
  error.detail = "too many";
  signer_->failure = MakeError(error);
  signer_->Answer();
  pair.Handshake();
  EXPECT_EQ(CodeOf(pair.server->status()), ErrorCode::kOverLimit);
}

TEST_F(SignerTest, ASignatureByAnotherKeyIsNotSent) {
  const auto other = MakeHeldSigner(pki_.Issue(LeafFor("a.test")));
  EnginePair pair = Begin(Showing(*Credential::FromSigner(pair_.chain, other)));
  other->Answer();
  pair.Handshake();
  EXPECT_EQ(CodeOf(pair.server->status()), ErrorCode::kInternal);
  EXPECT_THAT(pair.server->status().message(), HasSubstr("not one by the certificate's key"));
}

TEST_F(SignerTest, AKeyOfAnotherKindIsReported) {
  const auto other = MakeHeldSigner(pki_.Issue(LeafFor("a.test", KeyType::kRsa)));
  EnginePair pair = Begin(Showing(*Credential::FromSigner(pair_.chain, other)));
  other->Answer();
  pair.Handshake();
  EXPECT_THAT(pair.server->status().message(), HasSubstr("no signatures of the scheme 0x0403"));
}

TEST_F(SignerTest, ASignerThatDoesNotAnswerTimesOut) {
  ServerTlsOptions options = Showing(*Credential::FromSigner(pair_.chain, signer_));
  options.answer_timeout = absl::Seconds(2);
  EnginePair pair = Begin(std::move(options));
  loop_.RunFor(absl::Milliseconds(1999));
  EXPECT_TRUE(pair.server->waits_for_answer());
  EXPECT_EQ(signer_->dropped, 0);
  loop_.RunFor(absl::Milliseconds(1));
  EXPECT_EQ(woken_, 1);
  EXPECT_EQ(signer_->dropped, 1) << "cancelled";
  EXPECT_EQ(CodeOf(pair.server->status()), ErrorCode::kTimeout);
  EXPECT_THAT(pair.server->status().message(), HasSubstr("no answer from the signer within 2s"));
  EXPECT_EQ(AlertOf(pair.server->status()), SSL_AD_INTERNAL_ERROR);
  signer_->Answer();
  pair.Handshake();
  EXPECT_EQ(CodeOf(pair.client->status()), ErrorCode::kPeerAlert);
}

TEST_F(SignerTest, DestroyingTheConnectionCancels) {
  Begin().server.reset();
  EXPECT_EQ(signer_->dropped, 1);
  signer_->Answer();
  EXPECT_EQ(woken_, 0);
  EXPECT_EQ(loop_.RunUntilIdle(), 0u) << "no timer remains";
}

TEST_F(SignerTest, NeedsAChainAndASigner) {
  EXPECT_EQ(CodeOf(Credential::FromSigner(pair_.chain, nullptr).status()),
            ErrorCode::kConfiguration);
  EXPECT_EQ(CodeOf(Credential::FromSigner("", signer_).status()), ErrorCode::kConfiguration);
}

TEST_F(SignerTest, ATimeoutOfZeroIsRejected) {
  ServerTlsOptions options = Showing(*Credential::FromSigner(pair_.chain, signer_));
  options.answer_timeout = absl::ZeroDuration();
  EXPECT_EQ(CodeOf(ServerTlsConfig::Create(std::move(options)).status()),
            ErrorCode::kConfiguration);
}

// A thread that runs on demand.
class HeldThread final : public TaskRunner {
 public:
  absl::Status Run(absl::AnyInvocable<void()> task) override {
    if (!refusal.ok()) return refusal;
    tasks.push_back(std::move(task));
    return absl::OkStatus();
  }

  absl::Status refusal;
  std::vector<absl::AnyInvocable<void()>> tasks;
};

class ThreadPoolSignerTest : public SignerTest {
 protected:
  std::shared_ptr<const Credential> MakeCredential(KeyType key_type) {
    const PemPair pair = pki_.Issue(LeafFor("a.test", key_type));
    CredentialOptions options;
    options.signers = &pool_;
    return *Credential::FromPem(pair.chain, pair.key, options);
  }

  const std::shared_ptr<HeldThread> thread_ = std::make_shared<HeldThread>();
  ThreadPoolSigner pool_{thread_};
};

TEST_F(ThreadPoolSignerTest, RsaSignsOnOtherThreads) {
  EnginePair pair = Begin(Showing(MakeCredential(KeyType::kRsa)));
  ASSERT_EQ(thread_->tasks.size(), 1u);
  thread_->tasks[0]();
  EXPECT_EQ(woken_, 0) << "the answer comes on the loop";
  loop_.RunReady();
  EXPECT_EQ(woken_, 1);
  pair.Handshake();
  EXPECT_TRUE(pair.client->handshake_done()) << pair.client->status();
}

TEST_F(ThreadPoolSignerTest, OtherKeysSignOnTheLoop) {
  EnginePair pair = MakePair(Showing(MakeCredential(KeyType::kEcdsa)));
  pair.Handshake();
  EXPECT_TRUE(pair.client->handshake_done());
  EXPECT_TRUE(thread_->tasks.empty());
}

TEST_F(ThreadPoolSignerTest, WithoutAFreeThreadTheHandshakeFails) {
  Error error;
  error.code = ErrorCode::kOverLimit;
  error.detail = "all are busy";
  thread_->refusal = MakeError(error);
  EnginePair pair = MakePair(Showing(MakeCredential(KeyType::kRsa)));
  pair.Handshake();
  EXPECT_EQ(CodeOf(pair.server->status()), ErrorCode::kOverLimit);
  EXPECT_THAT(pair.server->status().message(), HasSubstr("all are busy"));
}

TEST_F(ThreadPoolSignerTest, NothingIsPostedAfterTheConnectionIsDestroyed) {
  Begin(Showing(MakeCredential(KeyType::kRsa))).server.reset();
  thread_->tasks.at(0)();
  EXPECT_EQ(loop_.RunReady(), 0u) << "nothing was posted";
  Begin(Showing(MakeCredential(KeyType::kRsa))).server.reset();
  EnginePair pair = Begin(Showing(MakeCredential(KeyType::kRsa)));
  thread_->tasks.at(2)();
  pair.server.reset();  // The answer is on its way.
  loop_.RunReady();
  EXPECT_EQ(woken_, 0);
}

}  // namespace
}  // namespace trestle::testing
