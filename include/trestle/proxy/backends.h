// Backends: the addresses or names of a back leg, and the policy that selects one for each
// connection.
#ifndef TRESTLE_PROXY_BACKENDS_H_
#define TRESTLE_PROXY_BACKENDS_H_

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/resolver.h"
#include "trestle/proxy/backend_group.h"

namespace trestle {

enum class Balance : uint8_t {
  kRoundRobin,        ///< Each address in turn.
  kLeastConnections,  ///< The address with the fewest open connections of this block; ties go in
                      ///< turn.
  kClientAddress,     ///< The same address for the same client address, while the list does not
                      ///< change.
};

/// What connections use if no backend of a list is fit: all are down, ejected or draining.
enum class AllDown : uint8_t {
  kTryAll,  ///< All but those that drain, the ejected ones first: a check may be wrong.
  kFail,    ///< None: they fail at once, with ErrorCode::kNoBackend.
};

/// One or more addresses and names. If a dial or its TLS handshake fails, the block tries the next
/// address within the timeouts of these phases.
struct Backends {
  Backends() = default;
  /// Converts from one address, the usual case.
  Backends(const Endpoint& endpoint) : endpoints({endpoint}) {}  // NOLINT(runtime/explicit)
  /// Makes a list of addresses.
  Backends(std::initializer_list<Endpoint> list, Balance policy = Balance::kRoundRobin)
      : endpoints(list), balance(policy) {}

  /// Returns whether there is neither an address nor a name.
  bool empty() const { return endpoints.empty() && names.empty(); }

  /// Writes addresses and names, joined by "+".
  std::string ToString() const;

  /// Configured addresses.
  std::vector<Endpoint> endpoints;
  /// Configured names. Each address that a name resolves to is a backend.
  std::vector<NamedTarget> names;
  /// The backends of now: those of `endpoints` and of `names`. Required if there are names;
  /// `ResolvedBackends::Follow` sets it. Null: `endpoints`.
  std::shared_ptr<const BackendGroup> group;
  Balance balance = Balance::kRoundRobin;
  AllDown all_down = AllDown::kTryAll;
  /// The maximum number of addresses to try for one connection, including the first. At least 1.
  uint8_t max_tries = 3;
};

/// Checks `backends`. Fails with ErrorCode::kConfiguration if the list is empty, an address cannot
/// be dialed (see `Endpoint::CheckDialable`), nothing resolves its names, or `max_tries` is 0.
/// Blocks and route tables reject these.
absl::Status CheckBackends(const Backends& backends);

/// Returns the backends of now: those of the group, or else the configured addresses. Those that
/// connections don't use are among them; their state says so.
BackendGroup::List BackendsNow(const Backends& backends);

/// Returns the addresses of those that are neither down nor draining.
std::vector<Endpoint> EndpointsNow(const Backends& backends);

/// Returns the error of a connection that may use no backend: ErrorCode::kNoBackend of the back
/// leg. It says whether none is known, all drain, or all are down or ejected.
absl::Status NoBackendError(const Backends& backends);

/// Returns whether one of `backends` is `listener` itself, judged by addresses only. A proxy with
/// such a backend dials itself in a loop. A listener on all addresses also counts as one on
/// loopback. Of names, it judges the addresses of now. To cover this machine's other addresses,
/// call it for each of `TcpListener::Addresses()`.
bool LeadsTo(const Backends& backends, const Endpoint& listener);

}  // namespace trestle

#endif  // TRESTLE_PROXY_BACKENDS_H_
