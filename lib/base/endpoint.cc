#include "trestle/base/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <iterator>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr absl::string_view kUnixPrefix = "unix:";
constexpr size_t kIpv4Bytes = 4;
constexpr size_t kIpv6Bytes = 16;
constexpr uint8_t kMappedPrefix[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// Returns the IPv4 address within an IPv4-mapped one; returns any other address unchanged.
ByteView Unmapped(ByteView address) {
  const bool mapped =
      address.size() == kIpv6Bytes &&
      std::equal(std::begin(kMappedPrefix), std::end(kMappedPrefix), address.begin());
  return mapped ? address.subspan(sizeof kMappedPrefix) : address;
}

bool IsPrintable(absl::string_view path) {
  return absl::c_all_of(path, [](char c) { return absl::ascii_isprint(static_cast<uint8_t>(c)); });
}

absl::Status BadEndpoint(absl::string_view text, absl::string_view why) {
  return ConfigurationError(absl::StrCat("\"", text, "\" is no IP:PORT: ", why));
}

absl::Status BadPath(absl::string_view text, absl::string_view why) {
  return ConfigurationError(absl::StrCat("\"", text, "\" is not unix:PATH: ", why));
}

absl::StatusOr<uint16_t> ParsePort(absl::string_view whole, absl::string_view text) {
  uint32_t port = 0;
  const bool digits = !text.empty() && text.size() <= 5 &&
                      text.find_first_not_of("0123456789") == absl::string_view::npos;
  if (!digits || !absl::SimpleAtoi(text, &port) || port > 65535) {
    return BadEndpoint(whole, "the port must be a number from 0 to 65535");
  }
  return static_cast<uint16_t>(port);
}

}  // namespace

Endpoint::Endpoint(ByteView address, uint16_t port) : port_(port) {
  address = Unmapped(address);
  if (address.size() == kIpv4Bytes) family_ = Family::kIpv4;
  if (address.size() == kIpv6Bytes) family_ = Family::kIpv6;
  if (family_ == Family::kNone) return;
  std::copy(address.begin(), address.end(), address_.begin());
}

bool Endpoint::IsUnspecified() const {
  const ByteView bytes = address();
  return !bytes.empty() &&
         std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

Endpoint Endpoint::Unix(absl::string_view path) {
  Endpoint endpoint;
  endpoint.family_ = Family::kUnix;
  if (!path.empty()) endpoint.path_ = std::make_shared<const std::string>(path);
  return endpoint;
}

absl::StatusOr<Endpoint> Endpoint::Parse(absl::string_view text) {
  absl::string_view path = text;
  if (!absl::ConsumePrefix(&path, kUnixPrefix)) return ParseIp(text);
  const bool is_abstract = absl::StartsWith(path, "@");
  if (!is_abstract && !absl::StartsWith(path, "/")) {
    return BadPath(text, "write an absolute path, or @ and a name for an abstract socket");
  }
  if (path.size() == 1 || path.back() == '/') return BadPath(text, "the name is missing");
  if (path.size() - (is_abstract ? 1 : 0) > kMaxPathBytes) {
    return BadPath(text, absl::StrCat("the system allows ", kMaxPathBytes, " bytes"));
  }
  if (!IsPrintable(path)) {
    return BadPath(absl::CEscape(text), "it has unprintable characters");
  }
  return Unix(path);
}

absl::StatusOr<Endpoint> Endpoint::ParseIp(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return BadEndpoint(text, "there is no \":PORT\"");
  const absl::StatusOr<uint16_t> port = ParsePort(text, text.substr(colon + 1));
  if (!port.ok()) return port.status();
  std::string host(text.substr(0, colon));
  // inet_pton would stop at the NUL and ignore the rest.
  if (host.find('\0') != std::string::npos) return BadEndpoint(text, "it contains a NUL");
  uint8_t address[kIpv6Bytes];
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (inet_pton(AF_INET6, host.c_str(), address) == 1) {
      return Endpoint(ByteView(address, kIpv6Bytes), *port);
    }
    return BadEndpoint(text, "between the brackets must be an IPv6 address");
  }
  if (inet_pton(AF_INET, host.c_str(), address) == 1) {
    return Endpoint(ByteView(address, kIpv4Bytes), *port);
  }
  return BadEndpoint(
      text, "write an IPv4 address, or an IPv6 address in brackets; names are not resolved");
}

absl::Status Endpoint::CheckDialable() const {
  absl::string_view why;
  if (family_ == Family::kNone || (family_ == Family::kUnix && path().empty())) {
    why = "it has no address";
  } else if (IsUnspecified()) {
    why = "it stands for every address of a machine; name one, as in 127.0.0.1";
  } else if (port_ == 0 && family_ != Family::kUnix) {
    why = "port 0 stands for any free port; name one";
  }
  if (why.empty()) return absl::OkStatus();
  return ConfigurationError(absl::StrCat("cannot connect to \"", ToString(), "\": ", why));
}

ByteView Endpoint::address() const {
  switch (family_) {
    case Family::kNone:
    case Family::kUnix:
      return {};
    case Family::kIpv4:
      return ByteView(address_.data(), kIpv4Bytes);
    case Family::kIpv6:
      return ByteView(address_.data(), kIpv6Bytes);
  }
  return {};
}

std::string Endpoint::AddressText() const {
  if (!is_ip()) return "";
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(family_ == Family::kIpv4 ? AF_INET : AF_INET6, address_.data(), text,
                   sizeof text);
}

std::string Endpoint::ToString() const {
  switch (family_) {
    case Family::kNone:
      return "-";
    case Family::kIpv4:
      return absl::StrCat(AddressText(), ":", port_);
    case Family::kIpv6:
      return absl::StrCat("[", AddressText(), "]:", port_);
    case Family::kUnix:
      return absl::StrCat(kUnixPrefix, IsPrintable(path()) ? path() : absl::CEscape(path()));
  }
  return "-";
}

}  // namespace trestle
