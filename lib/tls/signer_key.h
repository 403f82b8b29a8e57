// SignerKey: a signer behind a credential, with what its signatures are checked by.
#ifndef TRESTLE_LIB_TLS_SIGNER_KEY_H_
#define TRESTLE_LIB_TLS_SIGNER_KEY_H_

#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <memory>

#include "trestle/tls/signer.h"

namespace trestle {

struct SignerKey {
  std::shared_ptr<const Signer> signer;
  bssl::UniquePtr<EVP_PKEY> public_key;

  /// Makes `credential`, which this must outlive in use, sign by this.
  bool AttachTo(SSL_CREDENTIAL* credential);
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_SIGNER_KEY_H_
