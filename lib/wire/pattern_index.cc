#include "trestle/wire/pattern_index.h"

#include <array>
#include <iterator>
#include <utility>
#include <vector>

#include "lib/wire/name_index.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr absl::string_view kPrefixes[] = {"", "*.", "**."};
static_assert(std::size(kPrefixes) == NamePattern::kKinds, "each kind of pattern has a prefix");

size_t IndexOf(NamePattern::Kind kind) { return static_cast<size_t>(kind); }

}  // namespace

struct PatternIndex::Names {
  std::array<NameIndex, NamePattern::kKinds> by_kind;
};

PatternIndex::PatternIndex() = default;
PatternIndex::~PatternIndex() = default;
PatternIndex::PatternIndex(PatternIndex&&) = default;
PatternIndex& PatternIndex::operator=(PatternIndex&&) = default;

absl::StatusOr<PatternIndex> PatternIndex::Create(absl::Span<const Item> items,
                                                  absl::FunctionRef<absl::Status(size_t)> twice) {
  std::array<std::vector<NameIndex::Item>, NamePattern::kKinds> sorted;
  std::array<std::vector<size_t>, NamePattern::kKinds> positions;
  size_t bytes = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    const size_t kind = IndexOf(items[i].kind);
    sorted[kind].push_back({items[i].base, items[i].value});
    positions[kind].push_back(i);
    bytes += NameIndex::kItemOverhead + kPrefixes[kind].size() + items[i].base.size();
  }
  if (bytes > NameIndex::kMaxBytes) return ConfigurationError("the names take more than 4 GiB");
  auto names = std::make_unique<Names>();
  for (size_t kind = 0; kind < NamePattern::kKinds; ++kind) {
    std::optional<size_t> duplicate;
    names->by_kind[kind] = NameIndex(sorted[kind], kPrefixes[kind], duplicate);
    if (duplicate.has_value()) return twice(positions[kind][*duplicate]);
  }
  PatternIndex index;
  index.names_ = std::move(names);
  return index;
}

std::optional<PatternIndex::Match> PatternIndex::Find(absl::string_view name) const {
  std::optional<Match> found;
  Visit(name, [&found](const Match& match) {
    found = match;
    return true;
  });
  return found;
}

void PatternIndex::Visit(absl::string_view name,
                         absl::FunctionRef<bool(const Match&)> visit) const {
  if (names_ == nullptr || name.empty()) return;
  VisitCoveringPatterns(name, [&](NamePattern::Kind kind, absl::string_view base) {
    const std::optional<NameIndex::Match> match = names_->by_kind[IndexOf(kind)].Find(base);
    return match.has_value() && visit({match->text, match->value});
  });
}

std::optional<uint32_t> PatternIndex::ValueOf(NamePattern::Kind kind,
                                              absl::string_view base) const {
  if (names_ == nullptr) return std::nullopt;
  const std::optional<NameIndex::Match> match = names_->by_kind[IndexOf(kind)].Find(base);
  if (!match.has_value()) return std::nullopt;
  return match->value;
}

}  // namespace trestle
