#include "trestle/pki/signer_proof.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pki/pki_fixture.h"
#include "trestle/pki/private_key.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

// Signs inside the call, and keeps what it was given.
class KeySigner final : public Signer {
 public:
  explicit KeySigner(std::shared_ptr<const PrivateKey> key) : key_(std::move(key)) {}

  std::unique_ptr<PendingCall> Sign(SignatureScheme scheme, ByteView input, Scheduler&,
                                    Done done) const override {
    this->scheme = scheme;
    this->input = std::string(AsText(input));
    done(failure.ok() ? key_->Sign(scheme, input) : failure);
    return nullptr;
  }

  absl::Status failure;
  mutable SignatureScheme scheme = {};
  mutable std::string input;

 private:
  const std::shared_ptr<const PrivateKey> key_;
};

class SignerProofTest : public PkiTest {
 protected:
  absl::Status Prove(const Signer& signer, const std::string& chain,
                     SigningSide side = SigningSide::kServer) {
    std::optional<absl::Status> result;
    EXPECT_EQ(ProveSigner(signer, chain, side, loop_,
                          [&](absl::Status status) { result = std::move(status); }),
              nullptr);
    EXPECT_TRUE(result.has_value());
    return result.value_or(absl::OkStatus());
  }

  static KeySigner SignerOf(const PemPair& pair) {
    return KeySigner(*PrivateKey::FromPem(pair.key));
  }

  SimulatedLoop loop_;
};

TEST_F(SignerProofTest, TheKeyOfTheCertificateIsProven) {
  for (const KeyType type : {KeyType::kEcdsa, KeyType::kRsa, KeyType::kEd25519}) {
    const PemPair pair = pki_.Issue(LeafFor("a.test", type));
    EXPECT_EQ(Prove(SignerOf(pair), pair.chain), absl::OkStatus());
  }
}

TEST_F(SignerProofTest, AnotherKeyIsFound) {
  const PemPair pair = pki_.Issue(LeafFor("a.test"));
  const absl::Status proven = Prove(SignerOf(pki_.Issue(LeafFor("b.test"))), pair.chain);
  EXPECT_THAT(ConfigurationFault(proven),
              HasSubstr("the signer's key doesn't belong to the certificate \"CN=a.test\""));
}

TEST_F(SignerProofTest, TheTextIsACertificateVerify) {
  const PemPair pair = pki_.Issue(LeafFor("a.test"));
  const KeySigner signer = SignerOf(pair);
  EXPECT_EQ(Prove(signer, pair.chain), absl::OkStatus());
  EXPECT_TRUE(absl::StartsWith(signer.input,
                               std::string(64, ' ') + "TLS 1.3, server CertificateVerify" + '\0'));
  EXPECT_EQ(signer.input.size(), 64u + 33u + 1u + 32u);
  EXPECT_EQ(signer.scheme, SignatureScheme::kEcdsaP256Sha256);
  EXPECT_EQ(Prove(signer, pair.chain, SigningSide::kClient), absl::OkStatus());
  EXPECT_THAT(signer.input, HasSubstr("TLS 1.3, client CertificateVerify"));
}

TEST_F(SignerProofTest, FailuresOfSignersArePassedOn) {
  const PemPair pair = pki_.Issue(LeafFor("a.test"));
  KeySigner signer = SignerOf(pair);
  signer.failure = MakeError(ErrorCode::kTransport, Phase::kHandshake, "the token is gone");
  EXPECT_EQ(Prove(signer, pair.chain), signer.failure);
}

TEST_F(SignerProofTest, AnUnusableCertificateIsRefused) {
  const KeySigner signer = SignerOf(pki_.Issue(LeafFor("a.test")));
  EXPECT_NE(ConfigurationFault(Prove(signer, "no certificate")), "");
}

}  // namespace
}  // namespace trestle::testing
