#include "lib/wire/proxy_protocol_v1.h"

#include <arpa/inet.h>

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "trestle/base/endpoint.h"

namespace trestle {
namespace wire_internal {
namespace {

using Reason = absl::string_view;  // A literal; empty if valid.

constexpr absl::string_view kTcp4 = "TCP4";
constexpr absl::string_view kTcp6 = "TCP6";
constexpr absl::string_view kUnknown = "UNKNOWN";
constexpr size_t kMaxIpv4TextBytes = 15;
constexpr size_t kMaxIpv6TextBytes = 45;  // With an IPv4 tail, which HAProxy sends.

Reason JudgeAddressByte(size_t at, char byte, ProxyFamily family) {
  if (family == ProxyFamily::kIpv4) {
    if (!absl::ascii_isdigit(byte) && byte != '.') return "a byte that an IPv4 address can't have";
    return at < kMaxIpv4TextBytes ? Reason() : "an IPv4 address that is too long";
  }
  if (!absl::ascii_isxdigit(byte) && byte != ':' && byte != '.') {
    return "a byte that an IPv6 address can't have";
  }
  return at < kMaxIpv6TextBytes ? Reason() : "an IPv6 address that is too long";
}

// Checks the last byte of `text`.
Reason JudgePortByte(absl::string_view text) {
  if (!absl::ascii_isdigit(text.back())) return "a port that is not a decimal number";
  if (text.size() > 1 && text[0] == '0') return "a port with a leading zero";
  uint32_t port = 0;
  if (text.size() > 5 || !absl::SimpleAtoi(text, &port) || port > 65535) {
    return "a port above 65535";
  }
  return Reason();
}

Reason JudgeByte(ProxyLineField field, absl::string_view text, ProxyFamily family) {
  const char byte = text.back();
  if (byte == '\r') return "the line ends too early";
  switch (field) {
    case ProxyLineField::kSpace:
      return "no space after PROXY";
    case ProxyLineField::kProtocol:
      for (absl::string_view word : {kTcp4, kTcp6, kUnknown}) {
        if (absl::StartsWith(word, text)) return Reason();
      }
      return "a protocol other than TCP4, TCP6 and UNKNOWN";
    case ProxyLineField::kSource:
    case ProxyLineField::kDestination:
      return JudgeAddressByte(text.size() - 1, byte, family);
    default:
      return JudgePortByte(text);
  }
}

Reason EndProtocol(absl::string_view text, ProxyHeader& header) {
  header.version = 1;
  if (text == kUnknown) return Reason();
  if (text != kTcp4 && text != kTcp6) return "a protocol other than TCP4, TCP6 and UNKNOWN";
  header.family = text == kTcp4 ? ProxyFamily::kIpv4 : ProxyFamily::kIpv6;
  header.transport = ProxyTransport::kStream;
  return Reason();
}

Reason EndAddress(absl::string_view text, ProxyFamily family, Endpoint& endpoint) {
  uint8_t address[16];
  const std::string terminated(text);
  if (family == ProxyFamily::kIpv4) {
    // Rejects leading zeros and short forms, as 2.1 requires.
    if (inet_pton(AF_INET, terminated.c_str(), address) != 1) return "a malformed IPv4 address";
    endpoint = Endpoint(ByteView(address, 4), 0);
    return Reason();
  }
  if (inet_pton(AF_INET6, terminated.c_str(), address) != 1) return "a malformed IPv6 address";
  endpoint = Endpoint(ByteView(address, 16), 0);
  return Reason();
}

Reason EndPort(absl::string_view text, Endpoint& endpoint) {
  uint32_t port = 0;
  if (!absl::SimpleAtoi(text, &port)) return "an empty port";
  endpoint = Endpoint(endpoint.address(), static_cast<uint16_t>(port));
  return Reason();
}

Reason EndField(ProxyLineField field, absl::string_view text, ProxyHeader& header) {
  switch (field) {
    case ProxyLineField::kProtocol:
      return EndProtocol(text, header);
    case ProxyLineField::kSource:
      return EndAddress(text, header.family, header.source);
    case ProxyLineField::kDestination:
      return EndAddress(text, header.family, header.destination);
    case ProxyLineField::kSourcePort:
      return EndPort(text, header.source);
    case ProxyLineField::kDestinationPort:
      return EndPort(text, header.destination);
    default:
      return Reason();
  }
}

ProxyLineField FieldBehind(ProxyLineField field, char end, const ProxyHeader& header) {
  if (end == '\r') return ProxyLineField::kLineFeed;
  if (field == ProxyLineField::kProtocol && header.family == ProxyFamily::kUnspecified) {
    return ProxyLineField::kIgnored;
  }
  return static_cast<ProxyLineField>(static_cast<uint8_t>(field) + 1);
}

}  // namespace

absl::string_view TakeLineByte(absl::string_view line, ProxyLineField& field, size_t& field_begin,
                               ProxyHeader& header) {
  const char byte = line.back();
  if (field == ProxyLineField::kLineFeed) {
    if (byte != '\n') return "a CR without LF";
    field = ProxyLineField::kEnd;
    return Reason();
  }
  if (byte == '\n') return "a LF without CR";
  if (field == ProxyLineField::kIgnored) {
    if (byte == '\r') field = ProxyLineField::kLineFeed;
    return Reason();
  }
  const absl::string_view text = line.substr(field_begin);
  const absl::string_view text_before = text.substr(0, text.size() - 1);
  const bool line_may_end = field == ProxyLineField::kDestinationPort ||
                            (field == ProxyLineField::kProtocol && text_before == kUnknown);
  const bool field_may_end = field != ProxyLineField::kDestinationPort;
  if ((byte == '\r' && line_may_end) || (byte == ' ' && field_may_end)) {
    const Reason reason = EndField(field, text_before, header);
    field = FieldBehind(field, byte, header);
    field_begin = line.size();
    return reason;
  }
  return JudgeByte(field, text, header.family);
}

}  // namespace wire_internal
}  // namespace trestle
