// The conformance cases by subject, and the functions that run them.
#ifndef TRESTLE_LIB_TESTING_CONFORMANCE_CASES_H_
#define TRESTLE_LIB_TESTING_CONFORMANCE_CASES_H_

#include <cstdint>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "lib/testing/conformance/stage.h"
#include "trestle/testing/transport_conformance.h"

namespace trestle::testing {

absl::Span<const ConformanceCase> CallbackCases();
absl::Span<const ConformanceCase> ByteCases();
absl::Span<const ConformanceCase> EndCases();
absl::Span<const ConformanceCase> TruncationCases();
absl::Span<const ConformanceCase> SchedulerCases();
absl::Span<const ConformanceCase> DialerCases();

/// The `run` of a case with two connected transports.
template <void (*body)(Stage&)>
void Connected(ConformanceHostFactory& new_host, uint64_t seed) {
  Stage stage(new_host, seed);
  if (stage.Connect()) return body(stage);
  ADD_FAILURE() << "the host's dialer and `Listen` make no connection";
}

/// The `run` of a case that needs only the host.
template <void (*body)(Stage&)>
void Alone(ConformanceHostFactory& new_host, uint64_t seed) {
  Stage stage(new_host, seed);
  body(stage);
}

}  // namespace trestle::testing

#endif  // TRESTLE_LIB_TESTING_CONFORMANCE_CASES_H_
