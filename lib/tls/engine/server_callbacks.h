// A server's decisions about a hello: certificate, resumption, ALPN.
#ifndef TRESTLE_LIB_TLS_ENGINE_SERVER_CALLBACKS_H_
#define TRESTLE_LIB_TLS_ENGINE_SERVER_CALLBACKS_H_

#include <openssl/ssl.h>

#include <string>

#include "absl/strings/string_view.h"
#include "trestle/tls/key_log.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle {

/// Digests the terms that sessions of one policy share. `alpn` is encoded as in RFC 7301.
std::string PolicyDigest(absl::string_view alpn, AlpnMismatch mismatch);

/// Makes the connections of `context` decide by their record's ServerTlsConfig.
void InstallServerCallbacks(SSL_CTX* context);

/// Passes the secrets of `context`'s connections to `key_log`, which must outlive `context`.
void InstallKeyLog(SSL_CTX* context, const KeyLog& key_log);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ENGINE_SERVER_CALLBACKS_H_
