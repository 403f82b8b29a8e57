// ChainFailure: why a chain was refused, in text for operators.
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

/// Why a chain was refused, and the alert to send.
struct ChainFailure {
  TlsError error;  ///< kCertificateExpired, kNameMismatch or kCertificateUntrusted.
  uint8_t alert = 0;
};

/// The purpose of a chain (extended key usage).
enum class ChainPurpose : uint8_t { kServer, kClient };

/// Describes an error of X509_verify_cert for `certificate`. `name` is the requested name, or null.
ChainFailure ExplainVerifyError(int verify_error, const X509* certificate, ChainPurpose purpose,
                                const PeerName* name, absl::Time now);

/// Makes the failure of an untrusted `certificate`; `what` follows its subject.
ChainFailure UntrustedCertificate(const X509* certificate, absl::string_view what);

/// Returns whether `verify_error` means that an issuer was not found.
bool IsAboutIssuer(int verify_error);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CHAIN_FAILURE_H_
