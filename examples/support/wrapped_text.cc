#include "examples/support/wrapped_text.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace trestle::examples {

std::vector<std::string> Wrap(absl::string_view text, size_t width) {
  std::vector<std::string> lines;
  for (absl::string_view paragraph : absl::StrSplit(text, '\n')) {
    while (paragraph.size() > width) {
      size_t cut = paragraph.rfind(' ', width);
      if (cut == absl::string_view::npos || cut == 0) cut = width;
      lines.emplace_back(paragraph.substr(0, cut));
      paragraph.remove_prefix(cut);
      while (!paragraph.empty() && paragraph.front() == ' ') paragraph.remove_prefix(1);
    }
    lines.emplace_back(paragraph);
  }
  return lines;
}

std::string Padded(absl::string_view text, size_t width) {
  return absl::StrCat(text, std::string(width - std::min(width, text.size()), ' '));
}

}  // namespace trestle::examples
