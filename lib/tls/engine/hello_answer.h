// Connects a server's hello hook to BoringSSL.
#ifndef TRESTLE_LIB_TLS_ENGINE_HELLO_ANSWER_H_
#define TRESTLE_LIB_TLS_ENGINE_HELLO_ANSWER_H_

#include <openssl/ssl.h>

#include <cstdint>

namespace trestle {

struct ConnectionState;

/// Runs the record's check of `hello` once, if there is one. Returns success, or error with the
/// alert sent and the refusal recorded.
ssl_select_cert_result_t CheckHello(const SSL_CLIENT_HELLO* hello, ConnectionState& record);

/// Runs the record's hook on `hello`, if there is one. Returns success, retry while the answer is
/// pending, or error with the alert sent and the refusal recorded.
ssl_select_cert_result_t AskHelloHook(const SSL_CLIENT_HELLO* hello, ConnectionState& record);

/// Returns whether a hook chose the application protocol. Then sets `result` to the ALPN callback's
/// return value, and `out` to a protocol within `in`, the client's offer.
bool SelectAnsweredAlpn(ConnectionState& record, const uint8_t** out, uint8_t* out_bytes,
                        const uint8_t* in, unsigned in_bytes, int& result);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ENGINE_HELLO_ANSWER_H_
