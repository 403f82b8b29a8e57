// RenewalInfo: the time at which a CA advises to renew a certificate (ACME Renewal Information,
// RFC 9773).
#ifndef TRESTLE_PKI_RENEWAL_INFO_H_
#define TRESTLE_PKI_RENEWAL_INFO_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace trestle {

/// A CA's answer for one certificate (RFC 9773 4.2).
struct RenewalInfo {
  /// The suggested window. An ACME client renews at a random time between them; a window in the
  /// past means at once.
  absl::Time start;
  absl::Time end;
  std::string explanation_url;  ///< A page for operators; may be empty.
};

/// Returns the identifier of a certificate (DER) by which ACME servers know it (RFC 9773 4.1). It
/// is the base64url of the authority key identifier, a dot, and that of the serial number. It has
/// no character that needs quoting in URLs, file names or logs. Fails with
/// ErrorCode::kConfiguration for a certificate that doesn't parse or has no authority key
/// identifier.
absl::StatusOr<std::string> RenewalIdOf(absl::string_view certificate_der);

}  // namespace trestle

#endif  // TRESTLE_PKI_RENEWAL_INFO_H_
