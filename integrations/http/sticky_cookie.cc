#include "integrations/http/sticky_cookie.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "trestle/base/bytes.h"
#include "trestle/pki/sha256.h"

namespace trestle {
namespace {

constexpr size_t kValueBytes = 8;

// Returns the first cookie of this name; empty if there is none.
absl::string_view CookieOf(const HttpFields& fields, absl::string_view name) {
  for (const HttpFields::Field& field : fields) {
    if (field.name != "cookie") continue;
    for (const absl::string_view pair : absl::StrSplit(field.value, ';')) {
      const std::pair<absl::string_view, absl::string_view> parts =
          absl::StrSplit(absl::StripAsciiWhitespace(pair), absl::MaxSplits('=', 1));
      if (parts.first == name) return parts.second;
    }
  }
  return {};
}

}  // namespace

std::string StickyValue(const Endpoint& backend) {
  const auto digest = Sha256(AsBytes(backend.ToString()));
  return absl::BytesToHexString(AsText({digest.data(), kValueBytes}));
}

const Endpoint* FindSticky(const std::vector<Endpoint>& backends, absl::string_view name,
                           const HttpFields& fields) {
  if (name.empty()) return nullptr;
  const absl::string_view value = CookieOf(fields, name);
  if (value.size() != 2 * kValueBytes) return nullptr;
  const auto found = std::find_if(backends.begin(), backends.end(), [&](const Endpoint& backend) {
    return StickyValue(backend) == value;
  });
  return found == backends.end() ? nullptr : &*found;
}

std::string StickyCookie(absl::string_view name, const Endpoint& backend, absl::string_view path,
                         bool secure) {
  return absl::StrCat(name, "=", StickyValue(backend), "; Path=", path, "; HttpOnly; SameSite=Lax",
                      secure ? "; Secure" : "");
}

}  // namespace trestle
