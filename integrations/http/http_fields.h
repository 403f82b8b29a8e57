// HttpFields: the fields of a head or a trailer section, in order, for both versions of HTTP.
#ifndef TRESTLE_INTEGRATIONS_HTTP_HTTP_FIELDS_H_
#define TRESTLE_INTEGRATIONS_HTTP_HTTP_FIELDS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace trestle {

/// A list of fields. Names are in lower case, as HTTP/2 requires (RFC 9113 8.2). Values have no
/// white space at their ends.
class HttpFields {
 public:
  struct Field {
    std::string name;
    std::string value;
  };

  /// Appends a field. `name` may have any case.
  void Add(absl::string_view name, absl::string_view value);

  /// Removes all fields of this name, then appends one.
  void Set(absl::string_view name, absl::string_view value);

  /// Returns the first value of `name`, which is in lower case; null if there is none.
  const std::string* Find(absl::string_view name) const;

  /// Returns all values of `name` as one list, joined by `separator`; empty if there is none.
  std::string Joined(absl::string_view name, absl::string_view separator = ", ") const;

  /// Removes all fields of this name, which is in lower case.
  void Remove(absl::string_view name);
  void RemoveIf(absl::FunctionRef<bool(const Field&)> condition);

  bool empty() const { return fields_.empty(); }
  size_t size() const { return fields_.size(); }
  std::vector<Field>::const_iterator begin() const { return fields_.begin(); }
  std::vector<Field>::const_iterator end() const { return fields_.end(); }

 private:
  std::vector<Field> fields_;
};

/// Returns whether a comma-separated `list` has this token, ignoring case.
bool HasToken(absl::string_view list, absl::string_view token);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_HTTP_FIELDS_H_
