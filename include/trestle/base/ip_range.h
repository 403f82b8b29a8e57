// Ranges of IP addresses, and TrustedPeers, the list of proxies that may state a client's address.
#ifndef TRESTLE_BASE_IP_RANGE_H_
#define TRESTLE_BASE_IP_RANGE_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/base/endpoint.h"

namespace trestle {

/// All addresses that share their first bits (CIDR, RFC 4632 and RFC 4291 2.3). An IPv4-mapped IPv6
/// address (RFC 4291 2.5.5.2) counts as the IPv4 address within it, in a range and in a look-up.
class IpRange {
 public:
  /// Reads "192.0.2.0/24", "2001:db8::/32", or a bare address, which is a range of one address.
  /// Ignores the bits after the prefix: "127.0.0.1/8" is 127.0.0.0/8.
  ///
  /// Rejects names, spaces, zones, IPv6 brackets and malformed prefixes with kConfiguration and a
  /// message that quotes `text`. Also rejects a prefix below 96 on an IPv4-mapped address, because
  /// it covers more than IPv4-mapped addresses.
  static absl::StatusOr<IpRange> Parse(absl::string_view text);

  /// Returns whether the address of `endpoint` is in the range; false for family kNone.
  bool Contains(const Endpoint& endpoint) const;

  /// Writes the range as `Parse` reads it, with its prefix: "127.0.0.0/8".
  std::string ToString() const;

  friend bool operator==(const IpRange& a, const IpRange& b) {
    return a.network_ == b.network_ && a.prefix_bits_ == b.prefix_bits_;
  }
  friend bool operator!=(const IpRange& a, const IpRange& b) { return !(a == b); }

 private:
  IpRange(const Endpoint& network, int prefix_bits)
      : network_(network), prefix_bits_(prefix_bits) {}

  Endpoint network_;  // Bits after the prefix are zero.
  int prefix_bits_;
};

/// The peers whose PROXY protocol header is trusted: ranges of addresses, and "unix:" for the
/// clients of Unix-domain sockets. By default, no peer is.
class TrustedPeers {
 public:
  /// Makes an empty list: it trusts no peer.
  TrustedPeers() = default;

  /// Reads ranges separated by commas: "127.0.0.0/8,::1/128,unix:". Rejects the empty list, and all
  /// else that `IpRange::Parse` rejects, with kConfiguration.
  static absl::StatusOr<TrustedPeers> Parse(absl::string_view text);

  /// Returns whether `peer`, the peer address of a transport, is trusted. Takes time linear in the
  /// number of ranges.
  bool Contains(const Endpoint& peer) const;

  const std::vector<IpRange>& ranges() const { return ranges_; }

  /// Writes the list as `Parse` reads it; "" if it is empty.
  std::string ToString() const;

 private:
  std::vector<IpRange> ranges_;
  bool local_sockets_ = false;
};

}  // namespace trestle

#endif  // TRESTLE_BASE_IP_RANGE_H_
