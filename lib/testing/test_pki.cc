#include "trestle/testing/test_pki.h"

#include <openssl/asn1.h>
#include <openssl/base.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/testing/check.h"
#include "trestle/base/bytes.h"
#include "trestle/base/endpoint.h"

namespace trestle::testing {
namespace {

constexpr absl::Duration kYear = absl::Hours(24 * 365);

bssl::UniquePtr<EVP_PKEY> NewEcdsaKey(int bits = 256) {
  const int curve = bits == 521   ? NID_secp521r1
                    : bits == 384 ? NID_secp384r1
                                  : NID_X9_62_prime256v1;
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(curve));
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

bssl::UniquePtr<EVP_PKEY> NewKey(const LeafSpec& leaf) {
  if (!leaf.key_pem.empty()) {
    bssl::UniquePtr<BIO> bio(
        BIO_new_mem_buf(leaf.key_pem.data(), static_cast<ossl_ssize_t>(leaf.key_pem.size())));
    bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
    CHECK(key != nullptr);
    return key;
  }
  switch (leaf.key_type) {
    case KeyType::kEcdsa:
      return NewEcdsaKey(leaf.ec_bits);
    case KeyType::kRsa:
      return NewRsaKey(leaf.rsa_bits);
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

void AddExtendedKeyUsage(X509* certificate, const std::vector<int>& nids) {
  bssl::UniquePtr<EXTENDED_KEY_USAGE> usage(EXTENDED_KEY_USAGE_new());
  for (int nid : nids) {
    CHECK(bssl::PushToStack(usage.get(), bssl::UniquePtr<ASN1_OBJECT>(OBJ_dup(OBJ_nid2obj(nid)))));
  }
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
        Endpoint::ParseIp(v6 ? absl::StrCat("[", ip_name, "]:1") : absl::StrCat(ip_name, ":1"));
    CHECK(endpoint.ok());
    CHECK(bssl::PushToStack(names.get(), MakeName(GEN_IPADD, endpoint->address())));
  }
  AddExtension(certificate, NID_subject_alt_name, names.get(), /*critical=*/false);
}

// "192.0.2.0/24" as an address and its mask (RFC 5280 4.2.1.10).
std::string RangeBytes(const std::string& range) {
  const size_t slash = range.find('/');
  CHECK(slash != std::string::npos);
  const std::string address = range.substr(0, slash);
  const bool v6 = address.find(':') != std::string::npos;
  absl::StatusOr<Endpoint> endpoint =
      Endpoint::ParseIp(v6 ? absl::StrCat("[", address, "]:1") : absl::StrCat(address, ":1"));
  CHECK(endpoint.ok());
  std::string bytes(AsText(endpoint->address()));
  int bits = 0;
  CHECK(absl::SimpleAtoi(range.substr(slash + 1), &bits));
  for (size_t i = endpoint->address().size(); i > 0; --i, bits -= 8) {
    bytes.push_back(static_cast<char>(bits >= 8 ? 0xff : bits <= 0 ? 0 : 0xff << (8 - bits)));
  }
  return bytes;
}

void AddSubtree(int type, ByteView contents, STACK_OF(GENERAL_SUBTREE) * *subtrees) {
  if (*subtrees == nullptr) *subtrees = sk_GENERAL_SUBTREE_new_null();
  GENERAL_SUBTREE* subtree = GENERAL_SUBTREE_new();
  GENERAL_NAME_free(subtree->base);
  subtree->base = MakeName(type, contents).release();
  CHECK(sk_GENERAL_SUBTREE_push(*subtrees, subtree));
}

void AddNameConstraints(X509* certificate, const AuthoritySpec& spec) {
  bssl::UniquePtr<NAME_CONSTRAINTS> constraints(NAME_CONSTRAINTS_new());
  if (!spec.permitted_dns_name.empty()) {
    AddSubtree(GEN_DNS, AsBytes(spec.permitted_dns_name), &constraints->permittedSubtrees);
  }
  for (const std::string& range : spec.permitted_ip_ranges) {
    AddSubtree(GEN_IPADD, AsBytes(RangeBytes(range)), &constraints->permittedSubtrees);
  }
  for (const std::string& range : spec.excluded_ip_ranges) {
    AddSubtree(GEN_IPADD, AsBytes(RangeBytes(range)), &constraints->excludedSubtrees);
  }
  if (constraints->permittedSubtrees == nullptr && constraints->excludedSubtrees == nullptr) return;
  AddExtension(certificate, NID_name_constraints, constraints.get(), /*critical=*/true);
}

// Makes a certificate with the parts that CAs and leaves have in common. The caller signs it.
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

// Makes a root if `issuer` is null.
bssl::UniquePtr<X509> NewAuthorityCertificate(const AuthoritySpec& spec, absl::Time now,
                                              EVP_PKEY* key, const X509* issuer,
                                              EVP_PKEY* issuer_key) {
  bssl::UniquePtr<X509> certificate =
      NewCertificate(spec.name, key, issuer == nullptr ? nullptr : X509_get_subject_name(issuer));
  SetDates(certificate.get(),
           spec.not_before == absl::InfinitePast() ? now - 5 * kYear : spec.not_before,
           spec.not_after == absl::InfiniteFuture() ? now + 5 * kYear : spec.not_after);
  AddBasicConstraints(certificate.get(), spec.is_ca);
  AddKeyUsage(certificate.get(), {/*keyCertSign*/ 5, /*cRLSign*/ 6});
  AddNameConstraints(certificate.get(), spec);
  Sign(certificate.get(), issuer_key, spec.sha1 ? EVP_sha1() : EVP_sha256());
  return certificate;
}

std::string CommonName(const X509* certificate) {
  const X509_NAME* name = X509_get_subject_name(certificate);
  const int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  CHECK(index >= 0);
  const ASN1_STRING* text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index));
  return std::string(
      AsText(ByteView(ASN1_STRING_get0_data(text), static_cast<size_t>(ASN1_STRING_length(text)))));
}

// Adds "status_request" in the TLS feature extension (RFC 7633), id-pe 24.
void AddMustStaple(X509* certificate) {
  constexpr uint8_t kStatusRequest[] = {0x30, 0x03, 0x02, 0x01, 0x05};
  bssl::UniquePtr<ASN1_OBJECT> id(OBJ_txt2obj("1.3.6.1.5.5.7.1.24", /*dont_search_names=*/1));
  bssl::UniquePtr<ASN1_OCTET_STRING> value(ASN1_OCTET_STRING_new());
  CHECK(ASN1_OCTET_STRING_set(value.get(), kStatusRequest, sizeof(kStatusRequest)));
  bssl::UniquePtr<X509_EXTENSION> extension(
      X509_EXTENSION_create_by_OBJ(nullptr, id.get(), /*crit=*/0, value.get()));
  CHECK(X509_add_ext(certificate, extension.get(), -1));
}

// As keyIdentifier, the SHA-1 of `issuer`'s key (RFC 5280 4.2.1.2).
void AddAuthorityKeyId(X509* certificate, X509* issuer) {
  uint8_t hash[EVP_MAX_MD_SIZE];
  unsigned bytes = 0;
  CHECK(X509_pubkey_digest(issuer, EVP_sha1(), hash, &bytes));
  bssl::UniquePtr<AUTHORITY_KEYID> id(AUTHORITY_KEYID_new());
  id->keyid = ASN1_OCTET_STRING_new();
  CHECK(ASN1_OCTET_STRING_set(id->keyid, hash, static_cast<int>(bytes)));
  AddExtension(certificate, NID_authority_key_identifier, id.get(), /*critical=*/false);
}

void AddCaIssuers(X509* certificate, const std::string& url) {
  bssl::UniquePtr<ACCESS_DESCRIPTION> access(ACCESS_DESCRIPTION_new());
  ASN1_OBJECT_free(access->method);
  access->method = OBJ_dup(OBJ_nid2obj(NID_ad_ca_issuers));
  GENERAL_NAME_free(access->location);
  access->location = MakeName(GEN_URI, AsBytes(url)).release();
  bssl::UniquePtr<AUTHORITY_INFO_ACCESS> all(AUTHORITY_INFO_ACCESS_new());
  CHECK(bssl::PushToStack(all.get(), std::move(access)));
  AddExtension(certificate, NID_info_access, all.get(), /*critical=*/false);
}

bssl::UniquePtr<X509> FirstCertificate(const PemPair& pair) {
  bssl::UniquePtr<BIO> text(
      BIO_new_mem_buf(pair.chain.data(), static_cast<int>(pair.chain.size())));
  bssl::UniquePtr<X509> leaf(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
  CHECK(leaf != nullptr);
  return leaf;
}

void AddGeneralizedTime(CBB* out, absl::Time time) {
  const std::string text = absl::FormatTime("%Y%m%d%H%M%SZ", time, absl::UTCTimeZone());
  CBB child;
  CHECK(CBB_add_asn1(out, &child, CBS_ASN1_GENERALIZEDTIME));
  CHECK(CBB_add_bytes(&child, AsBytes(text).data(), text.size()));
  CHECK(CBB_flush(out));
}

// Adds the SHA-1 of `issuer`'s name and key, as responders use it (RFC 6960 4.1.1), and the serial.
void AddCertId(CBB* out, X509* leaf, X509* issuer) {
  constexpr uint8_t kSha1[] = {0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00};
  uint8_t name_hash[EVP_MAX_MD_SIZE];
  uint8_t key_hash[EVP_MAX_MD_SIZE];
  unsigned bytes = 0;
  CHECK(X509_NAME_digest(X509_get_subject_name(issuer), EVP_sha1(), name_hash, &bytes));
  CHECK(X509_pubkey_digest(issuer, EVP_sha1(), key_hash, &bytes));
  uint8_t* serial = nullptr;
  const int serial_bytes = i2d_ASN1_INTEGER(X509_get_serialNumber(leaf), &serial);
  CHECK(serial_bytes > 0);
  bssl::UniquePtr<uint8_t> serial_owner(serial);
  CBB id;
  CHECK(CBB_add_asn1(out, &id, CBS_ASN1_SEQUENCE));
  CHECK(CBB_add_bytes(&id, kSha1, sizeof(kSha1)));
  CHECK(CBB_add_asn1_octet_string(&id, name_hash, bytes));
  CHECK(CBB_add_asn1_octet_string(&id, key_hash, bytes));
  CHECK(CBB_add_bytes(&id, serial, static_cast<size_t>(serial_bytes)));
  CHECK(CBB_flush(out));
}

void AddStatus(CBB* out, StapleSpec::Answer answer, absl::Time since) {
  CBB status;
  switch (answer) {
    case StapleSpec::Answer::kGood:
      CHECK(CBB_add_asn1(out, &status, CBS_ASN1_CONTEXT_SPECIFIC | 0));
      break;
    case StapleSpec::Answer::kRevoked:
      CHECK(CBB_add_asn1(out, &status, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 1));
      AddGeneralizedTime(&status, since);
      break;
    case StapleSpec::Answer::kUnknown:
      CHECK(CBB_add_asn1(out, &status, CBS_ASN1_CONTEXT_SPECIFIC | 2));
      break;
  }
  CHECK(CBB_flush(out));
}

std::string TakeBytes(CBB* cbb) {
  uint8_t* bytes = nullptr;
  size_t size = 0;
  CHECK(CBB_finish(cbb, &bytes, &size));
  bssl::UniquePtr<uint8_t> owner(bytes);
  return std::string(AsText(ByteView(bytes, size)));
}

// Returns a ResponseData (RFC 6960 4.2.1) with one answer.
std::string StapleData(X509* leaf, X509* issuer, StapleSpec::Answer answer, absl::Time this_update,
                       absl::Time next_update) {
  bssl::ScopedCBB whole;
  CBB data, responder, key_hash, answers, single, next;
  uint8_t hash[EVP_MAX_MD_SIZE];
  unsigned hash_bytes = 0;
  CHECK(X509_pubkey_digest(issuer, EVP_sha1(), hash, &hash_bytes));
  CHECK(CBB_init(whole.get(), 256));
  CHECK(CBB_add_asn1(whole.get(), &data, CBS_ASN1_SEQUENCE));
  CHECK(CBB_add_asn1(&data, &responder, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 2));
  CHECK(CBB_add_asn1(&responder, &key_hash, CBS_ASN1_OCTETSTRING));
  CHECK(CBB_add_bytes(&key_hash, hash, hash_bytes));
  CHECK(CBB_flush(&data));
  AddGeneralizedTime(&data, this_update);
  CHECK(CBB_add_asn1(&data, &answers, CBS_ASN1_SEQUENCE));
  CHECK(CBB_add_asn1(&answers, &single, CBS_ASN1_SEQUENCE));
  AddCertId(&single, leaf, issuer);
  AddStatus(&single, answer, this_update);
  AddGeneralizedTime(&single, this_update);
  CHECK(CBB_add_asn1(&single, &next, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0));
  AddGeneralizedTime(&next, next_update);
  return TakeBytes(whole.get());
}

// Returns an OCSPResponse with `data`, signed with `key` (ECDSA).
std::string SignedStaple(const std::string& data, EVP_PKEY* key) {
  constexpr uint8_t kEcdsaWithSha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                          0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
  constexpr uint8_t kBasicResponse[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01};
  bssl::ScopedEVP_MD_CTX signer;
  uint8_t signature[128];
  size_t signature_bytes = sizeof(signature);
  CHECK(EVP_DigestSignInit(signer.get(), nullptr, EVP_sha256(), nullptr, key));
  CHECK(
      EVP_DigestSign(signer.get(), signature, &signature_bytes, AsBytes(data).data(), data.size()));
  bssl::ScopedCBB whole;
  CBB response, status, outer, bytes, type, body, basic, bits;
  CHECK(CBB_init(whole.get(), 512));
  CHECK(CBB_add_asn1(whole.get(), &response, CBS_ASN1_SEQUENCE));
  CHECK(CBB_add_asn1(&response, &status, CBS_ASN1_ENUMERATED));
  CHECK(CBB_add_u8(&status, 0));
  CHECK(CBB_add_asn1(&response, &outer, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0));
  CHECK(CBB_add_asn1(&outer, &bytes, CBS_ASN1_SEQUENCE));
  CHECK(CBB_add_asn1(&bytes, &type, CBS_ASN1_OBJECT));
  CHECK(CBB_add_bytes(&type, kBasicResponse, sizeof(kBasicResponse)));
  CHECK(CBB_add_asn1(&bytes, &body, CBS_ASN1_OCTETSTRING));
  CHECK(CBB_add_asn1(&body, &basic, CBS_ASN1_SEQUENCE));
  CHECK(CBB_add_bytes(&basic, AsBytes(data).data(), data.size()));
  CHECK(CBB_add_bytes(&basic, kEcdsaWithSha256, sizeof(kEcdsaWithSha256)));
  CHECK(CBB_add_asn1(&basic, &bits, CBS_ASN1_BITSTRING));
  CHECK(CBB_add_u8(&bits, 0));
  CHECK(CBB_add_bytes(&bits, signature, signature_bytes));
  return TakeBytes(whole.get());
}

}  // namespace

struct TestPki::State {
  absl::Time now;
  bssl::UniquePtr<EVP_PKEY> key;
  bssl::UniquePtr<X509> certificate;
  std::string chain_pem;  // The certificates after the leaf in a leaf's chain.
};

TestPki::TestPki(absl::Time now, const std::string& name) : TestPki(now, AuthoritySpec{name}) {}

TestPki::TestPki(absl::Time now, const AuthoritySpec& spec)
    : state_(MakeAuthority(now, spec, nullptr)),
      ca_pem_(CertificatePem(state_->certificate.get())) {}

TestPki::TestPki(const TestPki& issuer, const std::string& name,
                 const std::string& permitted_dns_name)
    : TestPki(issuer, AuthoritySpec{name, absl::InfinitePast(), absl::InfiniteFuture(),
                                    permitted_dns_name}) {}

TestPki::TestPki(const TestPki& issuer, const AuthoritySpec& spec)
    : state_(MakeAuthority(issuer.state_->now, spec, issuer.state_.get())),
      ca_pem_(issuer.ca_pem_) {}

TestPki::~TestPki() = default;

std::unique_ptr<TestPki::State> TestPki::MakeAuthority(absl::Time now, const AuthoritySpec& spec,
                                                       const State* issuer) {
  auto state = std::make_unique<State>();
  state->now = now;
  state->key = spec.rsa_bits == 0 ? NewEcdsaKey() : NewRsaKey(spec.rsa_bits);
  state->certificate = NewAuthorityCertificate(
      spec, now, state->key.get(), issuer == nullptr ? nullptr : issuer->certificate.get(),
      issuer == nullptr ? state->key.get() : issuer->key.get());
  if (issuer != nullptr) {
    state->chain_pem = absl::StrCat(CertificatePem(state->certificate.get()), issuer->chain_pem);
  }
  return state;
}

std::string TestPki::chain_pem() const {
  return state_->chain_pem.empty() ? ca_pem_ : state_->chain_pem;
}

std::string TestPki::CrossCertify(const TestPki& subject, absl::Time not_after) const {
  AuthoritySpec spec;
  spec.not_after = not_after;
  return CrossCertify(subject, spec);
}

std::string TestPki::CrossCertify(const TestPki& subject, AuthoritySpec spec) const {
  spec.name = CommonName(subject.state_->certificate.get());
  return CertificatePem(NewAuthorityCertificate(spec, state_->now, subject.state_->key.get(),
                                                state_->certificate.get(), state_->key.get())
                            .get());
}

PemPair TestPki::Issue(const LeafSpec& leaf) const {
  std::string common_name = leaf.common_name;
  if (common_name.empty() && !leaf.dns_names.empty()) common_name = leaf.dns_names.front();
  bssl::UniquePtr<EVP_PKEY> key = NewKey(leaf);
  const X509_NAME* issuer =
      leaf.self_signed ? nullptr : X509_get_subject_name(state_->certificate.get());
  bssl::UniquePtr<X509> certificate = NewCertificate(common_name, key.get(), issuer);
  SetDates(certificate.get(),
           leaf.not_before == absl::InfinitePast() ? state_->now - kYear : leaf.not_before,
           leaf.not_after == absl::InfiniteFuture() ? state_->now + kYear : leaf.not_after);
  AddBasicConstraints(certificate.get(), leaf.is_ca);
  std::vector<int> usages;
  if (!leaf.key_encipherment_only) usages.push_back(/*digitalSignature*/ 0);
  // NSS requires this for RSA leaves, with any key exchange.
  if (EVP_PKEY_id(key.get()) == EVP_PKEY_RSA) usages.push_back(/*keyEncipherment*/ 2);
  AddKeyUsage(certificate.get(), usages);
  AddExtendedKeyUsage(certificate.get(), leaf.both_auths
                                             ? std::vector<int>{NID_server_auth, NID_client_auth}
                                         : leaf.server_auth ? std::vector<int>{NID_server_auth}
                                                            : std::vector<int>{NID_client_auth});
  AddSubjectAltNames(certificate.get(), leaf);
  if (leaf.authority_key_id) AddAuthorityKeyId(certificate.get(), state_->certificate.get());
  if (!leaf.ca_issuers_url.empty()) AddCaIssuers(certificate.get(), leaf.ca_issuers_url);
  if (leaf.must_staple) AddMustStaple(certificate.get());
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
    bssl::UniquePtr<X509> leaf = FirstCertificate(pair);
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

std::string TestPki::IssueStaple(const PemPair& leaf, const StapleSpec& spec) const {
  const absl::Time from =
      spec.this_update == absl::InfinitePast() ? state_->now - absl::Hours(24) : spec.this_update;
  const absl::Time until = spec.next_update == absl::InfiniteFuture()
                               ? state_->now + absl::Hours(24 * 7)
                               : spec.next_update;
  return SignedStaple(
      StapleData(FirstCertificate(leaf).get(), state_->certificate.get(), spec.answer, from, until),
      state_->key.get());
}

std::shared_ptr<const Credential> TestPki::IssueCredential(const LeafSpec& leaf) const {
  const PemPair pair = Issue(leaf);
  absl::StatusOr<std::shared_ptr<const Credential>> credential =
      Credential::FromPem(pair.chain, pair.key);
  CHECK(credential.ok());
  return *std::move(credential);
}

}  // namespace trestle::testing
