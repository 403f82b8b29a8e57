// A server's hello hook and BoringSSL: asks it, waits for it, and does what it says.
#ifndef TRESTLE_LIB_TLS_HELLO_ANSWER_H_
#define TRESTLE_LIB_TLS_HELLO_ANSWER_H_

#include <openssl/ssl.h>

#include <cstdint>

namespace trestle {

struct ConnectionRecord;

/// Asks the record's check, if it has one and for the first time, about `hello`: success, or error
/// with the alert sent and the refusal noted.
ssl_select_cert_result_t CheckHello(const SSL_CLIENT_HELLO* hello, ConnectionRecord& record);

/// Lets the record's hook, if it has one, decide about `hello`: success, retry while it thinks, or
/// error with the alert sent and the refusal noted.
ssl_select_cert_result_t AskHelloHook(const SSL_CLIENT_HELLO* hello, ConnectionRecord& record);

/// Tells whether a hook has chosen the application protocol. `result` is then what the ALPN
/// callback has to return, with `out` among the `in` that the client offers.
bool SelectAnsweredAlpn(ConnectionRecord& record, const uint8_t** out, uint8_t* out_bytes,
                        const uint8_t* in, unsigned in_bytes, int& result);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_HELLO_ANSWER_H_
