// Names that came encrypted (RFC 9849) have to stay out of errors and logs.
#ifndef TRESTLE_LIB_WIRE_HIDDEN_NAME_H_
#define TRESTLE_LIB_WIRE_HIDDEN_NAME_H_

#include <string>

#include "absl/strings/string_view.h"

namespace trestle::wire_internal {

/// What stands in the place of a hidden name.
inline constexpr absl::string_view kHiddenName = "(ech)";

/// Copies `text` with each occurrence of `name`, in any case, replaced by `kHiddenName`. An empty
/// name occurs nowhere.
std::string HideName(absl::string_view text, absl::string_view name);

}  // namespace trestle::wire_internal

#endif  // TRESTLE_LIB_WIRE_HIDDEN_NAME_H_
