// X509Context: an X.509-SVID with its key and the bundles of trust domains, checked, as the legs of
// a proxy use them.
#ifndef TRESTLE_INTEGRATIONS_SPIFFE_X509_CONTEXT_H_
#define TRESTLE_INTEGRATIONS_SPIFFE_X509_CONTEXT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "integrations/spiffe/workload_api.h"
#include "trestle/pki/spiffe_id.h"
#include "trestle/pki/trust_store.h"
#include "trestle/tls/credential.h"

namespace trestle {

/// Immutable; may be used from several threads.
struct X509Context {
  SpiffeId id;
  std::string hint;  ///< The operator's name for the SVID; may be empty.
  /// The same certificate and key, for each use: ServerTlsOptions::certificates on the front leg,
  /// ClientTlsOptions::credential on the back leg.
  std::shared_ptr<const Credential> server;
  std::shared_ptr<const Credential> client;
  /// The own trust domain first, then the federated ones by name: ClientTlsOptions::trust_domains.
  std::vector<TrustDomainCas> bundles;
  /// The same, for ClientAuthPolicy::trust.
  std::shared_ptr<const TrustStore> trust;

  /// Returns the validity of the SVID.
  absl::Time not_before() const { return server->chain().front().not_before; }
  absl::Time not_after() const { return server->chain().front().not_after; }
};

/// Makes the context of one message. Takes the SVID with the ID `wanted`, or the first one if that
/// is empty (SPIFFE_Workload_API 5.2.1). Fails with
///   - ErrorCode::kNoCertificate if there is no such SVID;
///   - ErrorCode::kProtocol for a certificate or key that is no DER;
///   - ErrorCode::kCertificateUntrusted if the parts contradict each other.
///
/// Contradictions are a key of another certificate, an ID that the certificate hasn't, and a chain
/// to no CA of the own bundle. So are a bundle without CAs, and a second one of the own trust
/// domain. Dates are not checked: a CertificateStore does that, and knows what it has.
absl::StatusOr<X509Context> MakeX509Context(const WorkloadUpdate& update, absl::string_view wanted,
                                            absl::Time now);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_SPIFFE_X509_CONTEXT_H_
