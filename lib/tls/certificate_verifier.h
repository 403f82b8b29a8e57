// Judges a peer's certificate chain: trust, dates, purpose and name, with an answer for people.
#ifndef TRESTLE_LIB_TLS_CERTIFICATE_VERIFIER_H_
#define TRESTLE_LIB_TLS_CERTIFICATE_VERIFIER_H_

#include <openssl/base.h>
#include <openssl/x509.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "trestle/base/error.h"

namespace trestle {

/// The name that a peer must prove: one of the three is there.
struct PeerName {
  std::string dns_name;    ///< Normalised.
  std::string ip_address;  ///< 4 or 16 bytes in network order.
  std::string uri;         ///< Compared byte by byte, as SPIFFE IDs are.

  /// Reads what a user wrote; a URI has "://" in it. Fails with ErrorCode::kConfiguration for the
  /// empty name and for what is none of the three.
  static absl::StatusOr<PeerName> Parse(absl::string_view text);

  std::string ToString() const;

  /// The same with its kind: "DNS:app.example", "IP:192.0.2.1", "URI:spiffe://example.org/app".
  std::string ToStringWithKind() const;
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

/// CAs have issued nothing weaker since 2014 (CA/Browser Forum Baseline Requirements 6.1.5).
inline constexpr int kMinRsaBits = 2048;
inline constexpr int kMinEcBits = 256;

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
  int min_rsa_bits = kMinRsaBits;
  int min_ec_bits = kMinEcBits;
  /// SHA-256 of SubjectPublicKeyInfos, of which the chain must have one. Empty: any will do.
  absl::Span<const std::array<uint8_t, 32>> pins = {};
};

/// Checks that `chain` (leaf first) leads to one of the roots, is fit for its purpose, and is
/// within its dates at `now`. Short keys and signatures with SHA-1 are refused below the root.
/// Nothing is returned when all is well; `valid_until`, unless null, then tells how long that
/// holds: to the earliest not_after of the chain that was built, root included.
std::optional<ChainFailure> VerifyChain(const CertificateChain& chain,
                                        const ChainRequirements& requirements, absl::Time now,
                                        absl::Time* valid_until = nullptr);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CERTIFICATE_VERIFIER_H_
