#include "lib/wire/name_index.h"

#include <cstring>

#include "absl/hash/hash.h"
#include "absl/numeric/bits.h"

namespace trestle {
namespace {

constexpr size_t kNamesPerBucket = 4;

}  // namespace

NameIndex::NameIndex(absl::Span<const Item> items, absl::string_view prefix,
                     std::optional<size_t>& duplicate)
    : prefix_bytes_(prefix.size()) {
  if (items.empty()) return;
  begins_.resize(absl::bit_ceil(items.size() / kNamesPerBucket + 1) + 1);
  std::vector<uint32_t> buckets(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    buckets[i] = static_cast<uint32_t>(BucketOf(items[i].name));
    begins_[buckets[i] + 1] +=
        static_cast<uint32_t>(kItemOverhead + prefix.size() + items[i].name.size());
  }
  for (size_t i = 1; i < begins_.size(); ++i) begins_[i] += begins_[i - 1];
  bytes_.resize(begins_.back());
  std::vector<uint32_t> ends(begins_.begin(), begins_.end() - 1);
  for (size_t i = 0; i < items.size(); ++i) {
    const absl::string_view name = items[i].name;
    uint32_t& end = ends[buckets[i]];
    if (FindIn(begins_[buckets[i]], end, name).has_value()) {
      duplicate = i;
      continue;
    }
    char* const at = &bytes_[end];
    at[0] = static_cast<char>(name.size());
    std::memcpy(at + 1, &items[i].value, sizeof items[i].value);
    std::memcpy(at + kItemOverhead, prefix.data(), prefix.size());
    std::memcpy(at + kItemOverhead + prefix.size(), name.data(), name.size());
    end += static_cast<uint32_t>(kItemOverhead + prefix.size() + name.size());
  }
}

std::optional<NameIndex::Match> NameIndex::Find(absl::string_view name) const {
  if (begins_.empty()) return std::nullopt;
  const size_t bucket = BucketOf(name);
  return FindIn(begins_[bucket], begins_[bucket + 1], name);
}

size_t NameIndex::BucketOf(absl::string_view name) const {
  return absl::HashOf(name) & (begins_.size() - 2);
}

std::optional<NameIndex::Match> NameIndex::FindIn(size_t begin, size_t end,
                                                  absl::string_view name) const {
  const char* at = bytes_.data() + begin;
  const char* const stop = bytes_.data() + end;
  while (at < stop) {
    const size_t bytes = static_cast<uint8_t>(at[0]);
    const char* const text = at + kItemOverhead;
    if (bytes == name.size() && std::memcmp(text + prefix_bytes_, name.data(), bytes) == 0) {
      Match match;
      match.text = absl::string_view(text, prefix_bytes_ + bytes);
      std::memcpy(&match.value, at + 1, sizeof match.value);
      return match;
    }
    at = text + prefix_bytes_ + bytes;
  }
  return std::nullopt;
}

}  // namespace trestle
