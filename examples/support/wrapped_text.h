// Text in columns, for --help and tables.
#ifndef TRESTLE_EXAMPLES_SUPPORT_WRAPPED_TEXT_H_
#define TRESTLE_EXAMPLES_SUPPORT_WRAPPED_TEXT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace trestle::examples {

/// Splits `text` into lines of at most `width` bytes, between words if possible. A line feed begins
/// a new line.
std::vector<std::string> Wrap(absl::string_view text, size_t width);

/// Returns `text` padded with spaces to `width` bytes.
std::string Padded(absl::string_view text, size_t width);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_WRAPPED_TEXT_H_
