// Transports, schedulers and dialers with one fault each, and the conformance case that must detect
// it.
#ifndef TRESTLE_TESTS_CONFORMANCE_BROKEN_H_
#define TRESTLE_TESTS_CONFORMANCE_BROKEN_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/types/span.h"
#include "tests/conformance/hosts.h"
#include "trestle/io/transport.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/testing/transport_conformance.h"

namespace trestle::testing {

struct BrokenTransport {
  const char* failing_case;
  std::unique_ptr<Transport> (*wrap)(std::unique_ptr<Transport>, SimulatedLoop&);
};

template <typename Broken>
std::unique_ptr<Transport> Wrapped(std::unique_ptr<Transport> inner, SimulatedLoop& loop) {
  return std::make_unique<Broken>(std::move(inner), loop);
}

absl::Span<const BrokenTransport> BrokenCallbacks();
absl::Span<const BrokenTransport> BrokenBytes();
absl::Span<const BrokenTransport> BrokenEnds();

/// A host with a fault outside its transports.
struct BrokenHost {
  const char* failing_case;
  std::unique_ptr<ConformanceHost> (*make)(uint64_t seed);
};

absl::Span<const BrokenHost> BrokenSchedulers();
absl::Span<const BrokenHost> BrokenDialers();

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_CONFORMANCE_BROKEN_H_
