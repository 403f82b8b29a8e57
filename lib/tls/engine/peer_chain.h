// Parses a peer's certificates from BoringSSL's buffers and describes them.
#ifndef TRESTLE_LIB_TLS_ENGINE_PEER_CHAIN_H_
#define TRESTLE_LIB_TLS_ENGINE_PEER_CHAIN_H_

#include <openssl/pool.h>
#include <openssl/stack.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/pki/certificate_verifier.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// Limits on a peer's certificates. Real ones have at most some hundred names and 10 KB;
/// verification time grows with both.
inline constexpr size_t kMaxPeerCertificates = 16;
inline constexpr size_t kMaxPeerCertificateBytes = 32 * 1024;
inline constexpr size_t kMaxPeerNames = 1000;

/// Parses and describes `buffers`, leaf first; null means none. Returns an empty text, or why they
/// can't be used: none, one that doesn't parse, or one over a limit. Those before it are then in
/// `chain`.
std::string ReadChain(const STACK_OF(CRYPTO_BUFFER) * buffers, CertificateChain& chain,
                      ChainInfo& description);

/// Returns the alert that tells the peer of `failure` (RFC 8446 6.2).
uint8_t AlertFor(const ChainFailure& failure);

/// Copies `buffers`; null means none.
std::vector<std::string> CopyChain(const STACK_OF(CRYPTO_BUFFER) * buffers);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ENGINE_PEER_CHAIN_H_
