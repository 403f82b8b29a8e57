// Session tickets of a server: sealed and opened by the config's key ring, and not taken for more
// than they are worth: a client's certificate is judged again each time.
#ifndef TRESTLE_LIB_TLS_TICKET_CALLBACKS_H_
#define TRESTLE_LIB_TLS_TICKET_CALLBACKS_H_

#include <openssl/ssl.h>

namespace trestle {

/// Makes the connections of `context` use the TicketKeyRing of their record's ServerTlsConfig.
void InstallTicketCallbacks(SSL_CTX* context);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_TICKET_CALLBACKS_H_
