// Every "-----BEGIN" of a PEM text is used, or refused with its line: wherever PEM is read.
#include <openssl/bytestring.h>
#include <openssl/curve25519.h>
#include <openssl/evp.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/ech_pair.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/pki/private_key.h"
#include "trestle/pki/trust_store.h"
#include "trestle/tls/credential.h"
#include "trestle/tls/ech_keys.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Block(const std::string& label, absl::string_view der) {
  return absl::StrCat("-----BEGIN ", label, "-----\n", absl::Base64Escape(der), "\n-----END ",
                      label, "-----\n");
}

std::string DetailOf(const absl::Status& status) {
  if (status.ok()) return "";
  EXPECT_EQ(CodeOf(status), ErrorCode::kConfiguration);
  return GetError(status)->detail;
}

// A place where PEM is read, with a good text of two blocks for it.
struct Reader {
  std::string what;  // How messages name the text.
  std::string good;
  std::function<absl::Status(const std::string&)> read;
};

class PemTest : public TlsTest {
 protected:
  std::vector<Reader> Readers() {
    const EchPair ech = NewEchPair(1, "public.test");
    const PemPair& leaf = leaf_;
    return {
        {"the certificate chain", leaf.chain,
         [&leaf](const std::string& text) { return Credential::FromPem(text, leaf.key).status(); }},
        {"the private key's text", leaf.key,
         [&leaf](const std::string& text) {
           return Credential::FromPem(leaf.chain, text).status();
         }},
        {"the private key's text", leaf.key,
         [](const std::string& text) { return PrivateKey::FromPem(text).status(); }},
        {"the CA file", pki_.ca_pem() + intermediate_.chain_pem(),
         [](const std::string& text) { return TrustStore::Create(text).status(); }},
        {"the CRL file", pki_.IssueCrl({}) + intermediate_.IssueCrl({}),
         [this](const std::string& text) {
           return TrustStore::Create(pki_.ca_pem(), text).status();
         }},
        {"the text of the ECH keys", ech.pem(),
         [](const std::string& text) { return EchKeys::FromPem(text).status(); }},
        {"the file of known intermediates", intermediate_.chain_pem(),
         [this](const std::string& text) {
           return ChainChecker::Create({*TrustStore::Create(pki_.ca_pem()), text}).status();
         }},
    };
  }

  TestPki intermediate_{pki_, "Intermediate"};
  const PemPair leaf_ = intermediate_.Issue(LeafFor("a.test"));
};

TEST_F(PemTest, WhatIsHarmlessAroundBlocksIsFine) {
  for (const Reader& reader : Readers()) {
    SCOPED_TRACE(reader.what);
    EXPECT_EQ(DetailOf(reader.read(reader.good)), "");
    EXPECT_EQ(DetailOf(reader.read("\xef\xbb\xbf" + reader.good)), "") << "byte order mark";
    EXPECT_EQ(DetailOf(reader.read("# comment\n\n\xef\xbb\xbf" + reader.good)), "")
        << "a file with a byte order mark behind another one";
    EXPECT_EQ(DetailOf(reader.read(absl::StrReplaceAll(reader.good, {{"\n", "\r\n"}}))), "");
    EXPECT_EQ(DetailOf(reader.read(absl::StrReplaceAll(reader.good, {{"-----\n", "----- \t\n"}}))),
              "");
    EXPECT_EQ(DetailOf(reader.read(
                  "Bag Attributes\n    friendlyName: a\nKey Attributes: <No Attributes>\n" +
                  reader.good + "trailing text\n")),
              "");
  }
}

TEST_F(PemTest, NoBlockIsPassedOverSilently) {
  const struct {
    std::string prefix;  // Before the first BEGIN.
    std::string fault;
  } kRows[] = {
      {"  ", "line 2: \"-----BEGIN\" doesn't begin its line: \"  \" is before it"},
      {"> ", "line 2: \"-----BEGIN\" doesn't begin its line: \"> \" is before it"},
      {"\"", "line 2: \"-----BEGIN\" doesn't begin its line: \"\\x22\" is before it"},
      {"-----END CERTIFICATE-----", "line 2: an END and a BEGIN are on one line"},
  };
  for (const Reader& reader : Readers()) {
    for (const auto& row : kRows) {
      EXPECT_THAT(DetailOf(reader.read("\n" + row.prefix + reader.good)),
                  StartsWith(absl::StrCat(reader.what, ", ", row.fault)));
    }
    // A second one, after the first was read.
    EXPECT_THAT(DetailOf(reader.read(reader.good + " " + reader.good)),
                HasSubstr("\"-----BEGIN\" doesn't begin its line"));
  }
}

TEST_F(PemTest, BlocksOfOtherKindsAreRefusedWithTheirLine) {
  for (const Reader& reader : Readers()) {
    for (const char* label : {"PKCS7", "DER", "TRUSTED CERTIFICATE", "CERTIFICATE REQUEST",
                              "OPENSSH PRIVATE KEY", "certificate"}) {
      const std::string fault =
          DetailOf(reader.read("one\ntwo\n" + Block(label, "0") + reader.good));
      EXPECT_THAT(fault, StartsWith(absl::StrCat(reader.what, ", line 3: found a PEM block \"",
                                                 label, "\", which is not used here")));
    }
  }
}

TEST_F(PemTest, DamagedBlocksAreRefusedWithTheirLine) {
  for (const Reader& reader : Readers()) {
    SCOPED_TRACE(reader.what);
    const size_t end = reader.good.find("-----END");
    const std::string rest = reader.good.substr(reader.good.find('\n', end) + 1);
    const std::string begin = reader.good.substr(0, end);
    EXPECT_THAT(DetailOf(reader.read("\n" + begin + rest)),
                StartsWith(absl::StrCat(reader.what, ", line 2: the PEM block ")));
    EXPECT_THAT(DetailOf(reader.read(begin)), HasSubstr("is damaged: it has no END line"));
    EXPECT_THAT(DetailOf(reader.read(begin + "-----END OTHER-----\n")),
                HasSubstr("is damaged: it ends with \"-----END OTHER-----\""));
    EXPECT_THAT(DetailOf(reader.read("-----BEGIN-----\n" + reader.good)),
                HasSubstr("line 1: the BEGIN line is malformed: \"-----BEGIN-----\""));
    EXPECT_THAT(DetailOf(reader.read(absl::StrReplaceAll(reader.good, {{"M", "!"}}))),
                HasSubstr("is damaged"));
  }
}

// Good base64 of what is no certificate, list, key or config.
TEST_F(PemTest, BlocksThatDoNotParseAreRefusedWithTheirLine) {
  for (const Reader& reader : Readers()) {
    SCOPED_TRACE(reader.what);
    const size_t begin = reader.good.find("-----BEGIN ") + 11;
    const std::string label = reader.good.substr(begin, reader.good.find("-----\n") - begin);
    EXPECT_THAT(DetailOf(reader.read("one\n\n" + Block(label, "0\x01 and more"))),
                StartsWith(absl::StrCat(reader.what, ", line 3: ")));
  }
  const EchPair ech = NewEchPair(1, "public.test");
  const std::string key = ech.pem().substr(0, ech.pem().find("-----BEGIN ECHCONFIG"));
  EXPECT_THAT(DetailOf(EchKeys::FromPem(key + Block("ECHCONFIG", "no config")).status()),
              StartsWith("the text of the ECH keys, line 4: "));
}

TEST_F(PemTest, OtherEncodingsAreNamed) {
  for (const Reader& reader : Readers()) {
    EXPECT_THAT(DetailOf(reader.read("\xff\xfe-\0")), HasSubstr("is UTF-16 text"));
  }
  EXPECT_THAT(DetailOf(TrustStore::Create("0\x82\x01").status()), HasSubstr("is it DER?"));
}

TEST_F(PemTest, RevocationListsAmongCasCountOnlyWhereTheyAreRead) {
  const std::string both = pki_.ca_pem() + pki_.IssueCrl({});
  EXPECT_THAT(DetailOf(TrustStore::Create(both).status()),
              HasSubstr("found a PEM block \"X509 CRL\", which is not used here: revocation lists "
                        "are given separately"));
  EXPECT_EQ(DetailOf(TrustStore::Create(both, both).status()), "");
}

TEST_F(PemTest, ASecondPrivateKeyIsRefused) {
  const PemPair other = pki_.Issue(LeafFor("b.test"));
  EXPECT_THAT(DetailOf(Credential::FromPem(leaf_.chain, leaf_.key + other.key).status()),
              HasSubstr("found a second private key, beside that in line 1"));
}

// Made for these tests; the passphrase is "secret".
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

TEST_F(PemTest, AKeyThatDoesNotParseSaysItsKindAndCurve) {
  EXPECT_THAT(DetailOf(PrivateKey::FromPem(kSecp256k1).status()), HasSubstr(": EC, secp256k1)"));
  EXPECT_THAT(DetailOf(PrivateKey::FromPem(kBrainpool).status()), HasSubstr(": brainpoolP256r1)"));
  EXPECT_THAT(DetailOf(PrivateKey::FromPem(kEd448).status()), HasSubstr(": ED448)"));
}

TEST_F(PemTest, AnUnknownEncryptionIsNoWrongPassphrase) {
  PassphraseCallback passphrases = [](absl::string_view) { return std::string("secret"); };
  const auto fault = [&](const char* pem) {
    return DetailOf(PrivateKey::FromPem(pem, &passphrases).status());
  };
  EXPECT_THAT(fault(kScrypt), HasSubstr("in a way that is not supported (PBES2, scrypt, "));
  EXPECT_THAT(fault(kAria), HasSubstr("in a way that is not supported (PBES2, PBKDF2, hmacWith"));
  EXPECT_THAT(fault(kOldAria), HasSubstr("in a way that is not supported (ARIA-256-CBC)"));
}

TEST_F(PemTest, Ed25519InPkcs8OfVersion2IsRead) {
  uint8_t public_key[32];
  uint8_t private_key[64];
  ED25519_keypair(public_key, private_key);
  // RFC 8410 10.3: version 1 stands for version 2.
  const auto pem = [&] {
    std::string der("\x30\x51\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", 16);
    der.append(reinterpret_cast<const char*>(private_key), 32);
    der.append("\x81\x21\x00", 3).append(reinterpret_cast<const char*>(public_key), 32);
    return Block("PRIVATE KEY", der);
  };
  EXPECT_EQ(DetailOf(PrivateKey::FromPem(pem()).status()), "");
  public_key[0] ^= 1;
  EXPECT_THAT(DetailOf(PrivateKey::FromPem(pem()).status()), HasSubstr("doesn't parse"))
      << "the public key is another one's";
}

}  // namespace
}  // namespace trestle::testing
