// SigningState: the part of a connection's record that its credential's signer needs.
#ifndef TRESTLE_LIB_TLS_CREDENTIALS_SIGNING_STATE_H_
#define TRESTLE_LIB_TLS_CREDENTIALS_SIGNING_STATE_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/tls/engine/handshake_wait.h"
#include "trestle/base/error.h"
#include "trestle/io/scheduler.h"
#include "trestle/pki/signer.h"

namespace trestle {

/// A signature requested from a signer.
struct PendingSignature {
  SignatureScheme scheme;
  std::string input;
  PendingAnswer<absl::StatusOr<std::string>> answer = {};
};

struct SigningState {
  explicit SigningState(Scheduler& loop) : scheduler(loop) {}

  Scheduler& scheduler;
  HandshakeWait wait;
  std::unique_ptr<PendingSignature> signature;  ///< Null if no signature is pending.
  std::unique_ptr<Error> signing_failure;       ///< More specific than BoringSSL's error.

  /// Attaches this record to `ssl`; it must outlive `ssl`.
  void Attach(SSL* ssl) { SSL_set_app_data(ssl, this); }

  /// Returns the record attached to `ssl`.
  static SigningState& Of(const SSL* ssl) {
    return *static_cast<SigningState*>(SSL_get_app_data(ssl));
  }
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CREDENTIALS_SIGNING_STATE_H_
