#include "integrations/openssl_signer/openssl_signer.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/testing/test_pki.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

ErrorCode CodeOf(const absl::Status& status) { return GetError(status).value().code; }

/// Keeps the tasks, and runs them when the test says so.
class HeldThread final : public TaskRunner {
 public:
  absl::Status Run(absl::AnyInvocable<void()> task) override {
    tasks.push_back(std::move(task));
    return absl::OkStatus();
  }

  std::vector<absl::AnyInvocable<void()>> tasks;
};

class OpenSslSignerTest : public ::testing::Test {
 protected:
  std::shared_ptr<const PrivateKey> KeyOf(KeyType type) const {
    LeafSpec leaf;
    leaf.dns_names = {"a.test"};
    leaf.key_type = type;
    return *PrivateKey::FromPem(pki_.Issue(leaf).key);
  }

  std::unique_ptr<PendingCall> Sign(const Signer& signer, SignatureScheme scheme) {
    return signer.Sign(scheme, AsBytes("text"), loop_,
                       [this](absl::StatusOr<std::string> made) { answer_ = std::move(made); });
  }

  SimulatedLoop loop_;
  TestPki pki_{loop_.Now()};
  const std::unique_ptr<OpenSslSigner> openssl_ = *OpenSslSigner::Create({});
  std::optional<absl::StatusOr<std::string>> answer_;
};

TEST_F(OpenSslSignerTest, MakesTheSignaturesOfBoringSsl) {
  const auto key = KeyOf(KeyType::kRsa);
  const auto signer = openssl_->MakeSigner(key);
  ASSERT_NE(signer, nullptr);
  for (const SignatureScheme scheme :
       {SignatureScheme::kRsaPkcs1Sha256, SignatureScheme::kRsaPkcs1Sha384,
        SignatureScheme::kRsaPkcs1Sha512}) {
    EXPECT_EQ(Sign(*signer, scheme), nullptr) << "the answer came inside the call";
    ASSERT_TRUE(answer_.has_value());
    // PKCS #1 v1.5 has no random part.
    EXPECT_EQ(**answer_, *key->Sign(scheme, AsBytes("text")));
  }
}

TEST_F(OpenSslSignerTest, MakesPssSignatures) {
  const auto signer = openssl_->MakeSigner(KeyOf(KeyType::kRsa));
  for (const SignatureScheme scheme :
       {SignatureScheme::kRsaPssSha256, SignatureScheme::kRsaPssSha384,
        SignatureScheme::kRsaPssSha512}) {
    Sign(*signer, scheme);
    ASSERT_TRUE(answer_.has_value());
    // The engine verifies each signature: e2e/interop_test makes handshakes with them.
    EXPECT_EQ((*answer_)->size(), 256u);
  }
}

TEST_F(OpenSslSignerTest, SchemesOfOtherKeysFail) {
  const auto signer = openssl_->MakeSigner(KeyOf(KeyType::kRsa));
  Sign(*signer, SignatureScheme::kEcdsaP256Sha256);
  ASSERT_TRUE(answer_.has_value());
  EXPECT_EQ(CodeOf(answer_->status()), ErrorCode::kInternal);
}

TEST_F(OpenSslSignerTest, OtherKeysAreLeftToBoringSsl) {
  EXPECT_EQ(openssl_->MakeSigner(KeyOf(KeyType::kEcdsa)), nullptr);
  EXPECT_EQ(CodeOf(openssl_->Import(*KeyOf(KeyType::kEd25519)).status()),
            ErrorCode::kConfiguration);
  const auto imported = *openssl_->Import(*KeyOf(KeyType::kRsa));
  EXPECT_EQ(CodeOf(openssl_->Import(*imported).status()), ErrorCode::kConfiguration)
      << "a key of OpenSSL is not exported";
}

TEST_F(OpenSslSignerTest, SignsOnThreads) {
  const auto thread = std::make_shared<HeldThread>();
  OpenSslSignerOptions options;
  options.threads = thread;
  const auto openssl = *OpenSslSigner::Create(std::move(options));
  const auto key = KeyOf(KeyType::kRsa);
  const auto signer = openssl->MakeSigner(key);
  const auto pending = Sign(*signer, SignatureScheme::kRsaPkcs1Sha256);
  ASSERT_EQ(thread->tasks.size(), 1u);
  thread->tasks[0]();
  loop_.RunReady();
  ASSERT_TRUE(answer_.has_value());
  EXPECT_EQ(**answer_, *key->Sign(SignatureScheme::kRsaPkcs1Sha256, AsBytes("text")));
}

TEST(OpenSslLibraryTest, AMissingOrOtherLibraryIsAnError) {
  OpenSslSignerOptions options;
  options.library = "libno-such-crypto.so.3";
  const absl::Status missing = OpenSslSigner::Create(options).status();
  EXPECT_EQ(CodeOf(missing), ErrorCode::kConfiguration);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("cannot load OpenSSL's libno-such"));
  options.library = "libm.so.6";
  const absl::Status other = OpenSslSigner::Create(options).status();
  EXPECT_EQ(CodeOf(other), ErrorCode::kConfiguration);
  EXPECT_THAT(std::string(other.message()), HasSubstr("has no function"));
}

}  // namespace
}  // namespace trestle::testing
