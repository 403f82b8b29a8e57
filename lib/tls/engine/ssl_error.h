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

/// The cause of a failed SSL call, as packed errors of BoringSSL.
struct ErrorCause {
  uint32_t packed = 0;
  uint32_t below = 0;  ///< What BoringSSL's cryptography said before, such as "bad decrypt"; or 0.
};

/// Takes the cause from the error queue. It is the first error: later ones follow from it. If that
/// is one of BoringSSL's cryptography about the peer's bytes, the first of TLS says what they were.
ErrorCause TakeErrorCause();

/// Converts `cause` to code, alert and detail. A refusal in the record takes precedence over
/// BoringSSL's error.
Error ExplainSslError(const ErrorCause& cause, const ConnectionState& record,
                      const FailureScene& scene);

/// Returns the text for a peer that closed the connection with `alert`.
std::string PeerAlertText(uint8_t alert);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ENGINE_SSL_ERROR_H_
