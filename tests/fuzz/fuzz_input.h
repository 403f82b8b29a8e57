// FuzzInput: reads the bytes of a fuzz target's input as choices. Require: a promise that the
// target checks.
#ifndef TRESTLE_TESTS_FUZZ_FUZZ_INPUT_H_
#define TRESTLE_TESTS_FUZZ_FUZZ_INPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/string_view.h"

namespace trestle {

/// Aborts with `promise` unless `holds`.
inline void Require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", promise);
  std::abort();
}

/// The rest of an input. At its end every number is 0 and every text is empty.
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }

  /// Takes one byte.
  uint8_t Byte() {
    const absl::string_view byte = Text(1);
    return byte.empty() ? 0 : static_cast<uint8_t>(byte[0]);
  }

  /// Takes two bytes, the higher one first.
  size_t Number() {
    const size_t high = Byte();
    return high << 8 | Byte();
  }

  /// Takes at most `bytes` bytes.
  absl::string_view Text(size_t bytes) {
    const absl::string_view text = rest_.substr(0, std::min(bytes, rest_.size()));
    rest_.remove_prefix(text.size());
    return text;
  }

 private:
  absl::string_view rest_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_FUZZ_FUZZ_INPUT_H_
