// SessionMemory: the implementation of ClientSessionCache: targets by key, least recently used
// last.
#ifndef TRESTLE_LIB_TLS_SESSIONS_SESSION_MEMORY_H_
#define TRESTLE_LIB_TLS_SESSIONS_SESSION_MEMORY_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/base/recent_map.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/io/scheduler.h"
#include "trestle/tls/client_session_cache.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// The result of verifying a server in a full handshake. The handshake's sessions depend on it.
struct VerifiedPeer {
  std::string policy;         ///< `ClientTlsConfig::policy()` of the handshake.
  MonotonicTime verified_at;  ///< When the certificate was presented.
  absl::Time valid_until;     ///< The earliest end of everything verified.
  ChainInfo chain;

  /// Returns why the chain must not be used at `now` under `policy`; empty if it may be.
  absl::string_view Objection(absl::string_view policy, absl::Time now) const;
};

struct ClientSession {
  bssl::UniquePtr<SSL_SESSION> session;
  std::shared_ptr<const VerifiedPeer> peer;
};

class SessionMemory {
 public:
  explicit SessionMemory(const ClientSessionCacheOptions& options) : options_(options) {}

  /// Returns the newest usable session of a target, or nulls. Removes a session for single use.
  ClientSession Take(absl::string_view key, absl::string_view policy, const Scheduler& clock);

  /// Keeps a session if the limits allow it.
  void Put(absl::string_view key, ClientSession session);

  /// Drops the sessions of a target after a failure.
  void Forget(absl::string_view key);

  /// Returns the group that the target chose last, for SSL_set1_client_key_shares; 0 if unknown.
  uint16_t LearnedGroup(absl::string_view key, MonotonicTime now) const;
  void LearnGroup(absl::string_view key, uint16_t group, MonotonicTime now);

  void Clear();
  size_t sessions() const { return sessions_; }
  size_t targets() const { return targets_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Kept {
    ClientSession session;
    size_t bytes = 0;
  };
  struct Target {
    std::deque<Kept> sessions;  // Oldest first.
    uint16_t group = 0;
    MonotonicTime group_learned;
  };
  Target& Touch(absl::string_view key);
  void DropSession(Target& target, size_t index);
  void DropOldestTarget();
  bool OverBounds() const;
  void KeepBounds();

  const ClientSessionCacheOptions options_;
  RecentMap<Target> targets_;
  size_t sessions_ = 0;
  size_t bytes_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_SESSIONS_SESSION_MEMORY_H_
