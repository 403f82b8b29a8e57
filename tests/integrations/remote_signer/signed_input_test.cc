#include "integrations/remote_signer/signed_input.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "trestle/pki/signer_proof.h"

namespace trestle::testing {
namespace {

SignedInput KindOf(const std::string& text) { return SignedInputOf(AsBytes(text)); }

// The input of a ServerKeyExchange on a curve, with a point of `bytes` bytes.
std::string KeyExchange(char curve, size_t bytes, char first = 4) {
  return absl::StrCat(std::string(64, 'r'), std::string{3, 0, curve},
                      std::string(1, static_cast<char>(bytes)), std::string(1, first),
                      std::string(bytes - 1, 'p'));
}

TEST(SignedInputTest, KnowsBothSidesOfCertificateVerify) {
  for (const size_t bytes : {32, 48}) {
    const std::string hash(bytes, 'h');
    EXPECT_EQ(KindOf(CertificateVerifyInput(SigningSide::kServer, AsBytes(hash))),
              SignedInput::kServerVerify);
    EXPECT_EQ(KindOf(CertificateVerifyInput(SigningSide::kClient, AsBytes(hash))),
              SignedInput::kClientVerify);
  }
}

TEST(SignedInputTest, KnowsServerKeyExchange) {
  EXPECT_EQ(KindOf(KeyExchange(23, 65)), SignedInput::kServerKeyExchange);
  EXPECT_EQ(KindOf(KeyExchange(24, 97)), SignedInput::kServerKeyExchange);
  EXPECT_EQ(KindOf(KeyExchange(25, 133)), SignedInput::kServerKeyExchange);
  EXPECT_EQ(KindOf(KeyExchange(29, 32, 'x')), SignedInput::kServerKeyExchange);
}

TEST(SignedInputTest, EverythingElseIsOther) {
  const std::string verify =
      CertificateVerifyInput(SigningSide::kServer, AsBytes(std::string(32, 'h')));
  EXPECT_EQ(KindOf(""), SignedInput::kOther);
  EXPECT_EQ(KindOf("a text"), SignedInput::kOther);
  EXPECT_EQ(KindOf(verify.substr(1)), SignedInput::kOther);
  EXPECT_EQ(KindOf(verify + "h"), SignedInput::kOther) << "no hash is so long";
  EXPECT_EQ(KindOf(verify.substr(0, verify.size() - 1)), SignedInput::kOther);
  EXPECT_EQ(KindOf(KeyExchange(23, 64)), SignedInput::kOther) << "no point of P-256";
  EXPECT_EQ(KindOf(KeyExchange(23, 65, 2)), SignedInput::kOther) << "a compressed point";
  EXPECT_EQ(KindOf(KeyExchange(22, 65)), SignedInput::kOther) << "another curve";
  EXPECT_EQ(KindOf(KeyExchange(23, 65) + "x"), SignedInput::kOther);
  std::string explicit_curve = KeyExchange(23, 65);
  explicit_curve[64] = 1;
  EXPECT_EQ(KindOf(explicit_curve), SignedInput::kOther);
}

TEST(SignedInputTest, KindsHaveNames) {
  EXPECT_EQ(EnumName(SignedInput::kServerVerify), "server_verify");
  EXPECT_EQ(EnumName(SignedInput::kClientVerify), "client_verify");
  EXPECT_EQ(EnumName(SignedInput::kServerKeyExchange), "server_key_exchange");
  EXPECT_EQ(EnumName(SignedInput::kOther), "other");
}

}  // namespace
}  // namespace trestle::testing
