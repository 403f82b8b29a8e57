// ClientSessionCache: keeps sessions for resumption, and the key exchange group that each server
// chose. Bounded. Not thread-safe: one per loop.
#ifndef TRESTLE_TLS_CLIENT_SESSION_CACHE_H_
#define TRESTLE_TLS_CLIENT_SESSION_CACHE_H_

#include <cstddef>
#include <memory>

#include "absl/time/time.h"

namespace trestle {

class SessionMemory;

/// Limits of a cache. At a limit, the least recently used entries go.
struct ClientSessionCacheOptions {
  /// Sessions in total. 0: keeps none, and every handshake is a full one.
  size_t max_sessions = 4096;
  /// Sessions of one target (see `ClientTlsTarget`). Set it to the number of its simultaneous
  /// connections.
  size_t max_sessions_per_target = 1024;
  /// Targets with any entry.
  size_t max_targets = 1024;
  /// Estimated memory in bytes: tickets, certificates, descriptions, bookkeeping.
  size_t max_bytes = 8 * 1024 * 1024;
  /// The time after the full handshake in which its sessions are resumed, including those that the
  /// server renewed since. RFC 8446 4.6.1 allows seven days.
  absl::Duration max_age = absl::Hours(1);
  /// The time for which the client sends a key share only for the group that the server chose last.
  /// That saves key generation, and a HelloRetryRequest if the server supports only a later group.
  /// The hello still lists all groups. Afterwards the first groups get their shares again, so that
  /// the server can choose a better one.
  absl::Duration trust_group_for = absl::Minutes(10);
};

/// Offers a session only to its own target: same endpoint, server name, application protocols and
/// policy. `ClientTlsConfig::policy()` covers all that verification, the client's credential and
/// negotiation depend on. No session is offered after the verified certificates expire. TLS 1.3
/// sessions are offered once (RFC 8446 C.4).
class ClientSessionCache {
 public:
  /// Makes an empty cache.
  explicit ClientSessionCache(const ClientSessionCacheOptions& options = {});
  ~ClientSessionCache();
  ClientSessionCache(const ClientSessionCache&) = delete;
  ClientSessionCache& operator=(const ClientSessionCache&) = delete;

  /// Removes all entries.
  void Clear();

  /// Counts the sessions now, including expired ones not yet removed.
  size_t sessions() const;

  /// Counts the targets with any entry.
  size_t targets() const;

  /// Estimates the memory in use, in bytes; at most `max_bytes`.
  size_t bytes() const;

 private:
  friend class TlsInternals;

  SessionMemory& memory() { return *memory_; }

  const std::unique_ptr<SessionMemory> memory_;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CLIENT_SESSION_CACHE_H_
