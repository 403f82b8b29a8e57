// ChainFailure: why a chain was refused, in words for people.
#ifndef TRESTLE_LIB_TLS_CHAIN_FAILURE_H_
#define TRESTLE_LIB_TLS_CHAIN_FAILURE_H_

#include <openssl/base.h>
#include <openssl/x509.h>

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/tls/peer_name.h"
#include "trestle/base/error.h"

namespace trestle {

/// Why a chain was refused, and the alert that tells the peer.
struct ChainFailure {
  TlsError error;  ///< kCertificateExpired, kNameMismatch or kCertificateUntrusted.
  uint8_t alert = 0;
};

/// What the owner of a chain wants to be (extended key usage).
enum class ChainPurpose : uint8_t { kServer, kClient };

/// Explains what X509_verify_cert says of `certificate`. `name` is the one that was asked for, or
/// null.
ChainFailure ExplainVerifyError(int verify_error, const X509* certificate, ChainPurpose purpose,
                                const PeerName* name, absl::Time now);

/// Says that `certificate` is untrusted; `what` follows its subject.
ChainFailure UntrustedCertificate(const X509* certificate, absl::string_view what);

/// Whether `verify_error` says that the issuer of a certificate wasn't found.
bool IsAboutIssuer(int verify_error);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CHAIN_FAILURE_H_
