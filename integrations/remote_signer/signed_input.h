// SignedInput: recognises what TLS signs, so that a key server signs nothing else.
#ifndef TRESTLE_INTEGRATIONS_REMOTE_SIGNER_SIGNED_INPUT_H_
#define TRESTLE_INTEGRATIONS_REMOTE_SIGNER_SIGNED_INPUT_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"

namespace trestle {

enum class SignedInput : uint8_t {
  kServerVerify,       ///< CertificateVerify of a TLS 1.3 server (RFC 8446 4.4.3).
  kClientVerify,       ///< The same of a TLS 1.3 client.
  kServerKeyExchange,  ///< ServerKeyExchange with ECDHE on a named curve, TLS 1.2 (RFC 8422 5.4).
  kOther,              ///< Anything else: not signed.
};

/// Returns the name of a kind, as the audit log has it: "server_verify".
absl::string_view EnumName(SignedInput kind);

/// Returns what `input` is. A CertificateVerify has the 64 spaces, the context string, a zero and a
/// hash of 32 or 48 bytes. A ServerKeyExchange has both random values, a curve that TLS servers use
/// (P-256, P-384, P-521, X25519), and a point of its length.
SignedInput SignedInputOf(ByteView input);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_REMOTE_SIGNER_SIGNED_INPUT_H_
