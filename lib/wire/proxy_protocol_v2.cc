#include "lib/wire/proxy_protocol_v2.h"

#include <array>
#include <optional>
#include <string>

#include "trestle/base/endpoint.h"

namespace trestle {
namespace wire_internal {
namespace {

using Reason = absl::string_view;  // A literal; empty if valid.

struct FamilyPair {
  uint8_t byte;
  ProxyFamily family;
  ProxyTransport transport;
};

constexpr FamilyPair kFamilies[] = {
    {0x00, ProxyFamily::kUnspecified, ProxyTransport::kUnspecified},
    {0x11, ProxyFamily::kIpv4, ProxyTransport::kStream},
    {0x12, ProxyFamily::kIpv4, ProxyTransport::kDatagram},
    {0x21, ProxyFamily::kIpv6, ProxyTransport::kStream},
    {0x22, ProxyFamily::kIpv6, ProxyTransport::kDatagram},
    {0x31, ProxyFamily::kUnix, ProxyTransport::kStream},
    {0x32, ProxyFamily::kUnix, ProxyTransport::kDatagram},
};

constexpr size_t kSslHeadBytes = 5;  // Flags and verify.

// CRC-32C of each byte, with the polynomial of RFC 3720 B.4, whose bits are reversed.
constexpr std::array<uint32_t, 256> MakeCrc32cTable() {
  std::array<uint32_t, 256> table = {};
  for (uint32_t byte = 0; byte < table.size(); ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
    table[byte] = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kCrc32cTable = MakeCrc32cTable();

// The first `crc` is ~0, and the checksum is the inverse of the last one.
uint32_t ExtendCrc32c(uint32_t crc, absl::string_view bytes) {
  for (uint8_t byte : AsBytes(bytes)) crc = (crc >> 8) ^ kCrc32cTable[(crc ^ byte) & 0xff];
  return crc;
}

uint16_t U16(ByteView bytes) { return static_cast<uint16_t>(bytes[0] << 8 | bytes[1]); }

// Returns the path of a sockaddr_un, up to its NUL. An abstract name begins with a NUL and ends
// before the padding.
std::string UnixPath(ByteView bytes) {
  const absl::string_view text = AsText(bytes);
  if (text[0] != '\0') return std::string(text.substr(0, text.find('\0')));
  const size_t last = text.find_last_not_of('\0');
  return last == absl::string_view::npos ? std::string() : std::string(text.substr(0, last + 1));
}

// Returns false if there is a value already.
bool SetOnce(ByteView value, std::optional<std::string>& field) {
  if (field.has_value()) return false;
  field = std::string(AsText(value));
  return true;
}

Reason ReadSslSubTlv(uint8_t type, ByteView value, ProxySslInfo& ssl) {
  switch (type) {
    case kProxySubTlvSslVersion:
      return SetOnce(value, ssl.version) ? Reason() : "two TLS versions";
    case kProxySubTlvSslCommonName:
      return SetOnce(value, ssl.common_name) ? Reason() : "two common names";
    case kProxySubTlvSslCipher:
      return SetOnce(value, ssl.cipher) ? Reason() : "two ciphers";
    case kProxySubTlvSslSignatureAlgorithm:
      return SetOnce(value, ssl.signature_algorithm) ? Reason() : "two signature algorithms";
    case kProxySubTlvSslKeyAlgorithm:
      return SetOnce(value, ssl.key_algorithm) ? Reason() : "two key algorithms";
    default:
      ssl.unknown_tlvs.push_back({type, std::string(AsText(value))});
      return Reason();
  }
}

Reason ReadSsl(ByteView value, size_t& tlvs, ProxySslInfo& ssl) {
  if (value.size() < kSslHeadBytes) return "an SSL TLV too short for its flags";
  ssl.client = value[0];
  ssl.verify = static_cast<uint32_t>(U16(value.subspan(1))) << 16 | U16(value.subspan(3));
  ByteView left = value.subspan(kSslHeadBytes);
  while (!left.empty()) {
    if (left.size() < kProxyTlvHeadBytes) return "bytes too few for a sub-TLV in the SSL TLV";
    const uint8_t type = left[0];
    const size_t size = U16(left.subspan(1));
    left.remove_prefix(kProxyTlvHeadBytes);
    if (size > left.size()) return "a sub-TLV that goes beyond the SSL TLV";
    ++tlvs;
    const Reason reason = ReadSslSubTlv(type, left.subspan(0, size), ssl);
    if (!reason.empty()) return reason;
    left.remove_prefix(size);
  }
  return Reason();
}

}  // namespace

bool ReadFamilyByte(uint8_t byte, ProxyHeader& header) {
  for (const FamilyPair& pair : kFamilies) {
    if (pair.byte != byte) continue;
    header.family = pair.family;
    header.transport = pair.transport;
    return true;
  }
  return false;
}

bool FamilyByte(const ProxyHeader& header, uint8_t& byte) {
  for (const FamilyPair& pair : kFamilies) {
    if (pair.family != header.family || pair.transport != header.transport) continue;
    byte = pair.byte;
    return true;
  }
  return false;
}

size_t AddressBytes(ProxyFamily family) {
  switch (family) {
    case ProxyFamily::kUnspecified:
      return 0;
    case ProxyFamily::kIpv4:
      return 2 * 4 + 2 * 2;
    case ProxyFamily::kIpv6:
      return 2 * 16 + 2 * 2;
    case ProxyFamily::kUnix:
      return 2 * kMaxProxyUnixPathBytes;
  }
  return 0;
}

void ReadAddresses(ByteView bytes, ProxyHeader& header) {
  if (header.family == ProxyFamily::kUnix) {
    header.source_path = UnixPath(bytes.subspan(0, kMaxProxyUnixPathBytes));
    header.destination_path = UnixPath(bytes.subspan(kMaxProxyUnixPathBytes));
    return;
  }
  const size_t size = header.family == ProxyFamily::kIpv4 ? 4 : 16;
  const ByteView ports = bytes.subspan(2 * size);
  header.source = Endpoint(bytes.subspan(0, size), U16(ports));
  header.destination = Endpoint(bytes.subspan(size, size), U16(ports.subspan(2)));
}

absl::string_view ReadTlv(uint8_t type, ByteView value, size_t& tlvs, ProxyHeader& header) {
  switch (type) {
    case kProxyTlvAlpn:
      return SetOnce(value, header.alpn) ? Reason() : "two ALPN TLVs";
    case kProxyTlvAuthority:
      return SetOnce(value, header.authority) ? Reason() : "two AUTHORITY TLVs";
    case kProxyTlvNoop:
      return Reason();
    case kProxyTlvUniqueId:
      if (value.size() > kMaxProxyUniqueIdBytes) return "a unique ID of more than 128 bytes";
      return SetOnce(value, header.unique_id) ? Reason() : "two UNIQUE_ID TLVs";
    case kProxyTlvSsl:
      if (header.ssl.has_value()) return "two SSL TLVs";
      return ReadSsl(value, tlvs, header.ssl.emplace());
    case kProxyTlvNetworkNamespace:
      return SetOnce(value, header.network_namespace) ? Reason() : "two NETNS TLVs";
    default:
      header.unknown_tlvs.push_back({type, std::string(AsText(value))});
      return Reason();
  }
}

bool IsRegisteredTlv(uint8_t type) {
  switch (type) {
    case kProxyTlvAlpn:
    case kProxyTlvAuthority:
    case kProxyTlvCrc32c:
    case kProxyTlvNoop:
    case kProxyTlvUniqueId:
    case kProxyTlvSsl:
    case kProxyTlvNetworkNamespace:
      return true;
    default:
      return false;
  }
}

bool IsRegisteredSslSubTlv(uint8_t type) {
  return type >= kProxySubTlvSslVersion && type <= kProxySubTlvSslKeyAlgorithm;
}

uint32_t HeaderCrc32c(absl::string_view header, size_t crc_begin) {
  uint32_t crc = ExtendCrc32c(~uint32_t{0}, header.substr(0, crc_begin));
  crc = ExtendCrc32c(crc, absl::string_view("\0\0\0\0", kProxyCrcBytes));
  return ~ExtendCrc32c(crc, header.substr(crc_begin + kProxyCrcBytes));
}

}  // namespace wire_internal
}  // namespace trestle
