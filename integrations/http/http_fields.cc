#include "integrations/http/http_fields.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace trestle {

void HttpFields::Add(absl::string_view name, absl::string_view value) {
  fields_.push_back({absl::AsciiStrToLower(name), std::string(absl::StripAsciiWhitespace(value))});
}

void HttpFields::Set(absl::string_view name, absl::string_view value) {
  Remove(absl::AsciiStrToLower(name));
  Add(name, value);
}

const std::string* HttpFields::Find(absl::string_view name) const {
  for (const Field& field : fields_) {
    if (field.name == name) return &field.value;
  }
  return nullptr;
}

std::string HttpFields::Joined(absl::string_view name, absl::string_view separator) const {
  std::string joined;
  for (const Field& field : fields_) {
    if (field.name != name || field.value.empty()) continue;
    absl::StrAppend(&joined, joined.empty() ? "" : separator, field.value);
  }
  return joined;
}

void HttpFields::Remove(absl::string_view name) {
  RemoveIf([&](const Field& field) { return field.name == name; });
}

void HttpFields::RemoveIf(absl::FunctionRef<bool(const Field&)> condition) {
  fields_.erase(std::remove_if(fields_.begin(), fields_.end(), condition), fields_.end());
}

bool HasToken(absl::string_view list, absl::string_view token) {
  for (const absl::string_view item : absl::StrSplit(list, ',')) {
    if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(item), token)) return true;
  }
  return false;
}

}  // namespace trestle
