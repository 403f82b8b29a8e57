#include "trestle/tls/credential.h"

#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pki/pem_rules.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/pki/trust_store.h"
#include "trestle/testing/test_pki.h"

namespace trestle::testing {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::string_view kOtherBlock =
    "-----BEGIN DH PARAMETERS-----\nMAYCAQcCAQI=\n-----END DH PARAMETERS-----\n";

LeafSpec Leaf(KeyType key_type = KeyType::kEcdsa) {
  LeafSpec leaf;
  leaf.dns_names = {"a.test", "*.B.test"};
  leaf.ip_names = {"192.0.2.1", "2001:db8::1"};
  leaf.key_type = key_type;
  return leaf;
}

// Returns the text of the failure; also checks the common parts of all failures.
std::string FailureOf(absl::string_view chain, absl::string_view key) {
  auto credential = Credential::FromPem(chain, key);
  EXPECT_EQ(ERR_peek_error(), 0u);
  if (credential.ok()) return "no failure";
  const std::optional<Error> error = GetError(credential.status());
  if (!error.has_value()) return "not an Error";
  EXPECT_EQ(error->code, ErrorCode::kConfiguration);
  return error->detail;
}

// Converts a PKCS#8 key to its older form.
std::string ToTraditional(const std::string& pkcs8) {
  bssl::UniquePtr<BIO> in(BIO_new_mem_buf(pkcs8.data(), -1));
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  if (EVP_PKEY_id(key.get()) == EVP_PKEY_RSA) {
    PEM_write_bio_RSAPrivateKey(out.get(), EVP_PKEY_get0_RSA(key.get()), nullptr, nullptr, 0,
                                nullptr, nullptr);
  } else {
    PEM_write_bio_ECPrivateKey(out.get(), EVP_PKEY_get0_EC_KEY(key.get()), nullptr, nullptr, 0,
                               nullptr, nullptr);
  }
  const uint8_t* text = nullptr;
  size_t bytes = 0;
  BIO_mem_contents(out.get(), &text, &bytes);
  return std::string(reinterpret_cast<const char*>(text), bytes);
}

std::string Encrypt(const std::string& pkcs8) {
  bssl::UniquePtr<BIO> in(BIO_new_mem_buf(pkcs8.data(), -1));
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), EVP_aes_128_cbc(), "secret", 6, nullptr,
                                nullptr);
  const uint8_t* text = nullptr;
  size_t bytes = 0;
  BIO_mem_contents(out.get(), &text, &bytes);
  return std::string(reinterpret_cast<const char*>(text), bytes);
}

class CredentialTest : public ::testing::Test {
 protected:
  const absl::Time now_ = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01
  TestPki pki_{now_};
};

TEST_F(CredentialTest, DescribesTheCredential) {
  for (const KeyType type : {KeyType::kEcdsa, KeyType::kRsa, KeyType::kEd25519}) {
    LeafSpec leaf = Leaf(type);
    leaf.not_before = now_ - absl::Hours(1);
    leaf.not_after = now_ + absl::Hours(1);
    const PemPair pair = pki_.Issue(leaf);
    auto credential = Credential::FromPem(pair.chain, pair.key);
    ASSERT_TRUE(credential.ok()) << credential.status();
    EXPECT_EQ((*credential)->key_type(), type);
    ASSERT_EQ((*credential)->chain().size(), 1u);
    EXPECT_THAT((*credential)->chain().front().dns_names, ElementsAre("a.test", "*.b.test"));
    EXPECT_TRUE((*credential)->ValidAt(now_));
    EXPECT_FALSE((*credential)->ValidAt(now_ - absl::Hours(2)));
    EXPECT_FALSE((*credential)->ValidAt(now_ + absl::Hours(2)));
  }
}

TEST_F(CredentialTest, AcceptsChainsAndOlderKeyFormsAndOtherBlocks) {
  TestPki intermediate(pki_, "Intermediate");
  const PemPair pair = intermediate.Issue(Leaf());
  auto credential = Credential::FromPem(absl::StrCat(kOtherBlock, pair.chain, pki_.ca_pem()),
                                        absl::StrCat(kOtherBlock, ToTraditional(pair.key)));
  ASSERT_TRUE(credential.ok()) << credential.status();
  ASSERT_EQ((*credential)->chain().size(), 3u);
  EXPECT_EQ((*credential)->chain()[1].subject, "CN=Intermediate");
  EXPECT_EQ((*credential)->chain()[2].subject, "CN=Trestle Test CA");

  const PemPair rsa = pki_.Issue(Leaf(KeyType::kRsa));
  const std::string one_file = absl::StrCat(ToTraditional(rsa.key), rsa.chain);
  EXPECT_EQ(FailureOf(one_file, one_file), "no failure");
}

TEST_F(CredentialTest, NamesTheFaultyPart) {
  const PemPair pair = pki_.Issue(Leaf());
  const PemPair other = pki_.Issue(Leaf());
  EXPECT_THAT(FailureOf("", pair.key), HasSubstr("certificate chain holds no PEM block"));
  EXPECT_THAT(FailureOf(pair.key, pair.key), HasSubstr("certificate chain holds no PEM block"));
  EXPECT_THAT(FailureOf(pair.chain.substr(0, pair.chain.size() / 2), pair.key),
              HasSubstr("line 1: the PEM block \"CERTIFICATE\" is damaged: it has no END line"));
  EXPECT_THAT(
      FailureOf(pair.chain + "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
                pair.key),
      ContainsRegex("certificate chain, line [0-9]+: certificate 2 doesn't parse"));
  EXPECT_THAT(FailureOf(pair.chain, ""), HasSubstr("holds no PEM block \"PRIVATE KEY\""));
  EXPECT_THAT(FailureOf(pair.chain, pair.key.substr(0, pair.key.size() / 2)),
              HasSubstr("private key's text, line 1: the PEM block \"PRIVATE KEY\" is damaged"));
  EXPECT_THAT(
      FailureOf(pair.chain, "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"),
      HasSubstr("private key's text, line 1: the private key doesn't parse"));
  EXPECT_THAT(FailureOf(pair.chain, Encrypt(pair.key)), HasSubstr("encrypted"));
  EXPECT_THAT(FailureOf(pair.chain, other.key),
              HasSubstr("doesn't belong to the certificate \"CN=a.test\""));
  EXPECT_THAT(FailureOf(other.chain + pair.chain, pair.key),
              HasSubstr("belongs to certificate 2 of the chain"));
}

TEST_F(CredentialTest, EveryBlockOfAPemTextIsUsedOrRejected) {
  const TestPki intermediate(pki_, "Intermediate");
  const PemPair pair = intermediate.Issue(Leaf());
  ExpectPemRules({"the certificate chain", pair.chain, [&](const std::string& text) {
                    return Credential::FromPem(text, pair.key).status();
                  }});
  ExpectPemRules({"the private key's text", pair.key, [&](const std::string& text) {
                    return Credential::FromPem(pair.chain, text).status();
                  }});
}

TEST_F(CredentialTest, RejectsWeakKeysAndMissingNames) {
  LeafSpec weak = Leaf(KeyType::kRsa);
  weak.rsa_bits = 1024;
  const PemPair weak_pair = pki_.Issue(weak);
  EXPECT_THAT(FailureOf(weak_pair.chain, weak_pair.key), HasSubstr("1024 bits"));

  LeafSpec nameless;
  nameless.common_name = "a.test";
  const PemPair nameless_pair = pki_.Issue(nameless);
  EXPECT_THAT(FailureOf(nameless_pair.chain, nameless_pair.key),
              HasSubstr("\"CN=a.test\" has no subject alternative names"));

  // P-224 is not a curve of TLS; its key usage is irrelevant.
  bssl::UniquePtr<EC_KEY> p224(EC_KEY_new_by_curve_name(NID_secp224r1));
  ASSERT_TRUE(EC_KEY_generate_key(p224.get()));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  ASSERT_TRUE(EVP_PKEY_set1_EC_KEY(key.get(), p224.get()));
  bssl::UniquePtr<BIO> pem(BIO_new(BIO_s_mem()));
  ASSERT_TRUE(
      PEM_write_bio_PKCS8PrivateKey(pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr));
  const uint8_t* text = nullptr;
  size_t bytes = 0;
  ASSERT_TRUE(BIO_mem_contents(pem.get(), &text, &bytes));
  EXPECT_EQ(FailureOf(pki_.Issue(Leaf()).chain, AsText(ByteView(text, bytes))),
            "the key is ECDSA P-224; TLS has signatures for P-256, P-384 and P-521");

  LeafSpec uri_only;
  uri_only.uri_names = {"spiffe://example.test/front"};
  const PemPair uri_pair = pki_.Issue(uri_only);
  EXPECT_EQ(FailureOf(uri_pair.chain, uri_pair.key), "no failure");

  LeafSpec address_only;
  address_only.ip_names = {"192.0.2.1"};
  const PemPair address_pair = pki_.Issue(address_only);
  EXPECT_EQ(FailureOf(address_pair.chain, address_pair.key), "no failure");
}

TEST_F(CredentialTest, RejectsChainsOutOfOrder) {
  TestPki upper(pki_, "Upper");
  TestPki lower(upper, "Lower");
  const PemPair pair = lower.Issue(Leaf());
  auto credential = Credential::FromPem(pair.chain, pair.key);
  ASSERT_TRUE(credential.ok()) << credential.status();
  EXPECT_EQ((*credential)->chain().size(), 3u);

  const size_t second = pair.chain.find("-----BEGIN", 1);
  const std::string without_lower =
      pair.chain.substr(0, second) + pair.chain.substr(pair.chain.find("-----BEGIN", second + 1));
  EXPECT_EQ(FailureOf(without_lower, pair.key),
            "the chain is out of order: certificate 1 was issued by \"CN=Lower\", but certificate "
            "2 is \"CN=Upper\"");
}

TEST_F(CredentialTest, AcceptsACrossSignedPairInAnyOrder) {
  const TestPki other_root(now_, "Other Root");
  const TestPki intermediate(pki_, "Intermediate");
  const PemPair pair = intermediate.Issue(Leaf());
  const size_t second = pair.chain.find("-----BEGIN", 1);
  const std::string leaf = pair.chain.substr(0, second);
  const std::string own = pair.chain.substr(second);
  const std::string cross = other_root.CrossCertify(intermediate);
  for (const std::string& chain :
       {leaf + own + cross, leaf + cross + own, leaf + cross + own + pki_.ca_pem(),
        leaf + own + pki_.ca_pem() + cross + other_root.ca_pem()}) {
    EXPECT_EQ(FailureOf(chain, pair.key), "no failure") << chain;
  }
  EXPECT_THAT(FailureOf(leaf + other_root.ca_pem() + cross, pair.key), HasSubstr("out of order"));
}

TEST_F(CredentialTest, SendsADuplicateCertificateOnce) {
  const TestPki intermediate(pki_, "Intermediate");
  const PemPair pair = intermediate.Issue(Leaf());
  const std::string leaf = pair.chain.substr(0, pair.chain.find("-----BEGIN", 1));
  auto credential = Credential::FromPem(leaf + pair.chain + pair.chain, pair.key);
  ASSERT_TRUE(credential.ok()) << credential.status();
  EXPECT_EQ((*credential)->chain().size(), 2u);
  EXPECT_EQ((*credential)->chain()[1].subject, "CN=Intermediate");
}

TEST_F(CredentialTest, ShowsAChainCheckerWhatClientsGet) {
  const TestPki intermediate(pki_, "Intermediate");
  const PemPair pair = intermediate.Issue(Leaf());
  const auto credential = Credential::FromPem(pair.chain, pair.key);
  ASSERT_TRUE(credential.ok()) << credential.status();
  ChainCheckerOptions options;
  options.trust = *TrustStore::Create(pki_.ca_pem());
  const auto checker = ChainChecker::Create(options);
  ASSERT_TRUE(checker.ok()) << checker.status();
  const ChainReport report = (*checker)->Check((*credential)->served(), "a.test", now_);
  EXPECT_TRUE(report.verdict.ok()) << report.verdict;
  EXPECT_EQ(report.served.size(), 2u);
}

TEST_F(CredentialTest, AnExpiredIntermediateDoesNotMakeItInvalid) {
  const TestPki old_root(now_, "Old Root");
  const TestPki intermediate(pki_, "Intermediate");
  const PemPair pair = intermediate.Issue(Leaf());
  const std::string expired_cross = old_root.CrossCertify(pki_, now_ - absl::Hours(24));
  auto credential = Credential::FromPem(pair.chain + expired_cross, pair.key);
  ASSERT_TRUE(credential.ok()) << credential.status();
  EXPECT_TRUE((*credential)->ValidAt(now_));
}

TEST_F(CredentialTest, KnowsWhetherClientsMayPresentIt) {
  LeafSpec leaf = Leaf();
  EXPECT_FALSE(pki_.IssueCredential(leaf)->fit_for_clients());
  leaf.server_auth = false;
  EXPECT_TRUE(pki_.IssueCredential(leaf)->fit_for_clients());
}

}  // namespace
}  // namespace trestle::testing
