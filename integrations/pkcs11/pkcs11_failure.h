// Turns return values of PKCS #11 into errors.
#ifndef TRESTLE_INTEGRATIONS_PKCS11_PKCS11_FAILURE_H_
#define TRESTLE_INTEGRATIONS_PKCS11_PKCS11_FAILURE_H_

#include <p11-kit/pkcs11.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace trestle {

/// Returns the error for `result` of a call that was made to `purpose`: "sign". Its code is
/// kTransport if the token or its session is away or broken; kOverLimit if the token has no more
/// sessions; else kInternal.
absl::Status Pkcs11Failure(absl::string_view name, absl::string_view purpose, CK_RV result);

/// Returns an error with kTransport: the token is not there.
absl::Status TokenIsAway(absl::string_view name, absl::string_view why);

/// Returns whether the error's code is kTransport.
bool IsAway(const absl::Status& status);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PKCS11_PKCS11_FAILURE_H_
