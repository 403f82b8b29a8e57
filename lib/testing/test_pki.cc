#include "trestle/testing/test_pki.h"

#include <openssl/asn1.h>
#include <openssl/base.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/log/check.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/bytes.h"
#include "trestle/base/endpoint.h"

namespace trestle::testing {
namespace {

constexpr absl::Duration kYear = absl::Hours(24 * 365);

bssl::UniquePtr<EVP_PKEY> NewEcdsaKey() {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  CHECK(EC_KEY_generate_key(ec.get()));
  CHECK(EVP_PKEY_set1_EC_KEY(key.get(), ec.get()));
  return key;
}

bssl::UniquePtr<EVP_PKEY> NewRsaKey(int bits) {
  bssl::UniquePtr<RSA> rsa(RSA_new());
  bssl::UniquePtr<BIGNUM> exponent(BN_new());
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  CHECK(BN_set_word(exponent.get(), RSA_F4));
  CHECK(RSA_generate_key_ex(rsa.get(), bits, exponent.get(), nullptr));
  CHECK(EVP_PKEY_set1_RSA(key.get(), rsa.get()));
  return key;
}

bssl::UniquePtr<EVP_PKEY> NewEd25519Key() {
  bssl::UniquePtr<EVP_PKEY_CTX> generator(EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, nullptr));
  CHECK(EVP_PKEY_keygen_init(generator.get()));
  EVP_PKEY* key = nullptr;
  CHECK(EVP_PKEY_keygen(generator.get(), &key));
  return bssl::UniquePtr<EVP_PKEY>(key);
}

bssl::UniquePtr<EVP_PKEY> NewKey(KeyType type, int rsa_bits) {
  switch (type) {
    case KeyType::kEcdsa:
      return NewEcdsaKey();
    case KeyType::kRsa:
      return NewRsaKey(rsa_bits);
    case KeyType::kEd25519:
      return NewEd25519Key();
  }
  return nullptr;
}

std::string BioText(BIO* bio) {
  const uint8_t* text = nullptr;
  size_t bytes = 0;
  CHECK(BIO_mem_contents(bio, &text, &bytes));
  return std::string(AsText(ByteView(text, bytes)));
}

std::string CertificatePem(X509* certificate) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio_X509(bio.get(), certificate));
  return BioText(bio.get());
}

std::string KeyPem(EVP_PKEY* key) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr));
  return BioText(bio.get());
}

void SetSerial(X509* certificate) {
  bssl::UniquePtr<BIGNUM> number(BN_new());
  CHECK(BN_rand(number.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY));
  CHECK(BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)));
}

void SetDates(X509* certificate, absl::Time not_before, absl::Time not_after) {
  CHECK(ASN1_TIME_set_posix(X509_getm_notBefore(certificate), absl::ToUnixSeconds(not_before)));
  CHECK(ASN1_TIME_set_posix(X509_getm_notAfter(certificate), absl::ToUnixSeconds(not_after)));
}

void SetSubject(X509* certificate, const std::string& common_name) {
  if (common_name.empty()) return;
  bssl::UniquePtr<X509_NAME> name(X509_NAME_new());
  CHECK(X509_NAME_add_entry_by_txt(name.get(), "CN", MBSTRING_UTF8, AsBytes(common_name).data(),
                                   static_cast<ossl_ssize_t>(common_name.size()), -1, 0));
  CHECK(X509_set_subject_name(certificate, name.get()));
}

void AddExtension(X509* certificate, int nid, void* value, bool critical) {
  CHECK(X509_add1_ext_i2d(certificate, nid, value, critical ? 1 : 0, X509V3_ADD_APPEND));
}

void AddBasicConstraints(X509* certificate, bool is_ca) {
  bssl::UniquePtr<BASIC_CONSTRAINTS> constraints(BASIC_CONSTRAINTS_new());
  constraints->ca = is_ca ? ASN1_BOOLEAN_TRUE : ASN1_BOOLEAN_FALSE;
  AddExtension(certificate, NID_basic_constraints, constraints.get(), /*critical=*/true);
}

void AddKeyUsage(X509* certificate, const std::vector<int>& bits) {
  bssl::UniquePtr<ASN1_BIT_STRING> usage(ASN1_BIT_STRING_new());
  for (int bit : bits) CHECK(ASN1_BIT_STRING_set_bit(usage.get(), bit, 1));
  AddExtension(certificate, NID_key_usage, usage.get(), /*critical=*/true);
}

void AddExtendedKeyUsage(X509* certificate, int nid) {
  bssl::UniquePtr<EXTENDED_KEY_USAGE> usage(EXTENDED_KEY_USAGE_new());
  CHECK(bssl::PushToStack(usage.get(), bssl::UniquePtr<ASN1_OBJECT>(OBJ_dup(OBJ_nid2obj(nid)))));
  AddExtension(certificate, NID_ext_key_usage, usage.get(), /*critical=*/false);
}

bssl::UniquePtr<GENERAL_NAME> MakeName(int type, ByteView contents) {
  bssl::UniquePtr<GENERAL_NAME> name(GENERAL_NAME_new());
  ASN1_STRING* string =
      ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
  CHECK(ASN1_STRING_set(string, contents.data(), static_cast<ossl_ssize_t>(contents.size())));
  GENERAL_NAME_set0_value(name.get(), type, string);
  return name;
}

void AddSubjectAltNames(X509* certificate, const LeafSpec& leaf) {
  if (leaf.dns_names.empty() && leaf.ip_names.empty() && leaf.uri_names.empty()) return;
  bssl::UniquePtr<GENERAL_NAMES> names(GENERAL_NAMES_new());
  for (const std::string& dns_name : leaf.dns_names) {
    CHECK(bssl::PushToStack(names.get(), MakeName(GEN_DNS, AsBytes(dns_name))));
  }
  for (const std::string& uri_name : leaf.uri_names) {
    CHECK(bssl::PushToStack(names.get(), MakeName(GEN_URI, AsBytes(uri_name))));
  }
  for (const std::string& ip_name : leaf.ip_names) {
    const bool v6 = ip_name.find(':') != std::string::npos;
    absl::StatusOr<Endpoint> endpoint =
        Endpoint::Parse(v6 ? absl::StrCat("[", ip_name, "]:1") : absl::StrCat(ip_name, ":1"));
    CHECK_OK(endpoint.status());
    CHECK(bssl::PushToStack(names.get(), MakeName(GEN_IPADD, endpoint->address())));
  }
  AddExtension(certificate, NID_subject_alt_name, names.get(), /*critical=*/false);
}

void AddNameConstraints(X509* certificate, const std::string& permitted_dns_name) {
  if (permitted_dns_name.empty()) return;
  bssl::UniquePtr<NAME_CONSTRAINTS> constraints(NAME_CONSTRAINTS_new());
  constraints->permittedSubtrees = sk_GENERAL_SUBTREE_new_null();
  GENERAL_SUBTREE* permitted = GENERAL_SUBTREE_new();
  GENERAL_NAME_free(permitted->base);
  permitted->base = MakeName(GEN_DNS, AsBytes(permitted_dns_name)).release();
  CHECK(sk_GENERAL_SUBTREE_push(constraints->permittedSubtrees, permitted));
  AddExtension(certificate, NID_name_constraints, constraints.get(), /*critical=*/true);
}

// A certificate with all that CAs and leaves have in common; it still has to be signed.
bssl::UniquePtr<X509> NewCertificate(const std::string& common_name, EVP_PKEY* key,
                                     const X509_NAME* issuer) {
  bssl::UniquePtr<X509> certificate(X509_new());
  CHECK(X509_set_version(certificate.get(), X509_VERSION_3));
  SetSerial(certificate.get());
  SetSubject(certificate.get(), common_name);
  CHECK(X509_set_issuer_name(
      certificate.get(), issuer != nullptr ? issuer : X509_get_subject_name(certificate.get())));
  CHECK(X509_set_pubkey(certificate.get(), key));
  return certificate;
}

void Sign(X509* certificate, EVP_PKEY* key, const EVP_MD* digest = EVP_sha256()) {
  const bool is_ed25519 = EVP_PKEY_id(key) == EVP_PKEY_ED25519;
  CHECK(X509_sign(certificate, key, is_ed25519 ? nullptr : digest));
}

}  // namespace

struct TestPki::State {
  absl::Time now;
  bssl::UniquePtr<EVP_PKEY> key;
  bssl::UniquePtr<X509> certificate;
  std::string chain_pem;  // What a leaf's chain has after the leaf.
};

TestPki::TestPki(absl::Time now, const std::string& name)
    : state_(MakeAuthority(now, name, nullptr, "")),
      ca_pem_(CertificatePem(state_->certificate.get())) {}

TestPki::TestPki(const TestPki& issuer, const std::string& name,
                 const std::string& permitted_dns_name)
    : state_(MakeAuthority(issuer.state_->now, name, issuer.state_.get(), permitted_dns_name)),
      ca_pem_(issuer.ca_pem_) {}

TestPki::~TestPki() = default;

std::unique_ptr<TestPki::State> TestPki::MakeAuthority(absl::Time now, const std::string& name,
                                                       const State* issuer,
                                                       const std::string& permitted_dns_name) {
  auto state = std::make_unique<State>();
  state->now = now;
  state->key = NewEcdsaKey();
  const X509_NAME* issuer_name =
      issuer == nullptr ? nullptr : X509_get_subject_name(issuer->certificate.get());
  state->certificate = NewCertificate(name, state->key.get(), issuer_name);
  X509* certificate = state->certificate.get();
  SetDates(certificate, now - 5 * kYear, now + 5 * kYear);
  AddBasicConstraints(certificate, /*is_ca=*/true);
  AddKeyUsage(certificate, {/*keyCertSign*/ 5, /*cRLSign*/ 6});
  AddNameConstraints(certificate, permitted_dns_name);
  Sign(certificate, issuer == nullptr ? state->key.get() : issuer->key.get());
  if (issuer != nullptr) {
    state->chain_pem = absl::StrCat(CertificatePem(certificate), issuer->chain_pem);
  }
  return state;
}

PemPair TestPki::Issue(const LeafSpec& leaf) const {
  std::string common_name = leaf.common_name;
  if (common_name.empty() && !leaf.dns_names.empty()) common_name = leaf.dns_names.front();
  bssl::UniquePtr<EVP_PKEY> key = NewKey(leaf.key_type, leaf.rsa_bits);
  const X509_NAME* issuer =
      leaf.self_signed ? nullptr : X509_get_subject_name(state_->certificate.get());
  bssl::UniquePtr<X509> certificate = NewCertificate(common_name, key.get(), issuer);
  SetDates(certificate.get(),
           leaf.not_before == absl::InfinitePast() ? state_->now - kYear : leaf.not_before,
           leaf.not_after == absl::InfiniteFuture() ? state_->now + kYear : leaf.not_after);
  AddBasicConstraints(certificate.get(), /*is_ca=*/false);
  AddKeyUsage(certificate.get(), {/*digitalSignature*/ 0});
  AddExtendedKeyUsage(certificate.get(), leaf.server_auth ? NID_server_auth : NID_client_auth);
  AddSubjectAltNames(certificate.get(), leaf);
  Sign(certificate.get(), leaf.self_signed ? key.get() : state_->key.get(),
       leaf.sha1 ? EVP_sha1() : EVP_sha256());
  return {
      absl::StrCat(CertificatePem(certificate.get()), leaf.self_signed ? "" : state_->chain_pem),
      KeyPem(key.get())};
}

std::string TestPki::IssueCrl(const std::vector<PemPair>& revoked, absl::Time next_update) const {
  const absl::Time until =
      next_update == absl::InfiniteFuture() ? state_->now + absl::Hours(24 * 7) : next_update;
  bssl::UniquePtr<ASN1_TIME> from(
      ASN1_TIME_set_posix(nullptr, absl::ToUnixSeconds(state_->now - absl::Hours(24))));
  bssl::UniquePtr<ASN1_TIME> to(ASN1_TIME_set_posix(nullptr, absl::ToUnixSeconds(until)));
  bssl::UniquePtr<X509_CRL> crl(X509_CRL_new());
  CHECK(X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2));
  CHECK(X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(state_->certificate.get())));
  CHECK(X509_CRL_set1_lastUpdate(crl.get(), from.get()));
  CHECK(X509_CRL_set1_nextUpdate(crl.get(), to.get()));
  for (const PemPair& pair : revoked) {
    bssl::UniquePtr<BIO> text(
        BIO_new_mem_buf(pair.chain.data(), static_cast<int>(pair.chain.size())));
    bssl::UniquePtr<X509> leaf(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
    bssl::UniquePtr<X509_REVOKED> entry(X509_REVOKED_new());
    CHECK(X509_REVOKED_set_serialNumber(entry.get(), X509_get0_serialNumber(leaf.get())));
    CHECK(X509_REVOKED_set_revocationDate(entry.get(), from.get()));
    CHECK(X509_CRL_add0_revoked(crl.get(), entry.release()));
  }
  CHECK(X509_CRL_sign(crl.get(), state_->key.get(), EVP_sha256()));
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio_X509_CRL(bio.get(), crl.get()));
  return BioText(bio.get());
}

std::shared_ptr<const Credential> TestPki::IssueCredential(const LeafSpec& leaf) const {
  const PemPair pair = Issue(leaf);
  absl::StatusOr<std::shared_ptr<const Credential>> credential =
      Credential::FromPem(pair.chain, pair.key);
  CHECK_OK(credential.status());
  return *std::move(credential);
}

}  // namespace trestle::testing
