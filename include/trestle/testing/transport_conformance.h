// Transport conformance: tests for a host's own Transport, Scheduler and Dialer. Each rule and each
// sentence of their contracts (io/transport.h, io/scheduler.h, io/dialer.h) has a case. For
// example:
//
//     class MyHost final : public trestle::testing::ConformanceHost { … };  // Four functions.
//
//     const bool registered = trestle::testing::RegisterTransportConformance(
//         "MyLoop", /*seeds=*/20, [](uint64_t seed) { return std::make_unique<MyHost>(seed); });
//
// Link it with GoogleTest and its main function.
#ifndef TRESTLE_TESTING_TRANSPORT_CONFORMANCE_H_
#define TRESTLE_TESTING_TRANSPORT_CONFORMANCE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

namespace trestle::testing {

/// What the contract allows to differ. The defaults are those of a TCP socket.
struct ConformanceTraits {
  /// False if the peer can't tell a truncated end from a clean one, as with Unix-domain sockets.
  bool shows_truncation = true;
  /// False if destruction loses accepted bytes although `ShutdownWrite` is complete, for example
  /// because the transport may hold bytes of its peer that no `Read` returned.
  bool sends_after_destruction = true;
  /// True if time is virtual: it stands still while calls are due, and the scheduler takes no calls
  /// from other threads.
  bool simulated = false;
  /// The most bytes that a transport may accept while its peer does not read.
  size_t most_accepted_bytes = 64 << 20;
};

/// A loop with all that one case needs. Each case gets a new one and destroys it. What the host
/// created, such as transports, is destroyed before the host; only timers may outlive it.
class ConformanceHost {
 public:
  virtual ~ConformanceHost() = default;

  /// Returns the loop of the case.
  virtual Scheduler& scheduler() = 0;

  /// Returns a dialer on that loop.
  virtual Dialer& dialer() = 0;

  /// Starts to listen, and calls `accept` from the loop with each new connection's transport.
  /// Returns the endpoint to dial; an empty one (Endpoint()) if that failed. Called once.
  virtual Endpoint Listen(absl::AnyInvocable<void(std::unique_ptr<Transport>)> accept) = 0;

  /// Runs the loop until `done` returns true, which it checks after each call or turn. Returns
  /// false if that takes too long: 10 seconds, say, by the clock of the loop.
  virtual bool RunUntil(absl::FunctionRef<bool()> done) = 0;

  virtual ConformanceTraits traits() const { return {}; }

  /// Returns an endpoint that refuses connections. The default is an empty one.
  virtual Endpoint RefusingEndpoint() { return Endpoint(); }

  /// Returns the endpoint of a socket that could connect with itself: a free port of this machine.
  /// It is in the range from which the system gives ports to dialing sockets. The default, an empty
  /// one, is for hosts that dial no ports.
  virtual Endpoint FreeEndpoint() { return Endpoint(); }
};

/// Makes a host. `seed` is for what the host itself may vary, such as the sizes of its buffers.
using ConformanceHostFactory = absl::AnyInvocable<std::unique_ptr<ConformanceHost>(uint64_t seed)>;

/// One rule. `run` reports what breaks it as failures of GoogleTest.
struct ConformanceCase {
  const char* name;      ///< In CamelCase: "EveryAcceptedByteArrivesOnceAndInOrder".
  const char* sentence;  ///< The sentence of the contract.
  void (*run)(ConformanceHostFactory& new_host, uint64_t seed);
};

/// Returns all cases.
absl::Span<const ConformanceCase> TransportConformanceCases();

/// Registers each case with GoogleTest as "SUITE.CASE", which runs it with the seeds from 1 to
/// `seeds`. Call it before RUN_ALL_TESTS. Returns true, for the initialisation of a constant.
bool RegisterTransportConformance(const std::string& suite, uint64_t seeds,
                                  ConformanceHostFactory new_host);

}  // namespace trestle::testing

#endif  // TRESTLE_TESTING_TRANSPORT_CONFORMANCE_H_
