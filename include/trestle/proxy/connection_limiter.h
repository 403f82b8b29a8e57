// ConnectionLimiter: limits the cost of a flood of clients. It bounds open connections, concurrent
// full TLS handshakes, and the rate of full handshakes, in total and for each client network.
// Resumed handshakes are cheap and never rejected.
#ifndef TRESTLE_PROXY_CONNECTION_LIMITER_H_
#define TRESTLE_PROXY_CONNECTION_LIMITER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "trestle/base/client_budget.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"

namespace trestle {

/// Limits of one ConnectionLimiter, shared by all blocks that use it. 0 disables a limit. Each rate
/// allows a burst of one second's worth, and at least 1.
struct ConnectionLimits {
  /// The maximum number of open connections. Further connections are reset at once, unread.
  size_t connections = 0;
  /// The maximum number of concurrent full handshakes, counted from the ClientHello.
  size_t full_handshakes = 0;
  /// The maximum rate of full handshakes per second.
  double full_handshakes_per_second = 0;
  /// The maximum rate of full handshakes per second for each client network.
  double full_handshakes_per_second_per_client = 0;
  /// The prefix lengths, in bits, that define a client network: 1 to 32 and 1 to 128.
  int client_ipv4_bits = 32;
  int client_ipv6_bits = 64;
};

/// The number of rejections by each limit.
struct RefusalCounts {
  uint64_t connections = 0;
  uint64_t full_handshakes = 0;
  uint64_t full_handshakes_per_second = 0;
  uint64_t full_handshakes_per_second_per_client = 0;
};

/// Thread-safe. Usually a process has one: blocks on several loops, or a router and the blocks
/// behind it, then share the limits. Their schedulers must share a monotonic clock.
class ConnectionLimiter {
 public:
  /// The maximum number of tracked client networks. All further networks share one bucket, so
  /// memory stays bounded under a distributed flood.
  static constexpr size_t kMaxClients = 1 << 16;

  /// Creates a limiter. Fails with ErrorCode::kConfiguration if a rate is negative, infinite or
  /// NaN, or if a prefix length is out of range.
  static absl::StatusOr<std::shared_ptr<ConnectionLimiter>> Create(const ConnectionLimits& limits);

  /// Returns whether any limit on handshakes is set.
  bool active() const;

  /// Counts a connection in; returns false at the limit. After true, the caller must call
  /// `CloseConnection` once. `ConnectionSlot` makes both calls.
  bool OpenConnection();
  /// Counts a connection out.
  void CloseConnection();

  /// Starts a full handshake with `client`, or fails with ErrorCode::kOverLimit. After OK, the
  /// caller must call `Finish` once.
  absl::Status Begin(const Endpoint& client, MonotonicTime now);
  /// Ends a full handshake that `Begin` allowed.
  void Finish();

  size_t open_connections() const;
  size_t under_way() const;
  RefusalCounts refused() const;

 private:
  explicit ConnectionLimiter(const ConnectionLimits& limits);

  const ConnectionLimits limits_;
  mutable absl::Mutex mutex_;
  RefusalCounts refused_ ABSL_GUARDED_BY(mutex_);
  size_t open_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  TokenBucket overall_ ABSL_GUARDED_BY(mutex_);
  TokenBucket crowd_ ABSL_GUARDED_BY(mutex_);  // Shared by all untracked networks.
  ClientBudget clients_ ABSL_GUARDED_BY(mutex_);
};

/// A connection's share of the connection limit, released on destruction. Move it along when a
/// connection is handed over.
class ConnectionSlot {
 public:
  /// Creates an empty slot, which counts nowhere.
  ConnectionSlot() = default;
  ConnectionSlot(ConnectionSlot&&) = default;
  ConnectionSlot& operator=(ConnectionSlot&& other) {
    Release();
    limiter_ = std::move(other.limiter_);
    return *this;
  }
  ~ConnectionSlot() { Release(); }

  /// Takes a slot of `limiter`, which must not be null. At the limit, `limiter()` of the result is
  /// null.
  static ConnectionSlot Take(std::shared_ptr<ConnectionLimiter> limiter) {
    ConnectionSlot slot;
    if (limiter->OpenConnection()) slot.limiter_ = std::move(limiter);
    return slot;
  }

  const std::shared_ptr<ConnectionLimiter>& limiter() const { return limiter_; }

  /// Gives the slot back; an empty slot stays empty.
  void Release() {
    if (limiter_ != nullptr) limiter_->CloseConnection();
    limiter_ = nullptr;
  }

 private:
  std::shared_ptr<ConnectionLimiter> limiter_;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_CONNECTION_LIMITER_H_
