#include "integrations/pkcs11/pkcs11_mechanism.h"

#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/ecdsa.h>
#include <openssl/mem.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace trestle {
namespace {

// The beginning of a DigestInfo in DER (RFC 8017 9.2, note 1), except its two length bytes.
constexpr absl::string_view kSha256Info(
    "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02"
    "\x01\x05\x00\x04\x20",
    19);
constexpr absl::string_view kSha384Info(
    "\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02"
    "\x02\x05\x00\x04\x30",
    19);
constexpr absl::string_view kSha512Info(
    "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02"
    "\x03\x05\x00\x04\x40",
    19);

struct Hash {
  const EVP_MD* (*digest)();
  absl::string_view info;
  CK_MECHANISM_TYPE mechanism;
  CK_RSA_PKCS_MGF_TYPE mask;
};

constexpr Hash kSha256 = {EVP_sha256, kSha256Info, CKM_SHA256, CKG_MGF1_SHA256};
constexpr Hash kSha384 = {EVP_sha384, kSha384Info, CKM_SHA384, CKG_MGF1_SHA384};
constexpr Hash kSha512 = {EVP_sha512, kSha512Info, CKM_SHA512, CKG_MGF1_SHA512};

std::string Digest(const Hash& hash, ByteView input) {
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest;
  unsigned bytes = 0;
  EVP_Digest(input.data(), input.size(), digest.data(), &bytes, hash.digest(), nullptr);
  return std::string(AsText(ByteView(digest.data(), bytes)));
}

Pkcs11Mechanism Pkcs1(const Hash& hash, ByteView input) {
  return {CKM_RSA_PKCS, std::nullopt, absl::StrCat(hash.info, Digest(hash, input))};
}

Pkcs11Mechanism Pss(const Hash& hash, ByteView input) {
  std::string digest = Digest(hash, input);
  const CK_RSA_PKCS_PSS_PARAMS parameters = {hash.mechanism, hash.mask, digest.size()};
  return {CKM_RSA_PKCS_PSS, parameters, std::move(digest)};
}

std::optional<Pkcs11Mechanism> RsaMechanism(SignatureScheme scheme, ByteView input) {
  switch (scheme) {
    case SignatureScheme::kRsaPkcs1Sha256:
      return Pkcs1(kSha256, input);
    case SignatureScheme::kRsaPkcs1Sha384:
      return Pkcs1(kSha384, input);
    case SignatureScheme::kRsaPkcs1Sha512:
      return Pkcs1(kSha512, input);
    case SignatureScheme::kRsaPssSha256:
      return Pss(kSha256, input);
    case SignatureScheme::kRsaPssSha384:
      return Pss(kSha384, input);
    case SignatureScheme::kRsaPssSha512:
      return Pss(kSha512, input);
    default:
      return std::nullopt;
  }
}

std::optional<Pkcs11Mechanism> EcMechanism(SignatureScheme scheme, ByteView input) {
  switch (scheme) {
    case SignatureScheme::kEcdsaP256Sha256:
      return Pkcs11Mechanism{CKM_ECDSA, std::nullopt, Digest(kSha256, input)};
    case SignatureScheme::kEcdsaP384Sha384:
      return Pkcs11Mechanism{CKM_ECDSA, std::nullopt, Digest(kSha384, input)};
    case SignatureScheme::kEcdsaP521Sha512:
      return Pkcs11Mechanism{CKM_ECDSA, std::nullopt, Digest(kSha512, input)};
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<Pkcs11Mechanism> Pkcs11Mechanism::For(CK_KEY_TYPE key_type, SignatureScheme scheme,
                                                    ByteView input) {
  switch (key_type) {
    case CKK_RSA:
      return RsaMechanism(scheme, input);
    case CKK_EC:
      return EcMechanism(scheme, input);
    case CKK_EC_EDWARDS:
      if (scheme != SignatureScheme::kEd25519) return std::nullopt;
      return Pkcs11Mechanism{CKM_EDDSA, std::nullopt, std::string(AsText(input))};
    default:
      return std::nullopt;
  }
}

std::optional<std::string> Pkcs11Mechanism::ToTls(std::string signature) const {
  if (type != CKM_ECDSA) return signature;
  const size_t half = signature.size() / 2;
  if (half == 0 || signature.size() % 2 != 0) return std::nullopt;
  const auto* bytes = reinterpret_cast<const uint8_t*>(signature.data());
  const bssl::UniquePtr<ECDSA_SIG> numbers(ECDSA_SIG_new());
  bssl::UniquePtr<BIGNUM> r(BN_bin2bn(bytes, half, nullptr));
  bssl::UniquePtr<BIGNUM> s(BN_bin2bn(bytes + half, half, nullptr));
  uint8_t* der = nullptr;
  size_t der_bytes = 0;
  if (numbers == nullptr || !ECDSA_SIG_set0(numbers.get(), r.get(), s.get())) return std::nullopt;
  r.release();
  s.release();
  if (!ECDSA_SIG_to_bytes(&der, &der_bytes, numbers.get())) return std::nullopt;
  const bssl::UniquePtr<uint8_t> owned(der);
  return std::string(AsText(ByteView(der, der_bytes)));
}

}  // namespace trestle
