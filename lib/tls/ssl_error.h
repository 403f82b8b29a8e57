// BoringSSL's error queue -> TlsError.
#ifndef TRESTLE_LIB_TLS_SSL_ERROR_H_
#define TRESTLE_LIB_TLS_SSL_ERROR_H_

#include <cstdint>
#include <string>

#include "trestle/base/error.h"

namespace trestle {

struct ConnectionRecord;

/// How far a connection had come when it failed.
struct FailureScene {
  bool is_server = false;
  bool handshake_done = false;
  bool hello_answered = false;  ///< Server: the hello was accepted and answered.
};

/// Explains `packed_error`, the first error of a failed SSL call, with code, alert and detail. What
/// a callback noted in the record goes before what BoringSSL says.
TlsError ExplainSslError(uint32_t packed_error, const ConnectionRecord& record,
                         const FailureScene& scene);

/// Says that the peer ended the connection by `alert`.
std::string PeerAlertText(uint8_t alert);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_SSL_ERROR_H_
