// UnconfirmedBackends: the backends that hidden names can't reach, because they don't confirm the
// inner hello of an encrypted ClientHello (RFC 9849 7.2).
#ifndef TRESTLE_PROXY_UNCONFIRMED_BACKENDS_H_
#define TRESTLE_PROXY_UNCONFIRMED_BACKENDS_H_

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "trestle/base/endpoint.h"

namespace trestle {

/// A set of backends that routers on several loops share (`SniPassthroughRouterOptions`), and that
/// probes keep current (`ProbeReport::denies_inner_hello`). Thread-safe.
class UnconfirmedBackends {
 public:
  /// Adds `backend`, or with `unconfirmed` false removes it. Applies to hellos that are routed from
  /// now on; open connections stay.
  void Set(const Endpoint& backend, bool unconfirmed) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (unconfirmed) {
      backends_.insert(backend);
    } else {
      backends_.erase(backend);
    }
  }

  /// Removes all but `backends`, for use after routes were replaced.
  void Retain(absl::Span<const Endpoint> backends) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    absl::flat_hash_set<Endpoint> retained;
    for (const Endpoint& backend : backends) {
      if (backends_.contains(backend)) retained.insert(backend);
    }
    backends_ = std::move(retained);
  }

  bool Contains(const Endpoint& backend) const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return backends_.contains(backend);
  }

 private:
  mutable absl::Mutex mutex_;
  absl::flat_hash_set<Endpoint> backends_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_UNCONFIRMED_BACKENDS_H_
