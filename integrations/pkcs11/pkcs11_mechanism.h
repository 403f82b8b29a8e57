// Pkcs11Mechanism: how a token signs for TLS: the mechanism, its input, and the form of the result.
#ifndef TRESTLE_INTEGRATIONS_PKCS11_PKCS11_MECHANISM_H_
#define TRESTLE_INTEGRATIONS_PKCS11_PKCS11_MECHANISM_H_

#include <p11-kit/pkcs11.h>

#include <optional>
#include <string>

#include "trestle/base/bytes.h"
#include "trestle/pki/signer.h"

namespace trestle {

struct Pkcs11Mechanism {
  CK_MECHANISM_TYPE type = 0;
  std::optional<CK_RSA_PKCS_PSS_PARAMS> pss = {};
  std::string data;  ///< What the token signs: a digest, or the text itself with Ed25519.

  /// Returns the mechanism for a key of `key_type`; nothing if its keys don't have the scheme.
  static std::optional<Pkcs11Mechanism> For(CK_KEY_TYPE key_type, SignatureScheme scheme,
                                            ByteView input);

  /// Turns the token's signature into that of TLS: ECDSA's two numbers become DER. Returns nothing
  /// if the token's has not the form of PKCS #11.
  std::optional<std::string> ToTls(std::string signature) const;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PKCS11_PKCS11_MECHANISM_H_
