// What a server decides while a hello is being answered: certificate, resumption, ALPN.
#ifndef TRESTLE_LIB_TLS_SERVER_CALLBACKS_H_
#define TRESTLE_LIB_TLS_SERVER_CALLBACKS_H_

#include <openssl/ssl.h>

#include <string>

#include "absl/strings/string_view.h"
#include "trestle/tls/tls_config.h"

namespace trestle {

/// Digests what sessions of one policy have in common. `alpn` is encoded as RFC 7301 does.
std::string PolicyDigest(absl::string_view alpn, AlpnMismatch mismatch);

/// Makes the connections of `context` choose by their record's ServerTlsConfig.
void InstallServerCallbacks(SSL_CTX* context);

/// Tells `key_log`, which must outlive `context`, the secrets of its connections.
void InstallKeyLog(SSL_CTX* context, const KeyLog& key_log);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_SERVER_CALLBACKS_H_
