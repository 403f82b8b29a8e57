// What a client decides while a server's certificate is being read.
#ifndef TRESTLE_LIB_TLS_CLIENT_CALLBACKS_H_
#define TRESTLE_LIB_TLS_CLIENT_CALLBACKS_H_

#include <openssl/ssl.h>

namespace trestle {

/// Makes the connections of `context` verify their peer by their record's ClientTlsConfig.
void InstallClientCallbacks(SSL_CTX* context);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CLIENT_CALLBACKS_H_
