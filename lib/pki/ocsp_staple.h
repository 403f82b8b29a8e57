// Parses and verifies a stapled OCSP response.
#ifndef TRESTLE_LIB_PKI_OCSP_STAPLE_H_
#define TRESTLE_LIB_PKI_OCSP_STAPLE_H_

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/pki/staple.h"

namespace trestle {

/// Verifies `staple` (DER) for the certificate `leaf_der`, issued by `issuer_der`.
StapleReport JudgeStaple(absl::string_view staple, absl::string_view leaf_der,
                         absl::string_view issuer_der, absl::Time now);

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_OCSP_STAPLE_H_
