// Backends: the addresses that a back leg may lead to, and how one is chosen for each connection.
#ifndef TRESTLE_PROXY_BACKENDS_H_
#define TRESTLE_PROXY_BACKENDS_H_

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "absl/status/status.h"
#include "trestle/base/endpoint.h"

namespace trestle {

enum class Balance : uint8_t {
  kRoundRobin,        ///< One after the other.
  kLeastConnections,  ///< The one with the fewest connections of this block open; then in turn.
  kClientAddress,     ///< The same one for the same client address, while the list stays the same.
};

/// One address or several. Where dialing one fails, or the TLS handshake with it, the next is
/// tried, within the timeouts of these phases.
struct Backends {
  Backends() = default;
  /// One address, as most routes have.
  Backends(const Endpoint& endpoint) : endpoints({endpoint}) {}  // NOLINT(runtime/explicit)
  Backends(std::initializer_list<Endpoint> list, Balance balance = Balance::kRoundRobin)
      : endpoints(list), balance(balance) {}

  std::vector<Endpoint> endpoints;
  Balance balance = Balance::kRoundRobin;
  /// How many addresses are tried for one connection at most, the first one included.
  uint8_t max_tries = 3;
};

/// Fails with ErrorCode::kConfiguration where `backends` has no address, one that nobody can be
/// dialed at (see `Endpoint::CheckDialable`), or no try. Blocks and route tables refuse these.
absl::Status CheckBackends(const Backends& backends);

/// Tells whether one of `backends` is `listener` itself, as far as addresses alone show: a proxy
/// with such a backend would dial itself for ever. A listener on all addresses counts as one on
/// loopback too; ask for each of `TcpListener::Addresses()` to cover this machine's other ones.
bool LeadsTo(const Backends& backends, const Endpoint& listener);

}  // namespace trestle

#endif  // TRESTLE_PROXY_BACKENDS_H_
