// Judges a peer's certificate chain: trust, dates, purpose and name, with an answer for people.
#ifndef TRESTLE_LIB_TLS_CERTIFICATE_VERIFIER_H_
#define TRESTLE_LIB_TLS_CERTIFICATE_VERIFIER_H_

#include <openssl/base.h>
#include <openssl/x509.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/base/error.h"

namespace trestle {

/// The name that a peer must prove: a normalised DNS name or an IP address.
struct PeerName {
  std::string dns_name;    ///< Empty for an address.
  std::string ip_address;  ///< 4 or 16 bytes in network order; empty for a DNS name.

  /// Reads what a user wrote. Fails with ErrorCode::kConfiguration for the empty name and for what
  /// is neither a DNS name nor an address.
  static absl::StatusOr<PeerName> Parse(absl::string_view text);

  std::string ToString() const;
};

/// Why a chain was refused, and the alert that tells the peer.
struct ChainFailure {
  TlsError error;  ///< kCertificateExpired, kNameMismatch or kCertificateUntrusted.
  uint8_t alert = 0;
};

using CertificateChain = std::vector<bssl::UniquePtr<X509>>;

/// Intermediates between a leaf and its root, where nobody asks for fewer. Real chains have one to
/// three.
inline constexpr int kMaxIntermediates = 8;

/// What the owner of a chain wants to be (extended key usage).
enum class ChainPurpose : uint8_t { kServer, kClient };

struct ChainRequirements {
  X509_STORE* roots = nullptr;  ///< Not null. Where CRLs are checked, it holds them, too.
  ChainPurpose purpose = ChainPurpose::kServer;
  /// What the leaf must have among its subject alternative names; the subject's common name doesn't
  /// count. Null, for clients only: anything.
  const PeerName* name = nullptr;
  int max_intermediates = kMaxIntermediates;
  /// Whether each certificate's issuer must have a CRL, valid at the time, without it.
  bool check_crls = false;
};

/// Checks that `chain` (leaf first) leads to one of the roots, is fit for its purpose, and is
/// within its dates at `now`. RSA keys under 2048 bits and signatures with SHA-1 are refused below
/// the root. Nothing is returned when all is well; `valid_until`, unless null, then tells how long
/// that holds: to the earliest not_after of the chain that was built, root included.
std::optional<ChainFailure> VerifyChain(const CertificateChain& chain,
                                        const ChainRequirements& requirements, absl::Time now,
                                        absl::Time* valid_until = nullptr);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CERTIFICATE_VERIFIER_H_
