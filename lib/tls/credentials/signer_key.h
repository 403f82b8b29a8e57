// SignerKey: the signer of a credential, with the public key that verifies its signatures.
#ifndef TRESTLE_LIB_TLS_CREDENTIALS_SIGNER_KEY_H_
#define TRESTLE_LIB_TLS_CREDENTIALS_SIGNER_KEY_H_

#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <memory>

#include "trestle/pki/signer.h"

namespace trestle {

struct SignerKey {
  std::shared_ptr<const Signer> signer;
  bssl::UniquePtr<EVP_PKEY> public_key;

  /// Makes `credential` sign with this key, which must live as long as `credential` is in use.
  bool AttachTo(SSL_CREDENTIAL* credential);
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CREDENTIALS_SIGNER_KEY_H_
