// What cases set and read below Trestle's options: on the BoringSSL objects that the library gives
// to its own tests (TlsInternals). No host can do this. Such cases test what Trestle does with
// negotiations that its own lists never lead to; scripts/bogo counts them apart.
#ifndef TRESTLE_TESTS_BOGO_BELOW_H_
#define TRESTLE_TESTS_BOGO_BELOW_H_

#include <openssl/ssl.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/bogo/flags.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/credential.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle::bogo {

/// Tells whether a case sets or reads anything here.
bool ConcernsBelow(const Flags& flags);

/// Tells whether `flags` list a key exchange group that Trestle does not have.
bool HasForeignGroup(const Flags& flags);

/// Sets what `files` say beside the files. Fails with ErrorCode::kConfiguration for what BoringSSL
/// refuses.
absl::Status SetBelow(const CredentialFiles& files, const Credential& credential);

/// Sets what `flags` say on all connections of a config, and lets `CheckBelow` see the next one.
absl::Status SetBelow(const Flags& flags, SSL_CTX* context);

/// Compares the connection that made its handshake last with the flags.
absl::Status CheckBelow(const Flags& flags);

/// Returns what the runner reads first from that connection: exported keys; mostly nothing.
absl::StatusOr<std::string> ExportBelow(const Flags& flags);

}  // namespace trestle::bogo

#endif  // TRESTLE_TESTS_BOGO_BELOW_H_
