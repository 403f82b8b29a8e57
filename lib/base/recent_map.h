// RecentMap: a map from texts to values in the order of use, for caches that drop the least
// recently used entry at their bound.
#ifndef TRESTLE_LIB_BASE_RECENT_MAP_H_
#define TRESTLE_LIB_BASE_RECENT_MAP_H_

#include <cstddef>
#include <iterator>
#include <list>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace trestle {

/// Has no bound of its own: users call `DropOldest`. Values stay where they are until they are
/// dropped. Not thread-safe.
template <typename Value>
class RecentMap {
 public:
  RecentMap() = default;
  RecentMap(const RecentMap&) = delete;
  RecentMap& operator=(const RecentMap&) = delete;

  /// Returns the value of `key`, which becomes the most recently used one; null if it is absent.
  Value* Use(absl::string_view key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return nullptr;
    by_use_.splice(by_use_.begin(), by_use_, found->second);
    return &found->second->second;
  }

  /// As `Use`, but adds a default value if `key` is absent. The bool tells whether it was.
  std::pair<Value*, bool> UseOrAdd(absl::string_view key) {
    if (Value* const known = Use(key)) return {known, false};
    by_use_.emplace_front(std::string(key), Value());
    by_key_.emplace(by_use_.front().first, by_use_.begin());
    return {&by_use_.front().second, true};
  }

  /// Returns the value of `key`, or null. The order stays.
  const Value* Peek(absl::string_view key) const {
    const auto found = by_key_.find(key);
    return found == by_key_.end() ? nullptr : &found->second->second;
  }
  Value* Peek(absl::string_view key) {
    return const_cast<Value*>(static_cast<const RecentMap&>(*this).Peek(key));
  }

  /// The least recently used entry. The map must not be empty.
  const std::string& oldest_key() const { return by_use_.back().first; }
  Value& oldest() { return by_use_.back().second; }

  void DropOldest() {
    by_key_.erase(by_use_.back().first);
    by_use_.pop_back();
  }

  /// Drops the entry of `key`, if there is one.
  void Drop(absl::string_view key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return;
    const auto entry = found->second;
    by_key_.erase(found);
    by_use_.erase(entry);
  }

  void Clear() {
    by_key_.clear();
    by_use_.clear();
  }

  size_t size() const { return by_use_.size(); }
  bool empty() const { return by_use_.empty(); }

 private:
  using Entries = std::list<std::pair<std::string, Value>>;

  Entries by_use_;  // Most recently used first.
  absl::flat_hash_map<absl::string_view, typename Entries::iterator> by_key_;  // Views the entries.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_BASE_RECENT_MAP_H_
