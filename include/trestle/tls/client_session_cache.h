// ClientSessionCache: what a client remembers of servers from one connection to the next: sessions
// to resume, and the key exchange group that each one chose. Bounded; one loop's, without locks.
#ifndef TRESTLE_TLS_CLIENT_SESSION_CACHE_H_
#define TRESTLE_TLS_CLIENT_SESSION_CACHE_H_

#include <cstddef>
#include <memory>

#include "absl/time/time.h"

namespace trestle {

class SessionMemory;

/// Bounds of a cache. Where one is reached, what was used least recently goes.
struct ClientSessionCacheOptions {
  /// Sessions in all. 0: none are kept, and every handshake is a full one.
  size_t max_sessions = 4096;
  /// Sessions of one target (see `ClientTlsTarget`): as many as it gets connections at a time.
  size_t max_sessions_per_target = 1024;
  /// Targets of which anything is remembered.
  size_t max_targets = 1024;
  /// Memory of it all, as far as can be told: tickets, certificates, descriptions, bookkeeping.
  size_t max_bytes = 8 * 1024 * 1024;
  /// A session is resumed for so long after the full handshake that its certificate was shown in,
  /// also where the server renewed it in between. What RFC 8446 4.6.1 allows is seven days.
  absl::Duration max_age = absl::Hours(1);
  /// For so long only the group that the server chose last is offered a key share, which saves the
  /// others' key generation and, where the server knows only a later one, a HelloRetryRequest. All
  /// groups are still named as supported; afterwards the first ones get their shares again, so that
  /// a server that has learned a better group gets to choose it.
  absl::Duration trust_group_for = absl::Minutes(10);
};

/// A session is offered only to the target that it came from: same endpoint, server name,
/// application protocols, and policy (`ClientTlsConfig::policy()`: all that verification, the
/// client's own credential and the negotiation depend on). It is never offered beyond the dates of
/// the certificates that were verified. TLS 1.3 sessions are offered once (RFC 8446 C.4).
class ClientSessionCache {
 public:
  explicit ClientSessionCache(const ClientSessionCacheOptions& options = {});
  ~ClientSessionCache();
  ClientSessionCache(const ClientSessionCache&) = delete;
  ClientSessionCache& operator=(const ClientSessionCache&) = delete;

  /// Forgets everything.
  void Clear();

  /// Counts the sessions that are kept now, expired ones included until they are met.
  size_t sessions() const;

  /// Counts the targets of which something is remembered.
  size_t targets() const;

  /// Estimates the memory in use; at most `max_bytes`.
  size_t bytes() const;

  /// For the tls floor.
  SessionMemory& memory() { return *memory_; }

 private:
  const std::unique_ptr<SessionMemory> memory_;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CLIENT_SESSION_CACHE_H_
