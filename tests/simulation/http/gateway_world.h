// A simulated HttpGateway with clients and backends of both versions, faults, slow sides, retries,
// a drain and a reload. One seed fixes all of it.
#ifndef TRESTLE_TESTS_SIMULATION_HTTP_GATEWAY_WORLD_H_
#define TRESTLE_TESTS_SIMULATION_HTTP_GATEWAY_WORLD_H_

#include <cstdint>
#include <string>

namespace trestle {

struct GatewayRun {
  std::string wrong;      ///< The first broken promise; empty if all were kept.
  uint64_t requests = 0;  ///< That clients began.
  uint64_t complete = 0;  ///< That got a complete response of a backend.
};

/// Runs one seed. These promises are checked:
///   - each request has one report, and each response of a backend is that of its own request;
///   - no byte of a request or a response is in another one, on any connection;
///   - what backends and clients get is valid, and no POST reaches backends twice;
///   - no more requests are in progress than the limits allow;
///   - in the end nothing is open.
GatewayRun RunGatewaySeed(uint64_t seed);

}  // namespace trestle

#endif  // TRESTLE_TESTS_SIMULATION_HTTP_GATEWAY_WORLD_H_
