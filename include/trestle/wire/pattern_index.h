// PatternIndex: an immutable map from name patterns to numbers. Routes, certificates, client
// policies and HTTP hosts are found with it, so that all have the same order of precedence. Uses 6
// bytes per name besides the names; with a million names, a look-up mostly waits for memory.
#ifndef TRESTLE_WIRE_PATTERN_INDEX_H_
#define TRESTLE_WIRE_PATTERN_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trestle/wire/server_name.h"

namespace trestle {

/// Immutable; may be used from several threads. Values are usually positions in a vector.
class PatternIndex {
 public:
  /// A pattern and its number.
  struct Item {
    NamePattern::Kind kind = NamePattern::Kind::kExact;
    absl::string_view base;  ///< In normal form; used during `Create` only.
    uint32_t value = 0;
  };

  /// What a name leads to.
  struct Match {
    absl::string_view pattern;  ///< "*.wild.test"; lives as long as the index.
    uint32_t value = 0;
  };

  /// Makes an index without patterns.
  PatternIndex();
  ~PatternIndex();
  PatternIndex(PatternIndex&&);
  PatternIndex& operator=(PatternIndex&&);

  /// Copies `items`. If two have the same pattern, fails with `twice(position of one of them)`.
  /// Fails with ErrorCode::kConfiguration if the names take more than 4 GiB.
  static absl::StatusOr<PatternIndex> Create(absl::Span<const Item> items,
                                             absl::FunctionRef<absl::Status(size_t)> twice);

  /// Returns the most specific pattern that covers `name`, which must be in normal form. An empty
  /// name has none.
  std::optional<Match> Find(absl::string_view name) const;

  /// Calls `visit` with each pattern that covers `name`, the most specific first, until it returns
  /// true.
  void Visit(absl::string_view name, absl::FunctionRef<bool(const Match&)> visit) const;

  /// Returns the value of one pattern.
  std::optional<uint32_t> ValueOf(NamePattern::Kind kind, absl::string_view base) const;

 private:
  struct Names;

  std::unique_ptr<const Names> names_;  // Null without patterns.
};

}  // namespace trestle

#endif  // TRESTLE_WIRE_PATTERN_INDEX_H_
