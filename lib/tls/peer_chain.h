// A peer's certificates: BoringSSL's bytes -> a chain to be judged, and its description.
#ifndef TRESTLE_LIB_TLS_PEER_CHAIN_H_
#define TRESTLE_LIB_TLS_PEER_CHAIN_H_

#include <openssl/pool.h>
#include <openssl/stack.h>

#include <string>
#include <vector>

#include "lib/tls/certificate_verifier.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// Parses `buffers`, leaf first, and describes them; null has none. False when there is none, or
/// one that doesn't parse: then those before it are there.
bool ReadChain(const STACK_OF(CRYPTO_BUFFER) * buffers, CertificateChain& chain,
               ChainInfo& description);

/// Copies `buffers`; null has none.
std::vector<std::string> CopyChain(const STACK_OF(CRYPTO_BUFFER) * buffers);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_PEER_CHAIN_H_
