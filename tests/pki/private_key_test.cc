#include "trestle/pki/private_key.h"

#include <openssl/curve25519.h>

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pki/pki_fixture.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

// Generated for these tests; the passphrase is "secret".
constexpr char kSecp256k1[] = R"(-----BEGIN PRIVATE KEY-----
MIGEAgEAMBAGByqGSM49AgEGBSuBBAAKBG0wawIBAQQgXEtyZZCYmD3opJ/oU9lF
hQAi7mWS7mXM/y2nEYi7enuhRANCAAT8uZhcm0eZhriJykEUfh1KRbhTKSLWXkXj
s6uovMvZ0WGz79kw2EgFKm8ij9g8Wj9zEPhX4fnUrDY+BxiTON9u
-----END PRIVATE KEY-----
)";
constexpr char kBrainpool[] = R"(-----BEGIN EC PRIVATE KEY-----
MHgCAQEEICacVIa3hmBZyYk6w1wb6sFo+D63/pWGd46ui3xS543coAsGCSskAwMC
CAEBB6FEA0IABHaSkhhBB7h2wiMzk+PGk59dYPOGpS45g+dG+U1TVM6idE12hXyU
oDnoIJ/6UGV8Qa6sc3j+MsXtwL0Se2aO+wg=
-----END EC PRIVATE KEY-----
)";
constexpr char kEd448[] = R"(-----BEGIN PRIVATE KEY-----
MEcCAQAwBQYDK2VxBDsEOR0wPpIgWtH04VRUj1ULDMPCx6scijwuvAob6uU9YLui
SLo4v2zAGilpHdzqUtk52wV5DyHwJMUCGg==
-----END PRIVATE KEY-----
)";
constexpr char kScrypt[] = R"(-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHjME4GCSqGSIb3DQEFDTBBMCAGCSsGAQQB2kcECzATBAi0yglwFn458AIBAgIB
AQIBATAdBglghkgBZQMEASoEEIf6AbPAYOr7E4OlIWM6amoEgZCniOnX7yiyhrcY
shpDziV4gr1Zr5OD08c7OsTSLS+0evWKEVPq/jMAMjoZB3XkqI/4m97MuwZ6yUDy
BFJkNPWjktejuaE+4WZbvERW4ortQDvfBailBcV5rxW0QHeVsJ75qBXDv5Hk/kyX
0GXR+U/CgZPfvrde/3N4mIK81jf2cjRszMCuAexCOHyKosqKuoE=
-----END ENCRYPTED PRIVATE KEY-----
)";
constexpr char kAria[] = R"(-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhVdsTwmypvpAICCAAw
DAYIKoZIhvcNAgkFADAdBgkqgxqMmm4BAQwEEJ1BQBzr+j0tqKii0bvGscgEgZAz
kIApL5Hi8R5iTPtQ8QSiSMEJ9hdoAV99hP4VZAJofzDCD6JD3MgsAWJ9JXlumaiG
E5aFsqYyJSyGE9SNKZ1dXJpMu6/ATWkXtmsZu8L4YHpJwgu3e2GLPC63HBEnx1R2
5ZBrqen/tbnfaqzYeMqfThIFE3IGiQZ7Y4KmQlaKfBEnf/R/Q8zk7oUaStqWbhk=
-----END ENCRYPTED PRIVATE KEY-----
)";
constexpr char kOldAria[] = R"(-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: ARIA-256-CBC,D390DAAD0415EDAA6A35BDBB2FCABE49

CFPlA6Sanoc7c7zzxbf97ynbL3HJO73ODCPIQ8zlRfw46/H6ax9UDTw8y+Crol+I
myFFkay2GK38l9/i9xz17zo26SDkRap1nhF2MNFzg/BBLqLtZ1pd56s90VQNR7oC
S5NoHwTsj8TTpc16YG1hZ+lyD/bX4qQqoBZnBl+J1M0=
-----END EC PRIVATE KEY-----
)";

TEST(PrivateKeyTest, AnErrorAboutAKeyHasItsKindAndCurve) {
  EXPECT_THAT(ConfigurationFault(PrivateKey::FromPem(kSecp256k1).status()),
              HasSubstr(": EC, secp256k1)"));
  EXPECT_THAT(ConfigurationFault(PrivateKey::FromPem(kBrainpool).status()),
              HasSubstr(": brainpoolP256r1)"));
  EXPECT_THAT(ConfigurationFault(PrivateKey::FromPem(kEd448).status()), HasSubstr(": ED448)"));
}

TEST(PrivateKeyTest, AnUnknownEncryptionIsNotAWrongPassphrase) {
  PassphraseCallback passphrases = [](absl::string_view) { return std::string("secret"); };
  const auto fault = [&](const char* pem) {
    return ConfigurationFault(PrivateKey::FromPem(pem, &passphrases).status());
  };
  EXPECT_THAT(fault(kScrypt), HasSubstr("in a way that is not supported (PBES2, scrypt, "));
  EXPECT_THAT(fault(kAria), HasSubstr("in a way that is not supported (PBES2, PBKDF2, hmacWith"));
  EXPECT_THAT(fault(kOldAria), HasSubstr("in a way that is not supported (ARIA-256-CBC)"));
}

TEST(PrivateKeyTest, Ed25519InPkcs8OfVersion2IsRead) {
  uint8_t public_key[32];
  uint8_t private_key[64];
  ED25519_keypair(public_key, private_key);
  // In the encoding of RFC 8410 10.3, the value 1 means version 2.
  const auto pem = [&] {
    std::string der("\x30\x51\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", 16);
    der.append(reinterpret_cast<const char*>(private_key), 32);
    der.append("\x81\x21\x00", 3).append(reinterpret_cast<const char*>(public_key), 32);
    return PemBlockOf("PRIVATE KEY", der);
  };
  EXPECT_EQ(ConfigurationFault(PrivateKey::FromPem(pem()).status()), "");
  public_key[0] ^= 1;
  EXPECT_THAT(ConfigurationFault(PrivateKey::FromPem(pem()).status()), HasSubstr("doesn't parse"))
      << "the public key is that of another key";
}

using PrivateKeySignTest = PkiTest;

TEST_F(PrivateKeySignTest, AKeySignsWithSchemesOfItsKindOnly) {
  const auto key = *PrivateKey::FromPem(pki_.Issue(LeafFor("a.test")).key);
  EXPECT_FALSE(key->is_rsa());
  EXPECT_TRUE(key->Sign(SignatureScheme::kEcdsaP256Sha256, AsBytes("text")).ok());
  const auto refused = key->Sign(SignatureScheme::kRsaPssSha256, AsBytes("text"));
  EXPECT_EQ(CodeOf(refused.status()), ErrorCode::kInternal);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("of the scheme 0x0804"));
}

TEST_F(PrivateKeySignTest, ASecondPrivateKeyIsRejected) {
  const std::string key = pki_.Issue(LeafFor("a.test")).key;
  const std::string other = pki_.Issue(LeafFor("b.test")).key;
  EXPECT_THAT(ConfigurationFault(PrivateKey::FromPem(key + other).status()),
              HasSubstr("found a second private key, beside that in line 1"));
}

}  // namespace
}  // namespace trestle::testing
