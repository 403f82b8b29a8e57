// Endpoint: where a transport leads to, as a value: an IP address and a port.
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

/// An IPv4 or IPv6 address with a port. Never a host name: Trestle doesn't resolve names. An
/// IPv4-mapped IPv6 address (RFC 4291 2.5.5.2), as dual-stack sockets and PROXY headers have them,
/// becomes the IPv4 address within it: comparisons, hashes and ranges never see two forms of one.
class Endpoint {
 public:
  enum class Family : uint8_t { kNone, kIpv4, kIpv6 };

  /// Makes an endpoint that leads nowhere (family kNone), as in-memory transports have.
  Endpoint() = default;

  /// Makes an endpoint from an address in network byte order: 4 bytes are IPv4, 16 are IPv6.
  Endpoint(ByteView address, uint16_t port);

  /// Reads "192.0.2.1:443" or "[2001:db8::1]:443". Names, ranges and missing or superfluous ports
  /// are refused with a message that quotes `text`.
  static absl::StatusOr<Endpoint> Parse(absl::string_view text);

  Family family() const { return family_; }

  /// Views the address in network byte order; empty for kNone.
  ByteView address() const;

  uint16_t port() const { return port_; }

  /// Tells whether the address is 0.0.0.0 or [::]: to a listener, all addresses of the machine.
  bool IsUnspecified() const;

  /// Fails with ErrorCode::kConfiguration where nobody can be dialed: no address, an unspecified
  /// one (0.0.0.0, [::]), or port 0. For backends, probes and servers; listeners may have all of
  /// these.
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
