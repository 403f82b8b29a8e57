#include "trestle/base/ip_range.h"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr int kMappedPrefixBits = 96;
constexpr absl::string_view kLocalSockets = "unix:";

absl::Status BadRange(absl::string_view text, absl::string_view why) {
  return ConfigurationError(absl::StrCat("\"", text, "\" is not a range of addresses: ", why));
}

// Returns an endpoint of family kNone if `text` is not an address.
Endpoint ParseAddress(absl::string_view text) {
  // inet_pton would stop at a NUL and ignore the rest.
  if (text.find('\0') != absl::string_view::npos) return Endpoint();
  const std::string terminated(text);
  uint8_t address[16];
  if (inet_pton(AF_INET, terminated.c_str(), address) == 1) {
    return Endpoint(ByteView(address, 4), 0);
  }
  if (inet_pton(AF_INET6, terminated.c_str(), address) == 1) {
    return Endpoint(ByteView(address, 16), 0);
  }
  return Endpoint();
}

// Returns -1 if `text` is not a canonical number up to `max`.
int ParsePrefix(absl::string_view text, int max) {
  int bits = 0;
  const bool canonical = !text.empty() && text.size() <= 3 &&
                         (text.size() == 1 || text[0] != '0') &&
                         text.find_first_not_of("0123456789") == absl::string_view::npos;
  return canonical && absl::SimpleAtoi(text, &bits) && bits <= max ? bits : -1;
}

// Returns the address with all bits after the first `bits` set to zero, and no port.
Endpoint FirstBits(const Endpoint& endpoint, int bits) {
  uint8_t address[16] = {};
  const ByteView whole = endpoint.address();
  for (size_t i = 0; i < whole.size(); ++i) {
    const int kept = std::clamp(bits - 8 * static_cast<int>(i), 0, 8);
    address[i] = static_cast<uint8_t>(whole[i] & (0xff00 >> kept));
  }
  return Endpoint(ByteView(address, whole.size()), 0);
}

}  // namespace

absl::StatusOr<IpRange> IpRange::Parse(absl::string_view text) {
  const size_t slash = text.find('/');
  const Endpoint address = ParseAddress(text.substr(0, slash));
  if (address.family() == Endpoint::Family::kNone) {
    return BadRange(text, "write ADDRESS or ADDRESS/BITS, such as 192.0.2.0/24; no names");
  }
  const bool ipv6_text = absl::StrContains(text, ':');
  const int max_bits = ipv6_text ? 128 : 32;
  int bits = max_bits;
  if (slash != absl::string_view::npos) bits = ParsePrefix(text.substr(slash + 1), max_bits);
  if (bits < 0) {
    return BadRange(text, absl::StrCat("after the slash must be a number from 0 to ", max_bits));
  }
  if (ipv6_text && address.family() == Endpoint::Family::kIpv4) {
    if (bits < kMappedPrefixBits) {
      return BadRange(text, "an IPv4-mapped address needs at least 96 bits; better write IPv4");
    }
    bits -= kMappedPrefixBits;
  }
  return IpRange(FirstBits(address, bits), bits);
}

bool IpRange::Contains(const Endpoint& endpoint) const {
  return endpoint.family() == network_.family() && FirstBits(endpoint, prefix_bits_) == network_;
}

std::string IpRange::ToString() const {
  const bool is_ipv4 = network_.family() == Endpoint::Family::kIpv4;
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_ipv4 ? AF_INET : AF_INET6, network_.address().data(), text, sizeof text);
  return absl::StrCat(text, "/", prefix_bits_);
}

absl::StatusOr<TrustedPeers> TrustedPeers::Parse(absl::string_view text) {
  TrustedPeers peers;
  for (absl::string_view entry : absl::StrSplit(text, ',')) {
    if (entry == kLocalSockets) {
      peers.local_sockets_ = true;
      continue;
    }
    absl::StatusOr<IpRange> range = IpRange::Parse(entry);
    if (!range.ok()) return range.status();
    peers.ranges_.push_back(*std::move(range));
  }
  return peers;
}

bool TrustedPeers::Contains(const Endpoint& peer) const {
  if (peer.family() == Endpoint::Family::kUnix) return local_sockets_;
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [&peer](const IpRange& range) { return range.Contains(peer); });
}

std::string TrustedPeers::ToString() const {
  std::vector<std::string> entries;
  for (const IpRange& range : ranges_) entries.push_back(range.ToString());
  if (local_sockets_) entries.emplace_back(kLocalSockets);
  return absl::StrJoin(entries, ",");
}

}  // namespace trestle
