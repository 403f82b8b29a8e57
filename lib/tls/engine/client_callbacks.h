// A client's decisions about a server: its certificate, and which sessions are kept and resumed.
#ifndef TRESTLE_LIB_TLS_ENGINE_CLIENT_CALLBACKS_H_
#define TRESTLE_LIB_TLS_ENGINE_CLIENT_CALLBACKS_H_

#include <openssl/ssl.h>

#include <string>

#include "trestle/tls/client_tls_config.h"

namespace trestle {

/// Digests all of `options`: policies differ if any option differs.
std::string ClientPolicyDigest(const ClientTlsOptions& options);

/// Makes the connections of `context` verify their peer with their record's ClientTlsConfig.
void InstallClientCallbacks(SSL_CTX* context);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ENGINE_CLIENT_CALLBACKS_H_
