// NameIndex: names and a number for each, made once and then only read. Names with the same hash
// lie side by side in one piece of memory, four on average, because with a million of them a
// look-up is waiting for memory and little else. Costs 6 bytes a name beside the names.
#ifndef TRESTLE_LIB_PROXY_NAME_INDEX_H_
#define TRESTLE_LIB_PROXY_NAME_INDEX_H_

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

  /// Bytes of all items' texts and their overhead, at most.
  static constexpr size_t kMaxBytes = UINT32_MAX;
  static constexpr size_t kItemOverhead = 5;

  NameIndex() = default;

  /// Copies `items`, each with `prefix` before its name. Where a name is there twice, `duplicate`
  /// becomes the position of one of its items, and the index is of no use.
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

#endif  // TRESTLE_LIB_PROXY_NAME_INDEX_H_
