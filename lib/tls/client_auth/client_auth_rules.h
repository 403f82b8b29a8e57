// ClientAuthRules: an immutable set of client authentication policies by server name. It verifies
// clients' chains.
#ifndef TRESTLE_LIB_TLS_CLIENT_AUTH_CLIENT_AUTH_RULES_H_
#define TRESTLE_LIB_TLS_CLIENT_AUTH_CLIENT_AUTH_RULES_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/pki/certificate_verifier.h"
#include "trestle/pki/peer_identity.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/tls_parameters.h"
#include "trestle/wire/pattern_index.h"
#include "trestle/wire/server_name.h"

namespace trestle {

/// One policy, checked and ready for use.
class ClientAuthRule {
 public:
  static absl::StatusOr<ClientAuthRule> Make(ClientAuthPolicy policy);

  ClientCertificate certificate() const { return policy_.certificate; }
  const TrustStore& trust() const { return *policy_.trust; }

  /// The terms that a resumed session must share with its origin. Empty if no certificate is
  /// requested.
  const std::string& digest() const { return digest_; }

  /// Checks that `chain` (leaf first) is trusted at `now`, not revoked, and accepted, and that its
  /// keys have the sizes of `parameters`. Returns nothing on success and fills in `identity`.
  std::optional<ChainFailure> Judge(const CertificateChain& chain, const TlsParameters& parameters,
                                    absl::Time now, PeerIdentity& identity) const;

 private:
  bool Allows(const PeerIdentity& identity) const;

  ClientAuthPolicy policy_;
  std::vector<NamePattern> allowed_dns_names_;
  std::string digest_;
};

class ClientAuthRules {
 public:
  static absl::StatusOr<std::shared_ptr<const ClientAuthRules>> Make(ClientAuthOptions options);

  /// Returns the rule for a normalised server name; an empty one stands for hellos without a name.
  const ClientAuthRule& Find(absl::string_view server_name) const;

  /// Returns whether any two rules accept different clients.
  bool differ() const;

 private:
  ClientAuthRule otherwise_;
  std::vector<ClientAuthRule> named_;
  PatternIndex by_name_;  // Places in named_.
};

/// Reads the identity in `leaf`.
PeerIdentity IdentityOf(const X509* leaf);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CLIENT_AUTH_CLIENT_AUTH_RULES_H_
