// The writers of PROXY protocol headers of both versions.
#include <arpa/inet.h>

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/wire/proxy_protocol_v1.h"
#include "lib/wire/proxy_protocol_v2.h"
#include "trestle/base/error.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle {
namespace {

using wire_internal::kProxyV2HeadBytes;

absl::Status CannotWrite(absl::string_view why) {
  return ConfigurationError(absl::StrCat("no PROXY protocol header: ", why));
}

bool EndpointFits(const Endpoint& endpoint, ProxyFamily family) {
  switch (family) {
    case ProxyFamily::kIpv4:
      return endpoint.family() == Endpoint::Family::kIpv4;
    case ProxyFamily::kIpv6:
      return endpoint.is_ip();
    case ProxyFamily::kUnspecified:
    case ProxyFamily::kUnix:
      return endpoint.family() == Endpoint::Family::kNone;
  }
  return false;
}

bool EndpointsFit(const ProxyHeader& header) {
  return EndpointFits(header.source, header.family) &&
         EndpointFits(header.destination, header.family);
}

// Returns the address in the form of a header of `family`.
std::string AddressBytes(const Endpoint& endpoint, ProxyFamily family) {
  std::string bytes;
  if (family == ProxyFamily::kIpv6 && endpoint.family() == Endpoint::Family::kIpv4) {
    bytes = std::string(10, '\0') + "\xff\xff";  // RFC 4291 2.5.5.2.
  }
  absl::StrAppend(&bytes, AsText(endpoint.address()));
  return bytes;
}

// inet_ntop writes some addresses with an IPv4 tail, which 2.1 doesn't allow. Writes all groups of
// those.
std::string AddressText(const Endpoint& endpoint, ProxyFamily family) {
  const std::string bytes = AddressBytes(endpoint, family);
  const ByteView address = AsBytes(bytes);
  char text[INET6_ADDRSTRLEN];
  if (family == ProxyFamily::kIpv4) {
    return inet_ntop(AF_INET, address.data(), text, sizeof text);
  }
  const std::string compressed = inet_ntop(AF_INET6, address.data(), text, sizeof text);
  if (!absl::StrContains(compressed, '.')) return compressed;
  std::string groups;
  for (size_t i = 0; i < address.size(); i += 2) {
    absl::StrAppend(&groups, i == 0 ? "" : ":", absl::Hex(address[i] << 8 | address[i + 1]));
  }
  return groups;
}

void AppendU16(size_t value, std::string& out) {
  out.push_back(static_cast<char>(value >> 8 & 0xff));
  out.push_back(static_cast<char>(value & 0xff));
}

void AppendU32(uint32_t value, std::string& out) {
  AppendU16(value >> 16, out);
  AppendU16(value & 0xffff, out);
}

// A value too long for its length field makes the whole header too long; the end checks that.
void AppendTlv(uint8_t type, absl::string_view value, std::string& out) {
  out.push_back(static_cast<char>(type));
  AppendU16(value.size(), out);
  absl::StrAppend(&out, value);
}

void AppendIfSet(uint8_t type, const std::optional<std::string>& value, std::string& out) {
  if (value.has_value()) AppendTlv(type, *value, out);
}

// Writes the sub-TLVs in the order in which HAProxy sends them.
std::string SslValue(const ProxySslInfo& ssl) {
  constexpr uint8_t kAnyCertificate =
      ProxySslInfo::kClientCertConnection | ProxySslInfo::kClientCertSession;
  std::string out(1, static_cast<char>(ssl.client));
  // A receiver that reads only this field must not take "no certificate" for "verified".
  AppendU32((ssl.client & kAnyCertificate) == 0 ? 1 : ssl.verify, out);
  AppendIfSet(kProxySubTlvSslVersion, ssl.version, out);
  AppendIfSet(kProxySubTlvSslCommonName, ssl.common_name, out);
  AppendIfSet(kProxySubTlvSslKeyAlgorithm, ssl.key_algorithm, out);
  AppendIfSet(kProxySubTlvSslSignatureAlgorithm, ssl.signature_algorithm, out);
  AppendIfSet(kProxySubTlvSslCipher, ssl.cipher, out);
  for (const ProxyTlv& tlv : ssl.unknown_tlvs) AppendTlv(tlv.type, tlv.value, out);
  return out;
}

bool PathCanBeTold(absl::string_view path) {
  if (path.empty()) return true;
  return path[0] == '\0' ? path.back() != '\0' : !absl::StrContains(path, '\0');
}

void AppendPath(absl::string_view path, std::string& out) {
  absl::StrAppend(&out, path);
  out.append(kMaxProxyUnixPathBytes - path.size(), '\0');
}

void AppendAddresses(const ProxyHeader& header, std::string& out) {
  if (header.family == ProxyFamily::kUnspecified) return;
  if (header.family == ProxyFamily::kUnix) {
    AppendPath(header.source_path, out);
    AppendPath(header.destination_path, out);
    return;
  }
  absl::StrAppend(&out, AddressBytes(header.source, header.family),
                  AddressBytes(header.destination, header.family));
  AppendU16(header.source.port(), out);
  AppendU16(header.destination.port(), out);
}

void AppendTlvs(const ProxyHeader& header, std::string& out) {
  AppendIfSet(kProxyTlvAlpn, header.alpn, out);
  AppendIfSet(kProxyTlvAuthority, header.authority, out);
  AppendIfSet(kProxyTlvUniqueId, header.unique_id, out);
  if (header.ssl.has_value()) AppendTlv(kProxyTlvSsl, SslValue(*header.ssl), out);
  AppendIfSet(kProxyTlvNetworkNamespace, header.network_namespace, out);
  for (const ProxyTlv& tlv : header.unknown_tlvs) AppendTlv(tlv.type, tlv.value, out);
}

absl::Status CheckFields(const ProxyHeader& header) {
  if (header.command == ProxyCommand::kLocal && header.family != ProxyFamily::kUnspecified) {
    return CannotWrite("a LOCAL header has no addresses");
  }
  if (!EndpointsFit(header)) return CannotWrite("an endpoint isn't of the header's family");
  for (const std::string* path : {&header.source_path, &header.destination_path}) {
    if (!path->empty() && header.family != ProxyFamily::kUnix) {
      return CannotWrite("a path in a header that isn't of family kUnix");
    }
    if (path->size() > kMaxProxyUnixPathBytes) return CannotWrite("a path of over 108 bytes");
    if (!PathCanBeTold(*path)) return CannotWrite("a path with a NUL out of place");
  }
  if (header.unique_id.has_value() && header.unique_id->size() > kMaxProxyUniqueIdBytes) {
    return CannotWrite("a unique ID of over 128 bytes");
  }
  for (const ProxyTlv& tlv : header.unknown_tlvs) {
    if (wire_internal::IsRegisteredTlv(tlv.type)) {
      return CannotWrite("an unknown TLV with a registered type");
    }
  }
  if (!header.ssl.has_value()) return absl::OkStatus();
  for (const ProxyTlv& tlv : header.ssl->unknown_tlvs) {
    if (wire_internal::IsRegisteredSslSubTlv(tlv.type)) {
      return CannotWrite("an unknown SSL sub-TLV with a registered type");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> WriteProxyHeaderV1(const ProxyHeader& header) {
  const bool is_ipv4 = header.family == ProxyFamily::kIpv4;
  if (header.command == ProxyCommand::kLocal || header.transport != ProxyTransport::kStream ||
      (!is_ipv4 && header.family != ProxyFamily::kIpv6)) {
    return std::string("PROXY UNKNOWN\r\n");
  }
  if (!EndpointsFit(header)) return CannotWrite("an endpoint isn't of the header's family");
  return absl::StrCat(wire_internal::kProxyV1Signature, is_ipv4 ? " TCP4 " : " TCP6 ",
                      AddressText(header.source, header.family), " ",
                      AddressText(header.destination, header.family), " ", header.source.port(),
                      " ", header.destination.port(), "\r\n");
}

absl::StatusOr<std::string> WriteProxyHeaderV2(const ProxyHeader& header,
                                               const ProxyHeaderV2Options& options) {
  uint8_t family = 0;
  if (!wire_internal::FamilyByte(header, family)) {
    return CannotWrite("its family and transport don't go together");
  }
  if (absl::Status status = CheckFields(header); !status.ok()) return status;
  std::string out(wire_internal::kProxyV2Signature);
  out.push_back(header.command == ProxyCommand::kLocal ? '\x20' : '\x21');
  out.push_back(static_cast<char>(family));
  AppendU16(0, out);
  AppendAddresses(header, out);
  const size_t crc_begin = out.size() + wire_internal::kProxyTlvHeadBytes;
  if (options.crc32c) AppendTlv(kProxyTlvCrc32c, absl::string_view("\0\0\0\0", 4), out);
  AppendTlvs(header, out);

  const size_t max_bytes = std::min(options.max_bytes, kProxyV2HeadBytes + 0xffff);
  if (out.size() > max_bytes) {
    return CannotWrite(absl::StrCat(out.size(), " bytes; the limit is ", max_bytes));
  }
  std::string number;
  AppendU16(out.size() - kProxyV2HeadBytes, number);
  out.replace(kProxyV2HeadBytes - number.size(), number.size(), number);
  if (!options.crc32c) return out;
  number.clear();
  AppendU32(wire_internal::HeaderCrc32c(out, crc_begin), number);
  out.replace(crc_begin, number.size(), number);
  return out;
}

}  // namespace trestle
