#include "examples/ech_tool/zone_text.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace trestle::examples {
namespace {

class Splitter {
 public:
  explicit Splitter(absl::string_view text) : text_(text) {}

  absl::StatusOr<std::vector<ZoneEntry>> Split() {
    while (at_ < text_.size()) {
      if (absl::Status taken = Take(); !taken.ok()) return taken;
    }
    if (quoted_) return Fail("a quoted text has no end");
    if (depth_ > 0) return Fail("a parenthesis isn't closed");
    EndEntry();
    return std::move(entries_);
  }

 private:
  absl::Status Fail(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat("line ", line_, ": ", what));
  }

  absl::Status Take() {
    const char c = text_[at_++];
    if (c == '\n') return TakeLineEnd();
    if (c == '\\') return TakeEscape();
    if (c == '"') {
      quoted_ = !quoted_;
      BeginWord();  // "" is a word.
    } else if (quoted_) {
      Add(c);
    } else if (c == ';') {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (c == '(') {
      EndWord();
      ++depth_;
    } else if (c == ')') {
      EndWord();
      if (depth_-- == 0) return Fail("a parenthesis isn't opened");
    } else if (absl::ascii_isspace(static_cast<unsigned char>(c))) {
      EndWord();
    } else {
      Add(c);
    }
    return absl::OkStatus();
  }

  absl::Status TakeLineEnd() {
    if (quoted_) return Fail("a quoted text has no end");
    EndWord();
    if (depth_ == 0) EndEntry();
    ++line_;
    return absl::OkStatus();
  }

  // \DDD is a byte in decimal; any other escaped character means itself.
  absl::Status TakeEscape() {
    if (at_ == text_.size() || text_[at_] == '\n') return Fail("a backslash ends the line");
    if (!absl::ascii_isdigit(static_cast<unsigned char>(text_[at_]))) {
      Add(text_[at_++]);
      return absl::OkStatus();
    }
    int value = 0;
    for (int digit = 0; digit < 3; ++digit, ++at_) {
      if (at_ == text_.size() || !absl::ascii_isdigit(static_cast<unsigned char>(text_[at_]))) {
        return Fail("an escape has fewer than three digits");
      }
      value = value * 10 + (text_[at_] - '0');
    }
    if (value > 255) return Fail("an escape is over 255");
    Add(static_cast<char>(value));
    return absl::OkStatus();
  }

  void BeginWord() {
    if (entry_.words.empty() && !in_word_) entry_.line = line_;
    in_word_ = true;
  }

  void Add(char c) {
    BeginWord();
    word_ += c;
  }

  void EndWord() {
    if (!in_word_) return;
    entry_.words.push_back(std::exchange(word_, {}));
    in_word_ = false;
  }

  void EndEntry() {
    EndWord();
    if (!entry_.words.empty()) entries_.push_back(std::exchange(entry_, {}));
  }

  const absl::string_view text_;
  size_t at_ = 0;
  size_t line_ = 1;
  size_t depth_ = 0;  // Of parentheses.
  bool quoted_ = false;
  bool in_word_ = false;
  std::string word_;
  ZoneEntry entry_;
  std::vector<ZoneEntry> entries_;
};

}  // namespace

absl::StatusOr<std::vector<ZoneEntry>> SplitZoneText(absl::string_view text) {
  return Splitter(text).Split();
}

}  // namespace trestle::examples
