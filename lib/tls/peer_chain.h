// A peer's certificates: BoringSSL's bytes -> a chain to be judged, and its description.
#ifndef TRESTLE_LIB_TLS_PEER_CHAIN_H_
#define TRESTLE_LIB_TLS_PEER_CHAIN_H_

#include <openssl/pool.h>
#include <openssl/stack.h>

#include <cstddef>
#include <string>
#include <vector>

#include "lib/tls/certificate_verifier.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// What a peer may send. Real certificates have at most some hundred names and 10 KB; verifying a
/// chain costs time for each.
inline constexpr size_t kMaxPeerCertificates = 16;
inline constexpr size_t kMaxPeerCertificateBytes = 32 * 1024;
inline constexpr size_t kMaxPeerNames = 1000;

/// Parses `buffers`, leaf first, and describes them; null has none. Returns an empty text, or why
/// they can't be used: there is none, one that doesn't parse, or too much of something. Then those
/// before it are there.
std::string ReadChain(const STACK_OF(CRYPTO_BUFFER) * buffers, CertificateChain& chain,
                      ChainInfo& description);

/// Copies `buffers`; null has none.
std::vector<std::string> CopyChain(const STACK_OF(CRYPTO_BUFFER) * buffers);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_PEER_CHAIN_H_
