// Predicts when a chain stops being valid, by asking the verifier at each candidate time.
#ifndef TRESTLE_LIB_PKI_CHAIN_FORECAST_H_
#define TRESTLE_LIB_PKI_CHAIN_FORECAST_H_

#include <openssl/x509.h>

#include <optional>

#include "absl/time/time.h"
#include "lib/pki/certificate_verifier.h"
#include "trestle/pki/chain_checker.h"

namespace trestle {

/// Returns the first moment after `now` at which `VerifyChain` refuses `chain`. If one path ends
/// and another continues, the other counts. Empty if the chain is refused already or never.
std::optional<FutureFailure> ForecastChain(const CertificateChain& chain,
                                           const ChainRequirements& requirements, absl::Time now);

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_CHAIN_FORECAST_H_
