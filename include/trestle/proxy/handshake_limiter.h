// HandshakeLimiter: bounds what full TLS handshakes may cost a loop: how many a second, overall and
// for each client network, and how many at a time. What resumes is cheap and never refused.
#ifndef TRESTLE_PROXY_HANDSHAKE_LIMITER_H_
#define TRESTLE_PROXY_HANDSHAKE_LIMITER_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"

namespace trestle {

/// Limits of one block, which means of one loop; 0 is none. Rates allow a burst of one second's
/// worth, or of one.
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

/// How often each limit refused somebody.
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
  TokenBucket(double per_second, MonotonicTime now);

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

class HandshakeLimiter {
 public:
  /// Remembers so many client networks. Those beyond share one bucket, so that a flood from
  /// everywhere costs bounded memory.
  static constexpr size_t kMaxClients = 1 << 16;

  HandshakeLimiter(const ConnectionLimits& limits, MonotonicTime now);

  /// Tells whether another connection may be opened beside `open` others; counts those that may
  /// not.
  bool AllowsConnection(size_t open);

  /// Tells whether any limit on handshakes is set.
  bool active() const;

  /// Lets a full handshake with `client` begin, which `Finish` ends; else ErrorCode::kOverLimit.
  absl::Status Begin(const Endpoint& client, MonotonicTime now);
  void Finish() { --under_way_; }

  size_t under_way() const { return under_way_; }
  const RefusalCounts& refused() const { return refused_; }

 private:
  // An address without its last bits; the first byte tells the family.
  using ClientNetwork = std::array<uint8_t, 17>;

  ClientNetwork NetworkOf(const Endpoint& client) const;
  TokenBucket* BucketOf(const Endpoint& client, MonotonicTime now);
  void ForgetIdleClients(MonotonicTime now);

  const ConnectionLimits limits_;
  RefusalCounts refused_;
  size_t under_way_ = 0;
  TokenBucket overall_;
  TokenBucket crowd_;  // Clients that there is no room to remember.
  absl::flat_hash_map<ClientNetwork, TokenBucket> clients_;
  MonotonicTime swept_at_;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_HANDSHAKE_LIMITER_H_
