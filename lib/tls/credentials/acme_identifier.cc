#include "lib/tls/credentials/acme_identifier.h"

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr absl::string_view kIpv4Zone = ".in-addr.arpa";
constexpr absl::string_view kIpv6Zone = ".ip6.arpa";
constexpr char kHexDigits[] = "0123456789abcdef";
// The port of an endpoint that holds an address only.
constexpr uint16_t kNoPort = 0;

std::string ReverseName(const Endpoint& address) {
  const ByteView bytes = address.address();
  const bool ipv4 = address.family() == Endpoint::Family::kIpv4;
  std::string name;
  for (size_t i = bytes.size(); i > 0; --i) {
    const uint8_t byte = bytes[i - 1];
    if (ipv4) {
      absl::StrAppend(&name, static_cast<int>(byte), i == 1 ? "" : ".");
    } else {
      name += {kHexDigits[byte & 15], '.', kHexDigits[byte >> 4]};
      if (i > 1) name += '.';
    }
  }
  return absl::StrCat(name, ipv4 ? kIpv4Zone : kIpv6Zone);
}

AcmeIdentifier OfAddress(const Endpoint& address) {
  return {ReverseName(address), address.AddressText(), address};
}

// Returns the address of a reverse name; family kNone for other names.
Endpoint AddressOf(absl::string_view name) {
  const bool ipv4 = absl::ConsumeSuffix(&name, kIpv4Zone);
  if (!ipv4 && !absl::ConsumeSuffix(&name, kIpv6Zone)) return {};
  const std::vector<absl::string_view> labels = absl::StrSplit(name, '.');
  std::array<uint8_t, 16> bytes = {};
  if (labels.size() != (ipv4 ? 4 : 2 * bytes.size())) return {};
  const size_t per_byte = ipv4 ? 1 : 2;
  const size_t count = labels.size() / per_byte;
  for (size_t i = 0; i < labels.size(); ++i) {
    uint32_t value = 0;
    const bool number = ipv4 ? absl::SimpleAtoi(labels[i], &value)
                             : labels[i].size() == 1 && absl::SimpleHexAtoi(labels[i], &value);
    if (!number || value > 255) return {};
    // The last byte comes first, and the lower half of each byte.
    const int shift = ipv4 || i % 2 == 0 ? 0 : 4;
    bytes[count - 1 - i / per_byte] |= static_cast<uint8_t>(value << shift);
  }
  const Endpoint address(ByteView(bytes.data(), count), kNoPort);
  return ReverseName(address) == absl::StrCat(name, ipv4 ? kIpv4Zone : kIpv6Zone) ? address
                                                                                  : Endpoint();
}

}  // namespace

absl::StatusOr<AcmeIdentifier> AcmeIdentifier::Parse(absl::string_view text) {
  const bool ipv6 = absl::StrContains(text, ':');
  const absl::StatusOr<Endpoint> address =
      Endpoint::ParseIp(ipv6 ? absl::StrCat("[", text, "]:0") : absl::StrCat(text, ":0"));
  if (address.ok()) return OfAddress(*address);
  absl::StatusOr<std::string> name = NormalizeServerName(text);
  if (name.ok()) return FromServerName(*name);
  return ConfigurationError(absl::StrCat(
      "\"", EscapeForLog(text), "\" can't be validated by TLS-ALPN-01: ", name.status().message()));
}

AcmeIdentifier AcmeIdentifier::FromServerName(absl::string_view server_name) {
  const Endpoint address = AddressOf(server_name);
  if (address.family() != Endpoint::Family::kNone) return OfAddress(address);
  return {std::string(server_name), std::string(server_name), {}};
}

}  // namespace trestle
