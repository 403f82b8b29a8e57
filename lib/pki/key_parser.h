// Parses PEM blocks into private keys: PKCS#8 (RFC 5958), SEC1 EC (RFC 5915) and PKCS#1 RSA, plain
// or encrypted.
#ifndef TRESTLE_LIB_PKI_KEY_PARSER_H_
#define TRESTLE_LIB_PKI_KEY_PARSER_H_

#include <openssl/base.h>

#include <string>

#include "absl/status/statusor.h"
#include "lib/pki/pem_reader.h"

namespace trestle {

/// Returns whether the private key in `block` needs a passphrase.
bool IsEncryptedKey(const PemBlock& block);

/// Parses the unencrypted private key in `block` of `reader`. An error names the kind and curve of
/// a key that doesn't parse.
absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ParseKey(const PemReader& reader, const PemBlock& block);

/// Decrypts and parses the private key in `block` of `reader`. An error distinguishes a wrong
/// passphrase from unsupported encryption. Wipes `passphrase`.
absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> DecryptKey(const PemReader& reader, const PemBlock& block,
                                                     std::string& passphrase);

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_KEY_PARSER_H_
