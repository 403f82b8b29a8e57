// JsonNames: computes the memory that libmodsecurity needs for the names in a JSON body. It gives
// each value the names of all enclosing objects and arrays: 8 KB of JSON become 6 MB of names, and
// take 0.6 s.
#ifndef TRESTLE_INTEGRATIONS_MODSECURITY_JSON_NAMES_H_
#define TRESTLE_INTEGRATIONS_MODSECURITY_JSON_NAMES_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace trestle {

/// Returns whether libmodsecurity's names for the values in `json` take at most `max_bytes`
/// together. Stops at the first value over the limit. False for invalid JSON.
bool JsonNamesWithin(absl::string_view json, size_t max_bytes);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_MODSECURITY_JSON_NAMES_H_
