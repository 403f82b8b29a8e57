// When a chain that is good today stops being good: asked of the verifier itself, moment by moment.
#ifndef TRESTLE_LIB_TLS_CHAIN_FORECAST_H_
#define TRESTLE_LIB_TLS_CHAIN_FORECAST_H_

#include <openssl/x509.h>

#include <optional>

#include "absl/time/time.h"
#include "lib/tls/certificate_verifier.h"
#include "trestle/tls/chain_checker.h"

namespace trestle {

/// Finds the first moment after `now` at which `VerifyChain` refuses `chain`. Where one path ends
/// and another goes on, the other counts. Nothing if the chain is refused already, or never will
/// be.
std::optional<FutureFailure> ForecastChain(const CertificateChain& chain,
                                           const ChainRequirements& requirements, absl::Time now);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CHAIN_FORECAST_H_
