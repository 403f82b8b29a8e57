// ServerSessionMemory implements ServerSessionCache: sessions by ID, least recently used last.
#ifndef TRESTLE_LIB_TLS_SESSIONS_SERVER_SESSION_MEMORY_H_
#define TRESTLE_LIB_TLS_SESSIONS_SERVER_SESSION_MEMORY_H_

#include <openssl/ssl.h>

#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/recent_map.h"

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
  const size_t max_sessions_;
  mutable absl::Mutex mutex_;
  RecentMap<bssl::UniquePtr<SSL_SESSION>> by_id_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_SESSIONS_SERVER_SESSION_MEMORY_H_
