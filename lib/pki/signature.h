// Signs and verifies by the scheme numbers of RFC 8446 4.2.3.
#ifndef TRESTLE_LIB_PKI_SIGNATURE_H_
#define TRESTLE_LIB_PKI_SIGNATURE_H_

#include <openssl/evp.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "trestle/base/bytes.h"
#include "trestle/pki/signer.h"

namespace trestle {

/// Returns the schemes that `key` supports, best first.
std::vector<SignatureScheme> SchemesOf(const EVP_PKEY* key);

/// Signs `input`. Returns nothing if `scheme` is for another kind of key. An ECDSA scheme sets the
/// hash; the curve is the key's (TLS 1.2 mixes them).
std::optional<std::string> MakeSignature(EVP_PKEY* key, SignatureScheme scheme, ByteView input);

/// Returns whether `signature` is a signature of `input` by `key`.
bool VerifySignature(EVP_PKEY* key, SignatureScheme scheme, ByteView input, ByteView signature);

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_SIGNATURE_H_
