// NewPrivateKey: a PrivateKey of a key that BoringSSL has read.
#ifndef TRESTLE_LIB_PKI_NATIVE_KEY_H_
#define TRESTLE_LIB_PKI_NATIVE_KEY_H_

#include <openssl/evp.h>

#include <memory>

#include "trestle/pki/private_key.h"

namespace trestle {

/// Takes a reference to `key`.
std::shared_ptr<const PrivateKey> NewPrivateKey(EVP_PKEY* key);

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_NATIVE_KEY_H_
