// Splits the text of a zone file (RFC 1035 5.1) into records and their words.
#ifndef TRESTLE_EXAMPLES_ECH_TOOL_ZONE_TEXT_H_
#define TRESTLE_EXAMPLES_ECH_TOOL_ZONE_TEXT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace trestle::examples {

struct ZoneEntry {
  size_t line = 0;  ///< Of its first word, from 1.
  /// Without comments, quotes, escapes and the parentheses around lines.
  std::vector<std::string> words;
};

/// Returns the entries of `text`, without empty lines. Fails, with the line, for an unbalanced
/// quote or parenthesis, and for an invalid escape.
absl::StatusOr<std::vector<ZoneEntry>> SplitZoneText(absl::string_view text);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_ECH_TOOL_ZONE_TEXT_H_
