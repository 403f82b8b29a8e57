#include "integrations/http/route_target.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "integrations/http1/host_path_index.h"
#include "integrations/http1/http_message.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr char kHost[] = "{host}";
constexpr char kTarget[] = "{target}";
constexpr char kRest[] = "{rest}";

bool IsLocationByte(char c) {
  return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '"' && c != '<' && c != '>' &&
         c != '\\';
}

absl::Status BadLocation(absl::string_view location, absl::string_view problem) {
  return ConfigurationError(
      absl::StrCat("redirects to \"", EscapeForLog(location), "\", which ", problem));
}

// Removes one byte, or what encodes it.
bool ConsumeByte(absl::string_view& text, char wanted) {
  if (!text.empty() && text.front() == wanted) {
    text.remove_prefix(1);
    return true;
  }
  uint32_t code = 0;
  const bool encoded = text.size() >= 3 && text[0] == '%' &&
                       absl::SimpleHexAtoi(text.substr(1, 2), &code) &&
                       static_cast<char>(code) == wanted;
  if (encoded) text.remove_prefix(3);
  return encoded;
}

// Returns whether a host that no request can choose is at the beginning.
bool BeginsWithHost(absl::string_view rest) {
  const bool theirs = absl::ConsumePrefix(&rest, kHost);
  const size_t end = std::min({rest.find('/'), rest.find(kTarget), rest.find(kRest), rest.size()});
  const absl::string_view authority = rest.substr(0, end);
  if (!theirs) return !authority.empty() && HostOf(authority).has_value();
  return authority.empty() || HostOf(absl::StrCat("a", authority)) == "a";
}

}  // namespace

bool IsPlainPrefix(absl::string_view path) {
  return absl::StartsWith(path, "/") && PlainPath(path) == std::string(path) &&
         path.find_first_of("?# {}") == absl::string_view::npos;
}

std::optional<std::string> RestOf(absl::string_view target, absl::string_view prefix) {
  for (const char c : absl::StripSuffix(prefix, "/")) {
    if (!ConsumeByte(target, c)) return std::nullopt;
  }
  if (!target.empty() && target.front() != '/' && target.front() != '?') return std::nullopt;
  return std::string(target);
}

std::optional<std::string> ReplacePrefix(absl::string_view target, absl::string_view prefix,
                                         absl::string_view with) {
  const std::optional<std::string> rest = RestOf(target, prefix);
  if (!rest.has_value() || !PlainPath(target.substr(0, target.find('?'))).has_value()) {
    return std::nullopt;
  }
  const absl::string_view base = absl::StripSuffix(with, "/");
  return absl::StrCat(base, base.empty() && !absl::StartsWith(*rest, "/") ? "/" : "", *rest);
}

absl::Status CheckLocation(absl::string_view location) {
  if (!std::all_of(location.begin(), location.end(), IsLocationByte)) {
    return BadLocation(location, "has a byte that needs percent-encoding");
  }
  const std::string literal =
      absl::StrReplaceAll(location, {{kHost, ""}, {kTarget, ""}, {kRest, ""}});
  if (literal.find_first_of("{}") != std::string::npos) {
    return BadLocation(location, "has other braces than {host}, {target} and {rest}");
  }
  absl::string_view rest = location;
  if (absl::ConsumePrefix(&rest, "https://") || absl::ConsumePrefix(&rest, "http://")) {
    if (BeginsWithHost(rest)) return absl::OkStatus();
    return BadLocation(location, "needs a host behind its scheme");
  }
  if (!absl::ConsumePrefix(&rest, "/")) {
    return BadLocation(location, "begins with neither https://, http:// nor a path");
  }
  // "//host" would be another host.
  if (rest.empty() || (rest.front() != '/' && rest.front() != '{')) return absl::OkStatus();
  return BadLocation(location, "needs a segment behind its first /");
}

std::optional<std::string> FillLocation(absl::string_view location, absl::string_view host,
                                        absl::string_view target, absl::string_view prefix) {
  if (!absl::StartsWith(target, "/")) return std::nullopt;  // "*"
  if (host.empty() && absl::StrContains(location, kHost)) return std::nullopt;
  const std::optional<std::string> rest = RestOf(target, prefix);
  if (!rest.has_value()) return std::nullopt;
  return absl::StrReplaceAll(location, {{kHost, host}, {kTarget, target}, {kRest, *rest}});
}

}  // namespace trestle
