#include "integrations/http/response_fields.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "integrations/http1/http_message.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

bool IsOfConnection(absl::string_view name) {
  for (const absl::string_view own :
       {"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "via"}) {
    if (name == own) return true;
  }
  return false;
}

absl::Status CheckName(absl::string_view name) {
  if (IsToken(name) && name == absl::AsciiStrToLower(name) && !IsOfConnection(name)) {
    return absl::OkStatus();
  }
  return ConfigurationError(
      absl::StrCat("can't change the field \"", EscapeForLog(name), "\" of responses"));
}

bool IsValueByte(char c) {
  return c == '\t' || !absl::ascii_iscntrl(static_cast<unsigned char>(c));
}

absl::string_view VersionOf(HttpVersion version) {
  switch (version) {
    case HttpVersion::kHttp10:
      return "1.0";
    case HttpVersion::kHttp11:
      return "1.1";
    case HttpVersion::kHttp2:
      return "2.0";
  }
  return "";
}

}  // namespace

absl::Status CheckResponseFields(const ResponseFieldRules& rules) {
  for (const std::string& name : rules.remove) {
    if (absl::Status good = CheckName(name); !good.ok()) return good;
  }
  for (const HttpFields::Field& field : rules.set) {
    if (absl::Status good = CheckName(field.name); !good.ok()) return good;
    if (!std::all_of(field.value.begin(), field.value.end(), IsValueByte)) {
      return ConfigurationError(
          absl::StrCat("has a control character in the field \"", field.name, "\" of responses"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckHsts(const HstsOptions& options) {
  if (options.max_age < absl::ZeroDuration() || options.max_age == absl::InfiniteDuration()) {
    return ConfigurationError("the age of Strict-Transport-Security must be finite");
  }
  if (options.subdomains && options.max_age == absl::ZeroDuration()) {
    return ConfigurationError("Strict-Transport-Security for subdomains needs an age");
  }
  return absl::OkStatus();
}

void ApplyRules(const ResponseFieldRules& rules, HttpFields& fields) {
  for (const std::string& name : rules.remove) fields.Remove(name);
  for (const HttpFields::Field& field : rules.set) fields.Set(field.name, field.value);
}

void ApplyHsts(const HstsOptions& options, HttpFields& fields) {
  if (options.max_age == absl::ZeroDuration()) return;
  fields.Set("strict-transport-security",
             absl::StrCat("max-age=", absl::ToInt64Seconds(options.max_age),
                          options.subdomains ? "; includeSubDomains" : ""));
}

void AddVia(absl::string_view name, HttpVersion received, HttpFields& fields) {
  fields.Add("via", absl::StrCat(VersionOf(received), " ", name));
}

bool HasPassed(absl::string_view name, const HttpFields& fields) {
  for (const HttpFields::Field& field : fields) {
    if (field.name != "via") continue;
    for (const absl::string_view hop : absl::StrSplit(field.value, ',')) {
      const std::vector<absl::string_view> words =
          absl::StrSplit(hop, absl::ByAnyChar(" \t"), absl::SkipEmpty());
      if (words.size() >= 2 && words[1] == name) return true;
    }
  }
  return false;
}

}  // namespace trestle
