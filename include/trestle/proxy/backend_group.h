// BackendGroup: the backends of a route as they are now, while names resolve to other addresses.
#ifndef TRESTLE_PROXY_BACKEND_GROUP_H_
#define TRESTLE_PROXY_BACKEND_GROUP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/resolver.h"
#include "trestle/proxy/backend_state.h"

namespace trestle {

/// One backend of a group.
struct GroupedBackend {
  Endpoint endpoint;
  /// The name that led to the address; null for a configured address.
  std::shared_ptr<const NamedTarget> name;
  uint16_t priority = 0;          ///< As in ResolvedAddress.
  uint32_t weight = kUnitWeight;  ///< As in ResolvedAddress.
  /// Shared by all that open their leg in the same way; `HealthChecker` sets it. Null: each block
  /// counts failures for itself.
  std::shared_ptr<BackendState> state = nullptr;

  friend bool operator==(const GroupedBackend& a, const GroupedBackend& b) {
    return a.endpoint == b.endpoint && a.name == b.name && a.priority == b.priority &&
           a.weight == b.weight && a.state == b.state;
  }
};

/// A list of backends that changes while connections are served. Thread-safe. `ResolvedBackends`
/// keeps it current; a host that learns of backends in another way calls `Replace` itself. It has
/// all backends, also those whose state keeps connections away.
class BackendGroup {
 public:
  using List = std::vector<GroupedBackend>;

  /// `description` is for errors: the configured names, for example.
  explicit BackendGroup(std::string description = "the group")
      : description_(std::move(description)), list_(std::make_shared<const List>()) {}

  /// Returns the backends of now, never null. The list may be empty: connections then fail with
  /// ErrorCode::kNoBackend.
  std::shared_ptr<const List> current() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return list_;
  }

  /// Uses `list` for connections that choose a backend from now on. Open connections stay. Ignores
  /// null.
  void Replace(std::shared_ptr<const List> list) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (list == nullptr) return;
    absl::MutexLock lock(&mutex_);
    list_.swap(list);
  }

  const std::string& description() const { return description_; }

 private:
  const std::string description_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const List> list_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_BACKEND_GROUP_H_
