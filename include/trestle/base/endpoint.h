// Endpoint: an IP address and a port, as a value.
#ifndef TRESTLE_BASE_ENDPOINT_H_
#define TRESTLE_BASE_ENDPOINT_H_

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"

namespace trestle {

/// An IPv4 or IPv6 address with a port. Never a host name: Trestle doesn't resolve names.
///
/// Dual-stack sockets and PROXY headers give IPv4-mapped IPv6 addresses (RFC 4291 2.5.5.2).
/// Endpoint stores the IPv4 address within, so comparisons, hashes and ranges see one form only.
class Endpoint {
 public:
  enum class Family : uint8_t { kNone, kIpv4, kIpv6 };

  /// Makes an endpoint without an address (family kNone), as in-memory transports have.
  Endpoint() = default;

  /// Makes an endpoint from an address in network byte order: 4 bytes are IPv4, 16 are IPv6.
  Endpoint(ByteView address, uint16_t port);

  /// Reads "192.0.2.1:443" or "[2001:db8::1]:443". Rejects names, ranges, and missing or extra
  /// ports with a message that quotes `text`.
  static absl::StatusOr<Endpoint> Parse(absl::string_view text);

  Family family() const { return family_; }

  /// Views the address in network byte order; empty for kNone.
  ByteView address() const;

  uint16_t port() const { return port_; }

  /// Returns whether the address is 0.0.0.0 or [::]. A listener reads it as all local addresses.
  bool IsUnspecified() const;

  /// Fails with ErrorCode::kConfiguration if no connection can be made to the endpoint: it has no
  /// address, an unspecified one (0.0.0.0, [::]), or port 0. Backends, probes and servers are
  /// checked with it; all three are valid for listeners.
  absl::Status CheckDialable() const;

  /// Writes the endpoint as `Parse` reads it, IPv6 in the form of RFC 5952; "-" for kNone.
  std::string ToString() const;

  friend bool operator==(const Endpoint& a, const Endpoint& b) {
    return a.family_ == b.family_ && a.port_ == b.port_ && a.address_ == b.address_;
  }
  friend bool operator!=(const Endpoint& a, const Endpoint& b) { return !(a == b); }

  template <typename H>
  friend H AbslHashValue(H h, const Endpoint& e) {
    return H::combine(std::move(h), e.family_, e.address_, e.port_);
  }

 private:
  Family family_ = Family::kNone;
  std::array<uint8_t, 16> address_ = {};
  uint16_t port_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_BASE_ENDPOINT_H_
