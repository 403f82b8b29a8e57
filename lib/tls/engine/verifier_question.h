// Connects a handshake to a PeerVerifier.
#ifndef TRESTLE_LIB_TLS_ENGINE_VERIFIER_QUESTION_H_
#define TRESTLE_LIB_TLS_ENGINE_VERIFIER_QUESTION_H_

#include <openssl/ssl.h>

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "lib/tls/engine/connection_state.h"
#include "lib/tls/engine/handshake_wait.h"
#include "trestle/base/error.h"
#include "trestle/tls/peer_verifier.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// Calls the verifier for the peer that presents `certificates`, or presented them when its session
/// was made.
void AskVerifier(const PeerVerifier& verifier, absl::string_view name, const ChainInfo& chain,
                 const STACK_OF(CRYPTO_BUFFER) * certificates, bool resumed,
                 ConnectionState& record, PendingAnswer<absl::Status>& verdict);

/// Converts the record's `verdict` for BoringSSL: the code to return, a refusal, an alert.
ssl_verify_result_t HearVerifier(ConnectionState& record, uint8_t* out_alert);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ENGINE_VERIFIER_QUESTION_H_
