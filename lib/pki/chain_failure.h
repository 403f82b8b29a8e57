// ChainFailure: why a chain was refused, in text for operators.
#ifndef TRESTLE_LIB_PKI_CHAIN_FAILURE_H_
#define TRESTLE_LIB_PKI_CHAIN_FAILURE_H_

#include <openssl/base.h>
#include <openssl/x509.h>

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/pki/peer_name.h"
#include "trestle/base/error.h"

namespace trestle {

/// Why a chain was refused.
struct ChainFailure {
  Error error;  ///< kCertificateExpired, kNameMismatch, kCertificateUntrusted or kInternal.
  int verify_error = X509_V_ERR_CERT_REJECTED;  ///< The X509_V_ERR_ value closest to it.
};

/// The purpose of a chain (extended key usage).
enum class ChainPurpose : uint8_t { kServer, kClient };

/// Describes an error of X509_verify_cert for `certificate`. `name` is the requested name, or null.
ChainFailure ExplainVerifyError(int verify_error, const X509* certificate, ChainPurpose purpose,
                                const PeerName* name, absl::Time now);

/// Makes the failure of an untrusted `certificate`; `what` follows its subject.
ChainFailure UntrustedCertificate(const X509* certificate, absl::string_view what);

/// Returns whether `verify_error` means that a revocation list is missing or out of its dates.
bool IsAboutMissingList(int verify_error);

/// Returns whether `verify_error` means that an issuer was not found.
bool IsAboutIssuer(int verify_error);

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_CHAIN_FAILURE_H_
