// Resumption at a server: by tickets, which the config's key ring encrypts, and by session IDs if
// the config has a cache. Each resumption verifies the client's certificate again.
#ifndef TRESTLE_LIB_TLS_SESSIONS_RESUMPTION_CALLBACKS_H_
#define TRESTLE_LIB_TLS_SESSIONS_RESUMPTION_CALLBACKS_H_

#include <openssl/ssl.h>

namespace trestle {

/// Makes the connections of `context` use the TicketKeyRing of their record's ServerTlsConfig. With
/// `has_cache`, also its ServerSessionCache.
void InstallResumptionCallbacks(SSL_CTX* context, bool has_cache);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_SESSIONS_RESUMPTION_CALLBACKS_H_
