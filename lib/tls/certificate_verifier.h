// Judges a peer's certificate chain: trust, dates, purpose and name, with an answer for people.
#ifndef TRESTLE_LIB_TLS_CERTIFICATE_VERIFIER_H_
#define TRESTLE_LIB_TLS_CERTIFICATE_VERIFIER_H_

#include <openssl/base.h>
#include <openssl/x509.h>

#include <array>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lib/tls/certificate_info.h"
#include "lib/tls/chain_failure.h"
#include "lib/tls/peer_name.h"
#include "trestle/tls/tls_info.h"
#include "trestle/tls/trust_store.h"

namespace trestle {

/// Intermediates between a leaf and its root, where nobody asks for fewer. Real chains have one to
/// three.
inline constexpr int kMaxIntermediates = 8;

/// CAs have issued nothing weaker since 2014 (CA/Browser Forum Baseline Requirements 6.1.5).
inline constexpr int kMinRsaBits = 2048;
inline constexpr int kMinEcBits = 256;

struct ChainRequirements {
  const TrustStore* trust = nullptr;  ///< Not null. Where CRLs are checked, it holds them, too.
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

/// What becomes of a chain.
struct ChainVerdict {
  std::optional<ChainFailure> failure;  ///< Nothing when all is well.
  /// Leaf first, trust anchor last: the path that is good, or the one that `failure` is about. May
  /// end earlier, where nothing leads on; empty only without a chain or memory.
  CertificateChain path;
  bool anchored = false;  ///< `path` ends at a certificate that is trusted for itself.
};

/// Checks that a path leads from the first of `chain` to a trust anchor (see TrustStore), is fit
/// for its purpose, and is within its dates at `now`. Short keys and signatures with SHA-1 are
/// refused below the anchor. The rest of `chain` is a set to build paths with: its order doesn't
/// matter, nor does what no path needs.
///
/// Every path is tried, those that are within their dates first, so that the verdict is the same in
/// every order of `chain` and of the CA file. The work is bounded: 16 paths are verified in whole,
/// behind at most 64 further signatures that tell which, and 2,000 steps are made to find them. A
/// chain that offers more is refused when it was not good until then.
ChainVerdict VerifyChain(const CertificateChain& chain, const ChainRequirements& requirements,
                         absl::Time now);

/// Finds the certificate of a path that ends first. `path` isn't empty; `anchored` says whether its
/// last one is a trust anchor.
PathEnd EndOfPath(const CertificateChain& path, bool anchored);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CERTIFICATE_VERIFIER_H_
