// Findings about chains and CAs as they were issued: what peers refuse already, or will refuse
// after the next renewal, whatever the dates are.
#ifndef TRESTLE_PKI_CHAIN_FINDINGS_H_
#define TRESTLE_PKI_CHAIN_FINDINGS_H_

#include <vector>

#include "absl/time/time.h"
#include "trestle/pki/certificate_info.h"
#include "trestle/pki/finding.h"
#include "trestle/pki/trust_store.h"

namespace trestle {

/// The side that presents a chain.
enum class ChainUse : unsigned char { kServer, kClient };

struct ChainFindingOptions {
  ChainUse use = ChainUse::kServer;
  /// A collection of public roots. A chain is public if it leads to one of them. Null: no chain is.
  /// A private CA in the collection makes its chains public here.
  const TrustStore* public_roots = nullptr;
  /// Roots that peers drop from their collections. Null: none is known.
  const TrustStore* dropped_roots = nullptr;
  /// Also finds that an intermediate seems to be missing. Set it to false for a chain that was
  /// verified: then the missing certificates are known.
  bool check_completeness = true;
};

/// Judges a chain as it is sent, at `now`. Returns the most severe finding first. Codes:
///   - "lifetime_over_policy": a public leaf is valid for longer than the CA/Browser Forum allowed
///     when it was issued (Baseline Requirements 6.3.2). Since 2020-09-01 398 days, since
///     2026-03-15 200, since 2027-03-15 100, since 2029-03-15 47;
///   - "sha1_signature", "weak_key": peers refuse the certificate; see `kMinRsaBits`;
///   - "client_auth_missing": a client's leaf lacks the extended key usage clientAuth;
///   - "client_auth_will_end": a client's leaf is public, and public CAs end clientAuth;
///   - "root_dropped": the chain leads to one of `dropped_roots`;
///   - "intermediate_missing": the leaf is alone, and names a place to fetch its issuer.
/// A chain that doesn't parse has no findings.
std::vector<Finding> FindingsOfChain(const ServedChain& chain, const ChainFindingOptions& options,
                                     absl::Time now);

/// Judges the CAs to which clients' certificates must lead. The code "public_client_cas" says that
/// one of them is among `public_roots` (may be null).
std::vector<Finding> FindingsOfClientCas(const TrustStore& client_cas,
                                         const TrustStore* public_roots);

}  // namespace trestle

#endif  // TRESTLE_PKI_CHAIN_FINDINGS_H_
