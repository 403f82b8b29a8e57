// Verifies a peer's certificate chain: trust, dates, purpose and name, with errors for operators.
#ifndef TRESTLE_LIB_PKI_CERTIFICATE_VERIFIER_H_
#define TRESTLE_LIB_PKI_CERTIFICATE_VERIFIER_H_

#include <openssl/base.h>
#include <openssl/x509.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lib/pki/chain_failure.h"
#include "lib/pki/peer_name.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/pki/certificate_info.h"
#include "trestle/pki/trust_store.h"

namespace trestle {

/// The default limit of intermediates. Real chains have one to three.
inline constexpr int kMaxIntermediates = 8;

struct ChainRequirements {
  const TrustStore* trust = nullptr;  ///< Not null. Includes the CRLs to check.
  ChainPurpose purpose = ChainPurpose::kServer;
  /// The leaf must have this subject alternative name; the common name doesn't count. Null, for
  /// clients and with `uris` only: any name.
  const PeerName* name = nullptr;
  /// The leaf must have a URI that one of these patterns covers (`CoversUri`). Empty: any.
  absl::Span<const std::string> uris = {};
  int max_intermediates = kMaxIntermediates;
  /// Requires from each certificate's issuer a CRL that is valid now and does not list the
  /// certificate.
  bool check_crls = false;
  int min_rsa_bits = kMinRsaBits;
  int min_ec_bits = kMinEcBits;
  /// Public key pins: SHA-256 of SubjectPublicKeyInfos. The chain must have one. Empty: any key.
  absl::Span<const std::array<uint8_t, 32>> pins = {};
};

/// The result of verifying a chain.
struct ChainVerdict {
  std::optional<ChainFailure> failure;  ///< Empty if the chain is valid.
  /// The valid path, or the path of `failure`: leaf first, trust anchor last. It may end early if
  /// no issuer follows. Empty only without a chain or memory.
  CertificateChain path;
  bool anchored = false;  ///< `path` ends at a trust anchor.
};

/// Checks that a path leads from the first certificate of `chain` to a trust anchor (see
/// TrustStore). The path must have the right purpose, and be valid at `now`. Refuses short keys and
/// SHA-1 signatures below the anchor. The other certificates of `chain` help to build paths; their
/// order doesn't matter, and unused ones have no effect.
///
/// Tries every path, those within their dates first. The verdict is the same for every order of
/// `chain` and of the CA file. A store of trust domains takes the anchors of the leaf's own one.
/// Limits: 16 complete path verifications, 64 further signature checks
/// to select these paths, 2,000 search steps. A chain that exceeds a limit before a valid path is
/// found is refused.
ChainVerdict VerifyChain(const CertificateChain& chain, const ChainRequirements& requirements,
                         absl::Time now);

/// Returns the certificate of `path` that expires first. `path` isn't empty; `anchored` says
/// whether its last certificate is a trust anchor.
PathEnd EndOfPath(const CertificateChain& path, bool anchored);

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_CERTIFICATE_VERIFIER_H_
