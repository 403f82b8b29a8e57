#include "lib/pki/peer_name.h"

#include <cstddef>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

// The longest URI that SPIFFE allows.
constexpr size_t kMaxUriBytes = 2048;

absl::Status CheckUri(absl::string_view text) {
  const bool printable = absl::c_all_of(text, [](char c) { return absl::ascii_isgraph(c); });
  if (printable && absl::ascii_isalpha(text[0]) && text.size() <= kMaxUriBytes) {
    return absl::OkStatus();
  }
  return ConfigurationError(absl::StrCat("\"", EscapeForLog(text), "\" is no usable URI"));
}

}  // namespace

absl::StatusOr<PeerName> PeerName::Parse(absl::string_view text) {
  PeerName name;
  if (text.empty()) {
    return ConfigurationError("no server name was given: there is nothing to verify the peer by");
  }
  if (absl::StrContains(text, "://")) {
    if (absl::Status status = CheckUri(text); !status.ok()) return status;
    name.uri = std::string(text);
    return name;
  }
  if (std::optional<std::string> address = ParseIp(text); address.has_value()) {
    name.ip_address = *std::move(address);
    return name;
  }
  absl::StatusOr<std::string> dns_name = NormalizeServerName(text);
  if (!dns_name.ok()) {
    return ConfigurationError(absl::StrCat("\"", EscapeForLog(text),
                                           "\" is neither a DNS name nor an IP address nor a URI (",
                                           dns_name.status().message(), ")"));
  }
  name.dns_name = *std::move(dns_name);
  return name;
}

std::string PeerName::ToString() const {
  if (!uri.empty()) return uri;
  return ip_address.empty() ? dns_name : IpText(AsBytes(ip_address));
}

std::string PeerName::ToStringWithKind() const {
  const absl::string_view kind = !uri.empty() ? "URI:" : ip_address.empty() ? "DNS:" : "IP:";
  return absl::StrCat(kind, ToString());
}

}  // namespace trestle
