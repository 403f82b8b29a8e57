// Keeps names that arrived encrypted (RFC 9849) out of errors and logs.
#ifndef TRESTLE_LIB_WIRE_HIDDEN_NAME_H_
#define TRESTLE_LIB_WIRE_HIDDEN_NAME_H_

#include <string>

#include "absl/strings/string_view.h"

namespace trestle::wire_internal {

/// The text that replaces a hidden name.
inline constexpr absl::string_view kHiddenName = "(ech)";

/// Returns `text` with each occurrence of `name`, in any case, replaced by `kHiddenName`. Replaces
/// nothing if `name` is empty.
std::string HideName(absl::string_view text, absl::string_view name);

}  // namespace trestle::wire_internal

#endif  // TRESTLE_LIB_WIRE_HIDDEN_NAME_H_
