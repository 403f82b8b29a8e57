#include "lib/pki/signature.h"

#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>

#include <cstddef>

namespace trestle {
namespace {

const EVP_MD* DigestOf(SignatureScheme scheme) {
  switch (scheme) {
    case SignatureScheme::kRsaPkcs1Sha256:
    case SignatureScheme::kRsaPssSha256:
    case SignatureScheme::kEcdsaP256Sha256:
      return EVP_sha256();
    case SignatureScheme::kRsaPkcs1Sha384:
    case SignatureScheme::kRsaPssSha384:
    case SignatureScheme::kEcdsaP384Sha384:
      return EVP_sha384();
    case SignatureScheme::kRsaPkcs1Sha512:
    case SignatureScheme::kRsaPssSha512:
    case SignatureScheme::kEcdsaP521Sha512:
      return EVP_sha512();
    case SignatureScheme::kEd25519:
      return nullptr;
  }
  return nullptr;
}

int KeyTypeOf(SignatureScheme scheme) {
  switch (scheme) {
    case SignatureScheme::kRsaPkcs1Sha256:
    case SignatureScheme::kRsaPkcs1Sha384:
    case SignatureScheme::kRsaPkcs1Sha512:
    case SignatureScheme::kRsaPssSha256:
    case SignatureScheme::kRsaPssSha384:
    case SignatureScheme::kRsaPssSha512:
      return EVP_PKEY_RSA;
    case SignatureScheme::kEcdsaP256Sha256:
    case SignatureScheme::kEcdsaP384Sha384:
    case SignatureScheme::kEcdsaP521Sha512:
      return EVP_PKEY_EC;
    case SignatureScheme::kEd25519:
      return EVP_PKEY_ED25519;
  }
  return EVP_PKEY_NONE;
}

bool IsPss(SignatureScheme scheme) {
  return scheme == SignatureScheme::kRsaPssSha256 || scheme == SignatureScheme::kRsaPssSha384 ||
         scheme == SignatureScheme::kRsaPssSha512;
}

bool Fits(const EVP_PKEY* key, SignatureScheme scheme) {
  return KeyTypeOf(scheme) == EVP_PKEY_id(key);
}

// Both signing and verifying set PSS; the other parameters are the defaults.
bool SetPadding(EVP_PKEY_CTX* context, SignatureScheme scheme) {
  if (!IsPss(scheme)) return true;
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

std::vector<SignatureScheme> EcSchemes(const EVP_PKEY* key) {
  const EC_GROUP* group = EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key));
  switch (EC_GROUP_get_curve_name(group)) {
    case NID_X9_62_prime256v1:
      return {SignatureScheme::kEcdsaP256Sha256};
    case NID_secp384r1:
      return {SignatureScheme::kEcdsaP384Sha384};
    case NID_secp521r1:
      return {SignatureScheme::kEcdsaP521Sha512};
    default:
      return {};
  }
}

}  // namespace

std::vector<SignatureScheme> SchemesOf(const EVP_PKEY* key) {
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA:
      return {SignatureScheme::kRsaPssSha256, SignatureScheme::kRsaPkcs1Sha256,
              SignatureScheme::kRsaPssSha384, SignatureScheme::kRsaPkcs1Sha384,
              SignatureScheme::kRsaPssSha512, SignatureScheme::kRsaPkcs1Sha512};
    case EVP_PKEY_EC:
      return EcSchemes(key);
    case EVP_PKEY_ED25519:
      return {SignatureScheme::kEd25519};
    default:
      return {};
  }
}

std::optional<std::string> MakeSignature(EVP_PKEY* key, SignatureScheme scheme, ByteView input) {
  ERR_clear_error();
  bssl::ScopedEVP_MD_CTX context;
  EVP_PKEY_CTX* parameters = nullptr;
  size_t bytes = 0;
  std::string signature;
  bool made = Fits(key, scheme) &&
              EVP_DigestSignInit(context.get(), &parameters, DigestOf(scheme), nullptr, key) &&
              SetPadding(parameters, scheme) &&
              EVP_DigestSign(context.get(), nullptr, &bytes, input.data(), input.size());
  if (made) {
    signature.resize(bytes);
    made = EVP_DigestSign(context.get(), reinterpret_cast<uint8_t*>(&signature[0]), &bytes,
                          input.data(), input.size());
  }
  ERR_clear_error();
  if (!made) return std::nullopt;
  signature.resize(bytes);
  return signature;
}

bool VerifySignature(EVP_PKEY* key, SignatureScheme scheme, ByteView input, ByteView signature) {
  bssl::ScopedEVP_MD_CTX context;
  EVP_PKEY_CTX* parameters = nullptr;
  const bool good =
      Fits(key, scheme) &&
      EVP_DigestVerifyInit(context.get(), &parameters, DigestOf(scheme), nullptr, key) &&
      SetPadding(parameters, scheme) &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), input.data(),
                       input.size());
  ERR_clear_error();
  return good;
}

}  // namespace trestle
