// ServerSessionMemory implements ServerSessionCache: sessions by ID, least recently used last.
#ifndef TRESTLE_LIB_TLS_SESSIONS_SERVER_SESSION_MEMORY_H_
#define TRESTLE_LIB_TLS_SESSIONS_SERVER_SESSION_MEMORY_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <list>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace trestle {

class ServerSessionMemory {
 public:
  explicit ServerSessionMemory(size_t max_sessions) : max_sessions_(max_sessions) {}

  /// Keeps `session`; it must have an ID.
  void Put(bssl::UniquePtr<SSL_SESSION> session);

  /// Returns the session with `id`, or null.
  bssl::UniquePtr<SSL_SESSION> Find(absl::string_view id);

  void Clear();
  size_t sessions() const;

 private:
  using Sessions = std::list<bssl::UniquePtr<SSL_SESSION>>;

  const size_t max_sessions_;
  mutable absl::Mutex mutex_;
  Sessions by_use_ ABSL_GUARDED_BY(mutex_);  // Most recently used first.
  // Views the sessions' own IDs.
  absl::flat_hash_map<absl::string_view, Sessions::iterator> by_id_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_SESSIONS_SERVER_SESSION_MEMORY_H_
