#include "trestle/base/client_budget.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

// The minimum time between sweeps, which visit every network.
constexpr absl::Duration kBetweenSweeps = absl::Seconds(1);

}  // namespace

absl::Status CheckRate(double per_second, absl::string_view of) {
  if (per_second >= 0 && !std::isinf(per_second)) return absl::OkStatus();
  return ConfigurationError(
      absl::StrCat("a rate of ", of, " must be a number from 0 (no limit) up"));
}

absl::Status CheckClientNetwork(int ipv4_bits, int ipv6_bits) {
  if (ipv4_bits >= 1 && ipv4_bits <= 32 && ipv6_bits >= 1 && ipv6_bits <= 128) {
    return absl::OkStatus();
  }
  return ConfigurationError(
      "a client network has 1 to 32 bits of an IPv4 address, 1 to 128 of IPv6");
}

double BurstOf(double per_second) { return std::max(per_second, 1.0); }

TokenBucket::TokenBucket(double per_second, double burst)
    : per_second_(per_second), burst_(burst), tokens_(burst) {}

void TokenBucket::Refill(MonotonicTime now) {
  if (now <= filled_at_) return;
  const double gained = absl::ToDoubleSeconds(now - filled_at_) * per_second_;
  tokens_ = std::min(tokens_ + gained, burst_);
  filled_at_ = now;
}

bool TokenBucket::Has(MonotonicTime now) {
  Refill(now);
  return tokens_ >= 1;
}

bool TokenBucket::IsFull(MonotonicTime now) {
  Refill(now);
  return tokens_ >= burst_;
}

ClientBudget::Network ClientBudget::NetworkOf(const Endpoint& client) const {
  Network network = {};
  network[0] = static_cast<uint8_t>(client.family());
  const bool ipv4 = client.family() == Endpoint::Family::kIpv4;
  int bits = ipv4 ? options_.ipv4_bits : options_.ipv6_bits;
  size_t at = 1;
  for (const uint8_t byte : client.address()) {
    const int kept = std::clamp(bits, 0, 8);
    network[at++] = static_cast<uint8_t>(byte & (0xff00 >> kept));
    bits -= kept;
  }
  return network;
}

TokenBucket* ClientBudget::BucketOf(const Endpoint& client, MonotonicTime now) {
  const Network network = NetworkOf(client);
  const auto found = buckets_.find(network);
  if (found != buckets_.end()) return &found->second;
  if (buckets_.size() >= options_.max_networks) ForgetIdle(now);
  if (buckets_.size() >= options_.max_networks) return nullptr;
  const TokenBucket fresh(options_.per_second, options_.burst);
  return &buckets_.emplace(network, fresh).first->second;
}

bool ClientBudget::Take(const Endpoint& client, MonotonicTime now) {
  TokenBucket* const bucket = BucketOf(client, now);
  if (bucket == nullptr || !bucket->Has(now)) return false;
  bucket->Take();
  return true;
}

// A full bucket equals a new one, so it can be removed.
void ClientBudget::ForgetIdle(MonotonicTime now) {
  if (now - swept_at_ < kBetweenSweeps) return;
  swept_at_ = now;
  absl::erase_if(buckets_, [now](auto& bucket) { return bucket.second.IsFull(now); });
}

}  // namespace trestle
