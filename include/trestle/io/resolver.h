// Resolver: turns the names of servers into addresses. The host owns it; integrations/c_ares has
// one for DNS, and testing/simulated_resolver.h one for tests.
#ifndef TRESTLE_IO_RESOLVER_H_
#define TRESTLE_IO_RESOLVER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"

namespace trestle {

/// A server by name. A host with a port has its addresses in A and AAAA records. A service has its
/// hosts and ports in SRV records (RFC 2782).
struct NamedTarget {
  /// The name, as `NormalizeServerName` writes it.
  std::string name;
  /// The port; 0 for a service.
  uint16_t port = 0;

  /// Reads "api.internal:443", or "_https._tcp.api.internal" for a service. Rejects addresses, a
  /// host without a port, a service with one, port 0, and what `NormalizeServerName` rejects, with
  /// ErrorCode::kConfiguration and a message that quotes `text`.
  static absl::StatusOr<NamedTarget> Parse(absl::string_view text);

  /// Returns whether `text` is meant as a name and not as an address: its host ends with a label
  /// that has a letter. Doesn't check it.
  static bool LooksLikeName(absl::string_view text);

  bool is_service() const { return port == 0; }

  /// Returns the name that TLS sends and that certificates of the server must match. It is the name
  /// itself, or of a service, the domain after its two labels. It never depends on an answer of DNS
  /// (RFC 6125 6.2.1).
  std::string certificate_name() const;

  /// Writes the target as `Parse` reads it.
  std::string ToString() const;

  friend bool operator==(const NamedTarget& a, const NamedTarget& b) {
    return a.port == b.port && a.name == b.name;
  }
  friend bool operator!=(const NamedTarget& a, const NamedTarget& b) { return !(a == b); }

  template <typename H>
  friend H AbslHashValue(H h, const NamedTarget& target) {
    return H::combine(std::move(h), target.name, target.port);
  }
};

/// The weight of an address without one of its own. A weight of SRV records is a multiple of it.
inline constexpr uint32_t kUnitWeight = 64;

/// One address of a name.
struct ResolvedAddress {
  Endpoint endpoint;
  /// Addresses with a higher number are for failures of those with a lower one (RFC 2782).
  uint16_t priority = 0;
  /// The share of connections among addresses of one priority. At least 1.
  uint32_t weight = kUnitWeight;

  friend bool operator==(const ResolvedAddress& a, const ResolvedAddress& b) {
    return a.endpoint == b.endpoint && a.priority == b.priority && a.weight == b.weight;
  }
};

/// An answer about a name.
struct ResolvedName {
  /// How much of the name the answer covers.
  enum class Coverage : uint8_t {
    kAll,         ///< All there is.
    kMoreToCome,  ///< One family or host; the rest follows in a further answer of the same lookup.
    kPart,  ///< The look-up of a family or a host failed. Earlier addresses may still be valid.
  };

  /// The addresses, in no particular order. Empty: the name exists without any, or it doesn't
  /// exist.
  std::vector<ResolvedAddress> addresses;
  /// How long the answer may be used, by the records' time to live; of an empty answer, that of
  /// the zone (RFC 2308 5). May be zero.
  absl::Duration ttl;
  Coverage coverage = Coverage::kAll;
};

/// A look-up under way. Destroying it cancels the look-up: no callback follows.
class Lookup {
 public:
  virtual ~Lookup() = default;
};

/// Resolves names on one loop. All calls come from its thread; the resolver outlives its look-ups.
class Resolver {
 public:
  using Callback = absl::AnyInvocable<void(absl::StatusOr<ResolvedName>)>;

  virtual ~Resolver() = default;

  /// Starts to resolve `target`. Calls `done` from the loop and never inside this call. It is
  /// called once; or several times, all but the last with Coverage::kMoreToCome. That a name
  /// doesn't exist is an answer without addresses. Fails with ErrorCode::kTransport or kTimeout if
  /// there is no answer. The look-up may be destroyed inside `done`.
  [[nodiscard]] virtual std::unique_ptr<Lookup> Resolve(const NamedTarget& target,
                                                        Callback done) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_IO_RESOLVER_H_
