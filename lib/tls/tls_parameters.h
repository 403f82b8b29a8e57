// What server and client contexts have in common: versions, groups, ciphers, ALPN lists.
#ifndef TRESTLE_LIB_TLS_TLS_PARAMETERS_H_
#define TRESTLE_LIB_TLS_TLS_PARAMETERS_H_

#include <openssl/ssl.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trestle/tls/tls_config.h"

namespace trestle {

/// Makes a context with `parameters` and all that Trestle never leaves to a choice. Fails with
/// ErrorCode::kConfiguration where `parameters` contradict themselves.
absl::StatusOr<bssl::UniquePtr<SSL_CTX>> MakeContext(const TlsParameters& parameters);

/// Limits what peers that show a certificate may sign with.
void SetPeerSignatureAlgorithms(SSL_CTX* context);

/// Offers servers only what those with a key of `type` can agree on. Returns false on failure.
bool OfferOnlyKeyType(SSL_CTX* context, KeyType type);

/// Writes `protocols` as RFC 7301 3.1 does. Fails with ErrorCode::kConfiguration for names that are
/// empty, longer than 255 bytes or there twice.
absl::StatusOr<std::string> EncodeAlpn(const std::vector<std::string>& protocols);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_TLS_PARAMETERS_H_
