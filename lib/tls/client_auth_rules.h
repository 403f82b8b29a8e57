// ClientAuthRules: one immutable set of client authentication policies, by server name; and how a
// client's chain is judged by one.
#ifndef TRESTLE_LIB_TLS_CLIENT_AUTH_RULES_H_
#define TRESTLE_LIB_TLS_CLIENT_AUTH_RULES_H_

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/tls/certificate_verifier.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/peer_identity.h"
#include "trestle/wire/server_name.h"

namespace trestle {

/// One policy, checked and ready for use.
class ClientAuthRule {
 public:
  static absl::StatusOr<ClientAuthRule> Make(ClientAuthPolicy policy);

  ClientCertificate certificate() const { return policy_.certificate; }
  const TrustStore& trust() const { return *policy_.trust; }

  /// What a resumed session must have in common with the one it came from. Empty where no
  /// certificate is asked for.
  const std::string& digest() const { return digest_; }

  /// Checks that `chain` (leaf first) is trusted at `now`, not revoked, and let in. Nothing is
  /// returned when all is well; then `identity` is filled in.
  std::optional<ChainFailure> Judge(const CertificateChain& chain, absl::Time now,
                                    PeerIdentity& identity) const;

 private:
  bool Allows(const PeerIdentity& identity) const;

  ClientAuthPolicy policy_;
  std::vector<NamePattern> allowed_dns_names_;
  std::string digest_;
};

class ClientAuthRules {
 public:
  static absl::StatusOr<std::shared_ptr<const ClientAuthRules>> Make(ClientAuthOptions options);

  /// The rule for a normalised server name, or for hellos without one.
  const ClientAuthRule& Find(absl::string_view server_name) const;

  /// Tells whether any two of the rules let in other clients.
  bool differ() const;

 private:
  using Names = absl::flat_hash_map<std::string, ClientAuthRule>;

  ClientAuthRule otherwise_;
  std::array<Names, NamePattern::kKinds> by_name_;  // By NamePattern::Kind, then by base.
};

/// Reads who `leaf` is for.
PeerIdentity IdentityOf(const X509* leaf);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CLIENT_AUTH_RULES_H_
