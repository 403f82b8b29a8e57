#include "lib/tls/signature.h"

#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

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

bool Fits(const EVP_PKEY* key, SignatureScheme scheme) {
  return SSL_get_signature_algorithm_key_type(static_cast<uint16_t>(scheme)) == EVP_PKEY_id(key);
}

// Both signing and verifying set PSS; the other parameters are the defaults.
bool SetPadding(EVP_PKEY_CTX* context, SignatureScheme scheme) {
  if (!SSL_is_signature_algorithm_rsa_pss(static_cast<uint16_t>(scheme))) return true;
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

std::vector<uint16_t> EcSchemes(const EVP_PKEY* key) {
  const EC_GROUP* group = EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key));
  switch (EC_GROUP_get_curve_name(group)) {
    case NID_X9_62_prime256v1:
      return {SSL_SIGN_ECDSA_SECP256R1_SHA256};
    case NID_secp384r1:
      return {SSL_SIGN_ECDSA_SECP384R1_SHA384};
    case NID_secp521r1:
      return {SSL_SIGN_ECDSA_SECP521R1_SHA512};
    default:
      return {};
  }
}

}  // namespace

std::vector<uint16_t> SchemesOf(const EVP_PKEY* key) {
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA:
      return {SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PKCS1_SHA256,
              SSL_SIGN_RSA_PSS_RSAE_SHA384, SSL_SIGN_RSA_PKCS1_SHA384,
              SSL_SIGN_RSA_PSS_RSAE_SHA512, SSL_SIGN_RSA_PKCS1_SHA512};
    case EVP_PKEY_EC:
      return EcSchemes(key);
    case EVP_PKEY_ED25519:
      return {SSL_SIGN_ED25519};
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
