// Endpoint: an IP address and a port, or the path of a Unix-domain socket, as a value.
#ifndef TRESTLE_BASE_ENDPOINT_H_
#define TRESTLE_BASE_ENDPOINT_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"

namespace trestle {

/// An IPv4 or IPv6 address with a port, or a Unix-domain socket. Never a host name: Trestle doesn't
/// resolve names.
///
/// Dual-stack sockets and PROXY headers give IPv4-mapped IPv6 addresses (RFC 4291 2.5.5.2).
/// Endpoint stores the IPv4 address within, so comparisons, hashes and ranges see one form only.
class Endpoint {
 public:
  /// The kinds of endpoint.
  enum class Family : uint8_t { kNone, kIpv4, kIpv6, kUnix };

  /// The longest path of a Unix-domain socket, in bytes; without the "@" of an abstract one.
  static constexpr size_t kMaxPathBytes = 107;

  /// Makes an endpoint without an address (family kNone), as in-memory transports have.
  Endpoint() = default;

  /// Makes an endpoint from an address in network byte order: 4 bytes are IPv4, 16 are IPv6.
  Endpoint(ByteView address, uint16_t port);

  /// Makes the endpoint of a Unix-domain socket. `path` is an absolute path, or "@" and a name for
  /// Linux's abstract sockets. "" is a socket without a name, which most clients have. Not checked.
  static Endpoint Unix(absl::string_view path);

  /// Reads "192.0.2.1:443", "[2001:db8::1]:443", "unix:/run/app.sock" or "unix:@name". Rejects
  /// names, ranges, missing or extra ports, relative paths, and paths with unprintable characters,
  /// with ErrorCode::kConfiguration and a message that quotes `text`.
  static absl::StatusOr<Endpoint> Parse(absl::string_view text);

  /// As `Parse`, for IP addresses only: for texts that a peer sent.
  static absl::StatusOr<Endpoint> ParseIp(absl::string_view text);

  Family family() const { return family_; }

  /// Returns whether this is an IPv4 or IPv6 address.
  bool is_ip() const { return family_ == Family::kIpv4 || family_ == Family::kIpv6; }

  /// Views the address in network byte order; empty for kNone and kUnix.
  ByteView address() const;

  /// Returns the port; 0 for kNone and kUnix.
  uint16_t port() const { return port_; }

  /// Views the path of a Unix-domain socket, as `Unix` takes it; empty for other families.
  absl::string_view path() const {
    return path_ != nullptr ? absl::string_view(*path_) : absl::string_view();
  }

  /// Writes the address without its port: "192.0.2.1", "2001:db8::1"; empty for kNone and kUnix.
  std::string AddressText() const;

  /// Returns whether the address is 0.0.0.0 or [::]. A listener reads it as all local addresses.
  bool IsUnspecified() const;

  /// Fails with ErrorCode::kConfiguration if no connection can be made to the endpoint: it has no
  /// address or path, an unspecified address (0.0.0.0, [::]), or port 0. Backends, probes and
  /// servers are checked with it; the last two are valid for listeners.
  absl::Status CheckDialable() const;

  /// Writes the endpoint as `Parse` reads it, IPv6 in the form of RFC 5952; "-" for kNone, "unix:"
  /// for a socket without a name.
  std::string ToString() const;

  friend bool operator==(const Endpoint& a, const Endpoint& b) {
    return a.family_ == b.family_ && a.port_ == b.port_ && a.address_ == b.address_ &&
           a.path() == b.path();
  }
  friend bool operator!=(const Endpoint& a, const Endpoint& b) { return !(a == b); }

  template <typename H>
  friend H AbslHashValue(H h, const Endpoint& e) {
    return H::combine(std::move(h), e.family_, e.address_, e.port_, e.path());
  }

 private:
  Family family_ = Family::kNone;
  std::array<uint8_t, 16> address_ = {};
  uint16_t port_ = 0;
  std::shared_ptr<const std::string> path_;  // Shared, because most endpoints have none.
};

}  // namespace trestle

#endif  // TRESTLE_BASE_ENDPOINT_H_
