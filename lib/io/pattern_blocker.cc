#include "trestle/io/pattern_blocker.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

// Returns how many of the last bytes of `text` may be the beginning of `pattern`.
size_t BeginningAtEnd(absl::string_view text, absl::string_view pattern) {
  if (pattern.empty()) return 0;
  for (size_t bytes = std::min(text.size(), pattern.size() - 1); bytes > 0; --bytes) {
    if (absl::EndsWith(text, pattern.substr(0, bytes))) return bytes;
  }
  return 0;
}

}  // namespace

Verdict PatternBlocker::Inspect(Direction direction, ByteView pending, bool end_of_stream) {
  const bool looks =
      direction == Direction::kToBackend ? options_->to_backend : options_->to_client;
  if (!looks) return Verdict::Forward(pending.size());
  const absl::string_view text = AsText(pending);
  size_t may_match = 0;
  for (const std::string& pattern : options_->patterns) {
    if (!pattern.empty() && absl::StrContains(text, pattern)) {
      return Verdict::Block(absl::StrCat("found \"", EscapeForLog(pattern), "\""),
                            options_->last_words);
    }
    may_match = std::max(may_match, BeginningAtEnd(text, pattern));
  }
  if (end_of_stream || may_match == 0) return Verdict::Forward(pending.size());
  return may_match == pending.size() ? Verdict::Hold()
                                     : Verdict::Forward(pending.size() - may_match);
}

}  // namespace trestle
