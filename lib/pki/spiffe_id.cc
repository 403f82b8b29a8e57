#include "trestle/pki/spiffe_id.h"

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr absl::string_view kScheme = "spiffe://";
constexpr size_t kMaxQuotedBytes = 200;

absl::Status NoId(absl::string_view text, absl::string_view why) {
  return ConfigurationError(
      absl::StrCat("\"", EscapeForLog(text, kMaxQuotedBytes), "\" is no SPIFFE ID: ", why));
}

bool IsDomainByte(char c) {
  return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '.' || c == '-' || c == '_';
}

bool IsPathByte(char c) { return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_'; }

bool IsSegment(absl::string_view segment) {
  return !segment.empty() && segment != "." && segment != ".." &&
         absl::c_all_of(segment, IsPathByte);
}

}  // namespace

absl::StatusOr<SpiffeId> SpiffeId::Parse(absl::string_view text) {
  if (text.size() > kMaxBytes) return NoId(text, "it is too long");
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, kScheme)) return NoId(text, "it must begin with spiffe://");
  const size_t slash = std::min(rest.find('/'), rest.size());
  SpiffeId id;
  id.trust_domain = std::string(rest.substr(0, slash));
  id.path = std::string(rest.substr(slash));
  if (id.trust_domain.empty() || id.trust_domain.size() > kMaxTrustDomainBytes ||
      !absl::c_all_of(id.trust_domain, IsDomainByte)) {
    return NoId(text,
                "a trust domain has lower-case letters, digits, dots, dashes and underscores");
  }
  if (id.path.empty()) return id;
  for (const absl::string_view segment : absl::StrSplit(id.path.substr(1), '/')) {
    if (!IsSegment(segment)) {
      return NoId(text, "its path has a segment that is empty, relative or not plain text");
    }
  }
  return id;
}

std::string SpiffeId::ToString() const { return absl::StrCat(kScheme, trust_domain, path); }

absl::Status CheckSpiffePattern(absl::string_view pattern) {
  absl::string_view id = pattern;
  absl::ConsumeSuffix(&id, "/*");
  if (absl::StrContains(id, '*')) {
    return ConfigurationError(
        absl::StrCat("\"", EscapeForLog(pattern, kMaxQuotedBytes),
                     "\" is no pattern of SPIFFE IDs: a * stands only behind the last slash"));
  }
  return SpiffeId::Parse(id).status();
}

bool CoversUri(absl::string_view pattern, absl::string_view uri) {
  absl::string_view prefix = pattern;
  if (!absl::EndsWith(pattern, "/*") || !absl::ConsumeSuffix(&prefix, "*")) return uri == pattern;
  // The text after the slash must not be empty or climb with "..".
  return uri.size() > prefix.size() && absl::StartsWith(uri, prefix) &&
         !absl::StrContains(uri, "/../") && !absl::EndsWith(uri, "/..");
}

}  // namespace trestle
