// Converts BoringSSL's error queue to Error.
#ifndef TRESTLE_LIB_TLS_ENGINE_SSL_ERROR_H_
#define TRESTLE_LIB_TLS_ENGINE_SSL_ERROR_H_

#include <cstdint>
#include <string>

#include "trestle/base/error.h"

namespace trestle {

struct ConnectionState;

/// The state of a connection when it failed.
struct FailureScene {
  bool is_server = false;
  bool handshake_done = false;
  bool hello_answered = false;  ///< Server: the hello was accepted and answered.
};

/// Converts `packed_error`, the first error of a failed SSL call, to code, alert and detail. A
/// refusal in the record takes precedence over BoringSSL's error.
Error ExplainSslError(uint32_t packed_error, const ConnectionState& record,
                      const FailureScene& scene);

/// Returns the text for a peer that closed the connection with `alert`.
std::string PeerAlertText(uint8_t alert);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ENGINE_SSL_ERROR_H_
