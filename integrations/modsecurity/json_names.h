// JsonNames: how much libmodsecurity will make of a JSON body. It gives each value the names of all
// objects and arrays around it: 8 KB of JSON become 6 MB of names, and 0.6 s.
#ifndef TRESTLE_INTEGRATIONS_MODSECURITY_JSON_NAMES_H_
#define TRESTLE_INTEGRATIONS_MODSECURITY_JSON_NAMES_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace trestle {

/// Tells whether the names that libmodsecurity makes of the values in `json` are at most
/// `max_bytes` together. Reads no further than to the value that is over it. False for what is no
/// JSON, of which nothing can be told.
bool JsonNamesWithin(absl::string_view json, size_t max_bytes);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_MODSECURITY_JSON_NAMES_H_
