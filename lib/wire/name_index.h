// NameIndex: an immutable map from names to numbers. Names with the same hash, four on average, are
// adjacent in one block of memory: with a million names, a look-up mostly waits for memory. Uses 6
// bytes per name besides the names.
#ifndef TRESTLE_LIB_WIRE_NAME_INDEX_H_
#define TRESTLE_LIB_WIRE_NAME_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace trestle {

class NameIndex {
 public:
  struct Item {
    absl::string_view name;  ///< Not empty; at most 255 bytes.
    uint32_t value = 0;
  };

  /// Maximum bytes of all items, including overhead.
  static constexpr size_t kMaxBytes = UINT32_MAX;
  static constexpr size_t kItemOverhead = 5;

  NameIndex() = default;

  /// Copies `items`, each with `prefix` before its name. On a duplicate name, `duplicate` becomes
  /// the position of one of its items, and the index must not be used.
  NameIndex(absl::Span<const Item> items, absl::string_view prefix,
            std::optional<size_t>& duplicate);

  struct Match {
    absl::string_view text;  ///< Prefix and name; lives as long as the index.
    uint32_t value = 0;
  };
  std::optional<Match> Find(absl::string_view name) const;

 private:
  size_t BucketOf(absl::string_view name) const;
  std::optional<Match> FindIn(size_t begin, size_t end, absl::string_view name) const;

  size_t prefix_bytes_ = 0;
  std::vector<uint32_t> begins_;  // Of each bucket in bytes_, and the end of the last one.
  std::string bytes_;             // For each item: length of the name, value, prefix, name.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_WIRE_NAME_INDEX_H_
