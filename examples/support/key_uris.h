// Private keys that flags name by URI instead of by file. They stay outside this process, in a
// token (pkcs11:, RFC 7512) or at a key server (remote:).
#ifndef TRESTLE_EXAMPLES_SUPPORT_KEY_URIS_H_
#define TRESTLE_EXAMPLES_SUPPORT_KEY_URIS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/pki/signer.h"
#include "trestle/tls/credential.h"

namespace trestle::examples {

/// Returns whether the value of a flag such as --key is one or more URIs. Else it is a file.
bool IsKeyUri(absl::string_view key);

/// Returns the signer for the key of a chain's first certificate, by URIs as below. Each has proven
/// its key.
absl::StatusOr<std::shared_ptr<const Signer>> SignerByKeyUris(absl::string_view chain_pem,
                                                              const std::string& uris,
                                                              CredentialUse use);

/// Makes `signer` prove that it has the key of the chain's first certificate. Waits for the answer.
absl::Status ProveKey(const Signer& signer, absl::string_view chain_pem, CredentialUse use);

/// Makes a credential of a chain and the key that `uris` name: one URI, or several with spaces
/// between them, each with the same key. A signature comes from the first that works.
///
/// Each URI makes one signature as a proof, unless it has made one for the same public key before.
/// One that is away is logged, as long as another proves the key; all other failures are errors.
/// Waits for the proofs, for at most --signing_deadline each. For one thread at a time; signers are
/// kept until the program ends.
absl::StatusOr<std::shared_ptr<const Credential>> CredentialByKeyUris(
    absl::string_view chain_pem, const std::string& uris, const CredentialOptions& options);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_KEY_URIS_H_
