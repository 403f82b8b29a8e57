// PEM blocks -> private keys: PKCS#8 (RFC 5958), SEC1 EC (RFC 5915), PKCS#1 RSA, and these
// encrypted.
#ifndef TRESTLE_LIB_TLS_KEY_PARSER_H_
#define TRESTLE_LIB_TLS_KEY_PARSER_H_

#include <openssl/base.h>

#include <string>

#include "absl/status/statusor.h"
#include "lib/tls/pem_reader.h"

namespace trestle {

/// Tells whether a passphrase is needed to read the private key in `block`.
bool IsEncryptedKey(const PemBlock& block);

/// Reads the private key in `block`, which isn't encrypted. An error names the kind and the curve
/// of a key that doesn't parse.
absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ParseKey(const PemBlock& block);

/// Reads the private key in `block`, which is encrypted. An error tells a wrong passphrase from an
/// encryption that is not supported. Wipes `passphrase`.
absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> DecryptKey(const PemBlock& block,
                                                     std::string& passphrase);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_KEY_PARSER_H_
