// SigningRecord: the part of a connection's record that its credential's signer needs.
#ifndef TRESTLE_LIB_TLS_SIGNING_RECORD_H_
#define TRESTLE_LIB_TLS_SIGNING_RECORD_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/tls/handshake_wait.h"
#include "trestle/base/error.h"
#include "trestle/io/scheduler.h"
#include "trestle/tls/signer.h"

namespace trestle {

/// What a signer was asked for.
struct PendingSignature {
  SignatureScheme scheme;
  std::string input;
  PendingAnswer<absl::StatusOr<std::string>> answer = {};
};

struct SigningRecord {
  explicit SigningRecord(Scheduler& loop) : scheduler(loop) {}

  Scheduler& scheduler;
  HandshakeWait wait;
  std::unique_ptr<PendingSignature> signature;  ///< Null where no signer is at work.
  std::unique_ptr<TlsError> signing_failure;    ///< More than BoringSSL's own error says.

  /// Hangs this record on `ssl`, which it must outlive.
  void Attach(SSL* ssl) { SSL_set_app_data(ssl, this); }

  /// The record that hangs on `ssl`.
  static SigningRecord& Of(const SSL* ssl) {
    return *static_cast<SigningRecord*>(SSL_get_app_data(ssl));
  }
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_SIGNING_RECORD_H_
