#include "lib/wire/hidden_name.h"

#include "absl/strings/ascii.h"

namespace trestle::wire_internal {

std::string HideName(absl::string_view text, absl::string_view name) {
  if (name.empty()) return std::string(text);
  const std::string lower_text = absl::AsciiStrToLower(text);
  const std::string lower_name = absl::AsciiStrToLower(name);
  std::string hidden;
  size_t copied = 0;
  for (size_t at = lower_text.find(lower_name); at != std::string::npos;
       at = lower_text.find(lower_name, copied)) {
    hidden.append(text.data() + copied, at - copied);
    hidden.append(kHiddenName.data(), kHiddenName.size());
    copied = at + name.size();
  }
  hidden.append(text.data() + copied, text.size() - copied);
  return hidden;
}

}  // namespace trestle::wire_internal
