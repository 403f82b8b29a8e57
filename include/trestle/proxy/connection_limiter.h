// ConnectionLimiter: bounds what a flood of clients may cost: connections at a time, and full TLS
// handshakes, how many a second, overall and for each client network, and how many at a time. What
// resumes is cheap and never refused.
#ifndef TRESTLE_PROXY_CONNECTION_LIMITER_H_
#define TRESTLE_PROXY_CONNECTION_LIMITER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"

namespace trestle {

/// Limits of one ConnectionLimiter, and of all blocks together that share it; 0 is none. Rates
/// allow a burst of one second's worth, or of one.
struct ConnectionLimits {
  /// Connections that are open at a time. More are reset at once, before anything is read.
  size_t connections = 0;
  /// Full handshakes that are under way at a time, counted from the ClientHello on.
  size_t full_handshakes = 0;
  /// Full handshakes a second.
  double full_handshakes_per_second = 0;
  /// The same, for each client network.
  double full_handshakes_per_second_per_client = 0;
  /// What one client network is.
  int client_ipv4_bits = 32;
  int client_ipv6_bits = 64;
};

/// How often each limit refused a client.
struct RefusalCounts {
  uint64_t connections = 0;
  uint64_t full_handshakes = 0;
  uint64_t full_handshakes_per_second = 0;
  uint64_t full_handshakes_per_second_per_client = 0;
};

/// So many tokens a second, at most a second's worth at a time.
class TokenBucket {
 public:
  /// A full bucket.
  explicit TokenBucket(double per_second);

  /// Tells whether there is a token / takes one.
  bool Has(MonotonicTime now);
  void Take() { tokens_ -= 1; }

  bool IsFull(MonotonicTime now);

 private:
  void Refill(MonotonicTime now);

  double per_second_;
  double tokens_;
  MonotonicTime filled_at_;
};

/// Thread-safe. One for a process is the rule: blocks of several loops, and a router with the
/// blocks behind it, then have one limit together. Their schedulers must share a monotonic clock.
class ConnectionLimiter {
 public:
  /// Remembers so many client networks. Those beyond share one bucket, so that a flood from
  /// everywhere costs bounded memory.
  static constexpr size_t kMaxClients = 1 << 16;

  /// Fails with ErrorCode::kConfiguration for a rate that is negative or no number, and for
  /// networks of no or more bits than an address has.
  static absl::StatusOr<std::shared_ptr<ConnectionLimiter>> Create(const ConnectionLimits& limits);

  /// Tells whether any limit on handshakes is set.
  bool active() const;

  /// Takes a place for a connection, which `CloseConnection` gives back; false where there is none
  /// left. `ConnectionSlot` calls both.
  bool OpenConnection();
  void CloseConnection();

  /// Lets a full handshake with `client` begin, which `Finish` ends; else ErrorCode::kOverLimit.
  absl::Status Begin(const Endpoint& client, MonotonicTime now);
  void Finish();

  size_t open_connections() const;
  size_t under_way() const;
  RefusalCounts refused() const;

 private:
  // An address without its last bits; the first byte tells the family.
  explicit ConnectionLimiter(const ConnectionLimits& limits);

  using ClientNetwork = std::array<uint8_t, 17>;

  ClientNetwork NetworkOf(const Endpoint& client) const;
  TokenBucket* BucketOf(const Endpoint& client, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetIdleClients(MonotonicTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ConnectionLimits limits_;
  mutable absl::Mutex mutex_;
  RefusalCounts refused_ ABSL_GUARDED_BY(mutex_);
  size_t open_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  TokenBucket overall_ ABSL_GUARDED_BY(mutex_);
  TokenBucket crowd_ ABSL_GUARDED_BY(mutex_);  // Clients that there is no room to remember.
  absl::flat_hash_map<ClientNetwork, TokenBucket> clients_ ABSL_GUARDED_BY(mutex_);
  MonotonicTime swept_at_ ABSL_GUARDED_BY(mutex_);
};

/// A connection's place among those that may be open at a time, given back when it is destroyed.
/// Moves along where a connection is handed over.
class ConnectionSlot {
 public:
  /// A place in nothing.
  ConnectionSlot() = default;
  ConnectionSlot(ConnectionSlot&&) = default;
  ConnectionSlot& operator=(ConnectionSlot&& other) {
    Release();
    limiter_ = std::move(other.limiter_);
    return *this;
  }
  ~ConnectionSlot() { Release(); }

  /// Takes a place; `limiter()` is null afterwards where none is left.
  static ConnectionSlot Take(std::shared_ptr<ConnectionLimiter> limiter) {
    ConnectionSlot slot;
    if (limiter->OpenConnection()) slot.limiter_ = std::move(limiter);
    return slot;
  }

  const std::shared_ptr<ConnectionLimiter>& limiter() const { return limiter_; }

  void Release() {
    if (limiter_ != nullptr) limiter_->CloseConnection();
    limiter_ = nullptr;
  }

 private:
  std::shared_ptr<ConnectionLimiter> limiter_;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_CONNECTION_LIMITER_H_
