// The flags for clients' certificates: --client_ca, --client_crl, --client_auth, --client_allow.
#ifndef TRESTLE_EXAMPLES_SUPPORT_CLIENT_AUTH_FLAGS_H_
#define TRESTLE_EXAMPLES_SUPPORT_CLIENT_AUTH_FLAGS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "examples/support/spiffe_agent.h"
#include "trestle/tls/client_authentication.h"

namespace trestle::examples {

/// Reads the flags and the files that they name, and checks them; null if no clients are verified.
/// With --spiffe_clients, `spiffe` has the CAs and the IDs to allow; else it may be null.
absl::StatusOr<std::unique_ptr<ClientAuthOptions>> ClientAuthFromFlags(SpiffeAgent* spiffe);

/// Returns the files that the flags name.
std::vector<std::string> ClientAuthFiles();

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_CLIENT_AUTH_FLAGS_H_
