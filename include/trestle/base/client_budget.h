// ClientBudget: a token bucket for each client network, in bounded memory. Limits of what one
// client may cost use it: full handshakes, early dials, opened hellos.
#ifndef TRESTLE_BASE_CLIENT_BUDGET_H_
#define TRESTLE_BASE_CLIENT_BUDGET_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"

namespace trestle {

/// Fails with ErrorCode::kConfiguration for a rate that is negative, infinite or NaN; `of` names
/// it: "handshakes". 0 stands for no limit.
absl::Status CheckRate(double per_second, absl::string_view of);

/// Fails with ErrorCode::kConfiguration for prefix lengths out of range; see ClientBudget::Options.
absl::Status CheckClientNetwork(int ipv4_bits, int ipv6_bits);

/// Returns the burst of limits that have none of their own: one second's worth, at least 1.
double BurstOf(double per_second);

/// `per_second` tokens are added each second, up to `burst`. Not thread-safe.
class TokenBucket {
 public:
  /// Creates a full bucket.
  TokenBucket(double per_second, double burst);

  /// Returns whether a token is available.
  bool Has(MonotonicTime now);
  /// Takes a token, after `Has` returned true.
  void Take() { tokens_ -= 1; }

  /// Returns whether no token is missing at `now`.
  bool IsFull(MonotonicTime now);

 private:
  void Refill(MonotonicTime now);

  double per_second_;
  double burst_;
  double tokens_;
  MonotonicTime filled_at_;
};

/// Not thread-safe.
class ClientBudget {
 public:
  /// The rates of the budget, and what a network is.
  struct Options {
    double per_second = 0;
    double burst = 1;
    /// The prefix lengths, in bits, that define a client network: 1 to 32 and 1 to 128. An
    /// IPv4-mapped IPv6 address counts as IPv4 (see Endpoint).
    int ipv4_bits = 32;
    int ipv6_bits = 64;
    /// Maximum number of tracked networks.
    size_t max_networks = 1 << 16;
  };

  /// Makes a budget that is full for every network.
  explicit ClientBudget(const Options& options) : options_(options) {}

  /// Returns the bucket of the network of `client`, valid until the next call. Returns null if
  /// `max_networks` others have used tokens recently. Looks for idle ones at most once a second.
  TokenBucket* BucketOf(const Endpoint& client, MonotonicTime now);

  /// Takes a token; returns false if there is none, or no bucket.
  bool Take(const Endpoint& client, MonotonicTime now);

 private:
  // An address without its last bits; the first byte tells the family.
  using Network = std::array<uint8_t, 17>;

  Network NetworkOf(const Endpoint& client) const;
  void ForgetIdle(MonotonicTime now);

  const Options options_;
  absl::flat_hash_map<Network, TokenBucket> buckets_;
  MonotonicTime swept_at_;
};

}  // namespace trestle

#endif  // TRESTLE_BASE_CLIENT_BUDGET_H_
