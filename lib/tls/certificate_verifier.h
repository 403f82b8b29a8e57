// Judges a server's certificate chain: trust, dates, purpose and name, with an answer for people.
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

/// Checks that `chain` (leaf first) leads to one of `roots`, is fit for TLS servers (extended key
/// usage), is within its dates at `now`, and that its leaf has `name` among its subject alternative
/// names; the subject's common name doesn't count. RSA keys under 2048 bits and signatures with
/// SHA-1 are refused below the root. Nothing is returned when all is well.
std::optional<ChainFailure> VerifyServerChain(const CertificateChain& chain, X509_STORE* roots,
                                              const PeerName& name, absl::Time now);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CERTIFICATE_VERIFIER_H_
