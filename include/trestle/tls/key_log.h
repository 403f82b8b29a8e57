// KeyLog: receives the secrets of connections, to debug them with a packet analyser.
#ifndef TRESTLE_TLS_KEY_LOG_H_
#define TRESTLE_TLS_KEY_LOG_H_

#include "absl/strings/string_view.h"

namespace trestle {

/// Receives the secrets of connections. A reader of these secrets can decrypt the connections.
class KeyLog {
 public:
  virtual ~KeyLog() = default;

  /// Receives one line of an SSLKEYLOGFILE (RFC 9850), without its end. Any thread may call it.
  virtual void OnLine(absl::string_view line) const = 0;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_KEY_LOG_H_
