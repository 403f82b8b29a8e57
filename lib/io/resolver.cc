#include "trestle/io/resolver.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

absl::Status Refuse(absl::string_view text, absl::string_view why) {
  return ConfigurationError(
      absl::StrCat("\"", EscapeForLog(text), "\" is no NAME:PORT and no service: ", why));
}

// Returns what follows the labels "_service._proto", or "" for a name without both.
absl::string_view DomainOfService(absl::string_view name) {
  for (int label = 0; label < 2; ++label) {
    const size_t dot = name.find('.');
    if (dot == absl::string_view::npos || name[0] != '_') return "";
    name.remove_prefix(dot + 1);
  }
  return name;
}

}  // namespace

absl::StatusOr<NamedTarget> NamedTarget::Parse(absl::string_view text) {
  const size_t colon = text.rfind(':');
  absl::StatusOr<std::string> name = NormalizeServerName(text.substr(0, colon));
  if (!name.ok()) return Refuse(text, name.status().message());
  NamedTarget target;
  target.name = *std::move(name);
  const bool is_service = !DomainOfService(target.name).empty();
  if (colon == absl::string_view::npos) {
    if (is_service) return target;
    return Refuse(text, "the port is missing");
  }
  if (is_service) return Refuse(text, "SRV records have the port of a service: leave it out");
  const absl::string_view port = text.substr(colon + 1);
  uint32_t number = 0;
  if (!absl::c_all_of(port, absl::ascii_isdigit) || !absl::SimpleAtoi(port, &number) ||
      number == 0 || number > UINT16_MAX) {
    return Refuse(text, "a port is a number from 1 to 65535");
  }
  target.port = static_cast<uint16_t>(number);
  return target;
}

bool NamedTarget::LooksLikeName(absl::string_view text) {
  if (absl::StartsWith(text, "unix:") || absl::StrContains(text, '/')) return false;
  const absl::string_view host = text.substr(0, text.find(':'));
  if (text.size() > host.size() && absl::StrContains(text.substr(host.size() + 1), ':')) {
    return false;  // An IPv6 address, with its brackets or without.
  }
  return absl::c_any_of(host.substr(host.rfind('.') + 1), absl::ascii_isalpha);
}

std::string NamedTarget::certificate_name() const {
  return is_service() ? std::string(DomainOfService(name)) : name;
}

std::string NamedTarget::ToString() const {
  return is_service() ? name : absl::StrCat(name, ":", port);
}

}  // namespace trestle
