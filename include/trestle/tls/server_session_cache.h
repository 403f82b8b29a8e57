// ServerSessionCache: what a server remembers of TLS 1.2 clients that know no tickets, and name
// their session by its ID instead (RFC 5246 7.4.1.2). All others bring theirs along in a ticket.
#ifndef TRESTLE_TLS_SERVER_SESSION_CACHE_H_
#define TRESTLE_TLS_SERVER_SESSION_CACHE_H_

#include <cstddef>
#include <memory>

namespace trestle {

/// Thread-safe. Sessions last two hours, or until there are `max_sessions`, when those go that
/// weren't used for the longest time; each takes about 1 KiB, and its client's certificates. None
/// survives the process or is known to another machine.
class ServerSessionCache {
 public:
  /// 20,000 take about 20 MiB.
  static constexpr size_t kDefaultMaxSessions = 20'000;

  explicit ServerSessionCache(size_t max_sessions = kDefaultMaxSessions);
  ~ServerSessionCache();
  ServerSessionCache(const ServerSessionCache&) = delete;
  ServerSessionCache& operator=(const ServerSessionCache&) = delete;

  /// Counts the sessions that are kept now, expired ones included.
  size_t sessions() const;

  /// Forgets all sessions: their clients make full handshakes next.
  void Clear();

  class Memory;
  /// For the tls floor.
  Memory& memory() const { return *memory_; }

 private:
  const std::unique_ptr<Memory> memory_;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_SERVER_SESSION_CACHE_H_
