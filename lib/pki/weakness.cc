#include "lib/pki/weakness.h"

#include <openssl/evp.h>
#include <openssl/nid.h>

#include "absl/strings/str_cat.h"

namespace trestle {

bool HasOldSignature(const X509* certificate) {
  switch (X509_get_signature_nid(certificate)) {
    case NID_md5WithRSAEncryption:
    case NID_sha1WithRSAEncryption:
    case NID_sha1WithRSA:
    case NID_ecdsa_with_SHA1:
    case NID_dsaWithSHA1:
      return true;
    default:
      return false;
  }
}

std::string ShortKeyText(const X509* certificate, int min_rsa_bits, int min_ec_bits) {
  bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(const_cast<X509*>(certificate)));
  const int kind = key == nullptr ? EVP_PKEY_NONE : EVP_PKEY_id(key.get());
  const int bits = key == nullptr ? 0 : EVP_PKEY_bits(key.get());
  const int wanted = kind == EVP_PKEY_RSA ? min_rsa_bits : kind == EVP_PKEY_EC ? min_ec_bits : 0;
  if (bits >= wanted) return "";
  return absl::StrCat("its ", kind == EVP_PKEY_RSA ? "RSA" : "EC", " key has ", bits,
                      " bits, fewer than ", wanted);
}

}  // namespace trestle
