#include "trestle/proxy/connection_limiter.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

absl::Status OverLimit(uint64_t& count, Limit limit, std::string detail) {
  ++count;
  return AtLeg(OverLimitError(limit, Phase::kHandshake, std::move(detail)), Leg::kFront,
               Phase::kHandshake);
}

}  // namespace

absl::StatusOr<std::shared_ptr<ConnectionLimiter>> ConnectionLimiter::Create(
    const ConnectionLimits& limits) {
  for (const double rate :
       {limits.full_handshakes_per_second, limits.full_handshakes_per_second_per_client}) {
    if (absl::Status status = CheckRate(rate, "handshakes"); !status.ok()) return status;
  }
  if (absl::Status status = CheckClientNetwork(limits.client_ipv4_bits, limits.client_ipv6_bits);
      !status.ok()) {
    return status;
  }
  return absl::WrapUnique(new ConnectionLimiter(limits));
}

ConnectionLimiter::ConnectionLimiter(const ConnectionLimits& limits)
    : limits_(limits),
      overall_(limits.full_handshakes_per_second, BurstOf(limits.full_handshakes_per_second)),
      crowd_(limits.full_handshakes_per_second_per_client,
             BurstOf(limits.full_handshakes_per_second_per_client)),
      clients_({limits.full_handshakes_per_second_per_client,
                BurstOf(limits.full_handshakes_per_second_per_client), limits.client_ipv4_bits,
                limits.client_ipv6_bits, kMaxClients}) {}

bool ConnectionLimiter::OpenConnection() {
  absl::MutexLock lock(&mutex_);
  if (limits_.connections > 0 && open_ >= limits_.connections) {
    ++refused_.connections;
    return false;
  }
  ++open_;
  return true;
}

void ConnectionLimiter::CloseConnection() {
  absl::MutexLock lock(&mutex_);
  --open_;
}

void ConnectionLimiter::Finish() {
  absl::MutexLock lock(&mutex_);
  --under_way_;
}

size_t ConnectionLimiter::open_connections() const {
  absl::MutexLock lock(&mutex_);
  return open_;
}

size_t ConnectionLimiter::under_way() const {
  absl::MutexLock lock(&mutex_);
  return under_way_;
}

RefusalCounts ConnectionLimiter::refused() const {
  absl::MutexLock lock(&mutex_);
  return refused_;
}

bool ConnectionLimiter::active() const {
  return limits_.full_handshakes > 0 || limits_.full_handshakes_per_second > 0 ||
         limits_.full_handshakes_per_second_per_client > 0;
}

absl::Status ConnectionLimiter::Begin(const Endpoint& client, MonotonicTime now) {
  absl::MutexLock lock(&mutex_);
  if (limits_.full_handshakes > 0 && under_way_ >= limits_.full_handshakes) {
    return OverLimit(refused_.full_handshakes, Limit::kFullHandshakes,
                     absl::StrCat("more than ", limits_.full_handshakes,
                                  " full handshakes would be under way at a time"));
  }
  // Check the client's own limit first: a client over it must not use up the shared limits.
  TokenBucket* own = nullptr;
  if (limits_.full_handshakes_per_second_per_client > 0) {
    own = clients_.BucketOf(client, now);
    if (own == nullptr) own = &crowd_;
    if (!own->Has(now)) {
      return OverLimit(refused_.full_handshakes_per_second_per_client,
                       Limit::kHandshakesPerSecondPerClient,
                       absl::StrCat("more than ", limits_.full_handshakes_per_second_per_client,
                                    " full handshakes a second from this client's network"));
    }
  }
  if (limits_.full_handshakes_per_second > 0) {
    if (!overall_.Has(now)) {
      return OverLimit(refused_.full_handshakes_per_second, Limit::kHandshakesPerSecond,
                       absl::StrCat("more than ", limits_.full_handshakes_per_second,
                                    " full handshakes a second"));
    }
    overall_.Take();
  }
  if (own != nullptr) own->Take();
  ++under_way_;
  return absl::OkStatus();
}

}  // namespace trestle
