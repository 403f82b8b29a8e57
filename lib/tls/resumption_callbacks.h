// Resumption at a server: by tickets, sealed and opened by the config's key ring, and by session
// IDs where it has a cache. Neither is taken for more than it is worth: a client's certificate is
// judged again each time.
#ifndef TRESTLE_LIB_TLS_RESUMPTION_CALLBACKS_H_
#define TRESTLE_LIB_TLS_RESUMPTION_CALLBACKS_H_

#include <openssl/ssl.h>

namespace trestle {

/// Makes the connections of `context` use the TicketKeyRing of their record's ServerTlsConfig, and
/// its ServerSessionCache where it `has_cache`.
void InstallResumptionCallbacks(SSL_CTX* context, bool has_cache);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_RESUMPTION_CALLBACKS_H_
