// The common parts of server and client contexts: versions, groups, ciphers, ALPN lists.
#ifndef TRESTLE_LIB_TLS_ENGINE_TLS_CONTEXT_H_
#define TRESTLE_LIB_TLS_ENGINE_TLS_CONTEXT_H_

#include <openssl/ssl.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trestle/tls/credential.h"
#include "trestle/tls/tls_parameters.h"

namespace trestle {

/// Makes a context with `parameters` and Trestle's fixed settings. Fails with
/// ErrorCode::kConfiguration if `parameters` contradict each other.
absl::StatusOr<bssl::UniquePtr<SSL_CTX>> MakeContext(const TlsParameters& parameters);

/// Sets the signature algorithms that peers with a certificate may use.
void SetPeerSignatureAlgorithms(SSL_CTX* context);

/// Offers servers only algorithms and ciphers for keys of `type`. Returns false on failure.
bool OfferOnlyKeyType(SSL_CTX* context, KeyType type);

/// Encodes `protocols` as in RFC 7301 3.1. Fails with ErrorCode::kConfiguration for names that are
/// empty, longer than 255 bytes or duplicate.
absl::StatusOr<std::string> EncodeAlpn(const std::vector<std::string>& protocols);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ENGINE_TLS_CONTEXT_H_
