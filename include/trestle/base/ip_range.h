// Ranges of IP addresses, and the list of the peers whose word is taken for who the client is.
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
/// address (RFC 4291 2.5.5.2) is the IPv4 address within it, here and in what is looked up.
class IpRange {
 public:
  /// Reads "192.0.2.0/24", "2001:db8::/32", or a bare address, which stands for itself alone. Bits
  /// behind the prefix are ignored: "127.0.0.1/8" is 127.0.0.0/8. Names, spaces, zones, IPv6
  /// brackets and malformed prefixes are refused with kConfiguration and a message that quotes
  /// `text`; so is a prefix below 96 on an IPv4-mapped address, which would not mean what it says.
  static absl::StatusOr<IpRange> Parse(absl::string_view text);

  /// Tells whether the address of `endpoint` is in the range; never for family kNone.
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

  Endpoint network_;  // Bits behind the prefix are zero.
  int prefix_bits_;
};

/// The peers that may say on whose behalf they come (PROXY protocol). Trusts nobody until told.
class TrustedPeers {
 public:
  /// Makes a list that trusts nobody.
  TrustedPeers() = default;

  /// Reads ranges with commas between: "127.0.0.0/8,::1/128". Refuses the empty list and what
  /// `IpRange::Parse` refuses, with kConfiguration.
  static absl::StatusOr<TrustedPeers> Parse(absl::string_view text);

  /// Tells whether `peer`, a transport's own far end, is trusted. Takes time in the number of
  /// ranges.
  bool Contains(const Endpoint& peer) const;

  const std::vector<IpRange>& ranges() const { return ranges_; }

  /// Writes the list as `Parse` reads it; "" if it trusts nobody.
  std::string ToString() const;

 private:
  std::vector<IpRange> ranges_;
};

}  // namespace trestle

#endif  // TRESTLE_BASE_IP_RANGE_H_
