// ServerSessionCache: keeps sessions of TLS 1.2 clients that don't support tickets and resume by
// session ID (RFC 5246 7.4.1.2). Other clients keep their session in a ticket.
#ifndef TRESTLE_TLS_SERVER_SESSION_CACHE_H_
#define TRESTLE_TLS_SERVER_SESSION_CACHE_H_

#include <cstddef>
#include <memory>

namespace trestle {

class ServerSessionMemory;

/// Thread-safe. Sessions last two hours. Above `max_sessions`, the least recently used go. Each
/// takes about 1 KiB plus its client's certificates. Sessions live in this process's memory only.
class ServerSessionCache {
 public:
  /// 20,000 take about 20 MiB.
  static constexpr size_t kDefaultMaxSessions = 20'000;

  /// Makes an empty cache for at most `max_sessions`.
  explicit ServerSessionCache(size_t max_sessions = kDefaultMaxSessions);
  ~ServerSessionCache();
  ServerSessionCache(const ServerSessionCache&) = delete;
  ServerSessionCache& operator=(const ServerSessionCache&) = delete;

  /// Counts the sessions now, including expired ones.
  size_t sessions() const;

  /// Removes all sessions: their clients make full handshakes next.
  void Clear();

 private:
  friend class TlsInternals;

  ServerSessionMemory& memory() const { return *memory_; }

  const std::unique_ptr<ServerSessionMemory> memory_;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_SERVER_SESSION_CACHE_H_
