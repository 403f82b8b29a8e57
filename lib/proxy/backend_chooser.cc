#include "lib/proxy/backend_chooser.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace trestle {
namespace {

// The number of remembered backends at which those without open connections are forgotten.
constexpr size_t kMostRemembered = 16 * 1024;

// The maximum number of failure records, one for each backend and client data.
constexpr size_t kMostFailing = 4096;

// The minimum time between sweeps, which visit all records.
constexpr absl::Duration kBetweenSweeps = absl::Seconds(1);

// FNV-1a with a final mix. Not absl::Hash: every node of a fleet must choose alike.
uint64_t StableHash(uint64_t hash, ByteView bytes) {
  for (const uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

uint64_t Mixed(uint64_t hash) {
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
  return hash ^ (hash >> 33);
}

}  // namespace

BackendChooser::Candidates BackendChooser::Order(const Backends& backends, const Endpoint& client,
                                                 const Shown& shown, MonotonicTime now) {
  if (backends.endpoints.size() == 1) return {backends.endpoints.front()};
  // Sort key: ejected, rank, last use, position in the list.
  using Ranked = std::tuple<bool, uint64_t, uint64_t, size_t>;
  absl::InlinedVector<Ranked, 8> ranked;
  for (size_t i = 0; i < backends.endpoints.size(); ++i) {
    const Endpoint& backend = backends.endpoints[i];
    const auto use = uses_.find(backend);
    ranked.emplace_back(IsEjected(backend, shown, now), Rank(backends.balance, backend, client),
                        use == uses_.end() ? 0 : use->second.last, i);
  }
  const size_t tries = std::min<size_t>(backends.max_tries, ranked.size());
  std::partial_sort(ranked.begin(), ranked.begin() + tries, ranked.end());
  Candidates candidates;
  for (size_t i = 0; i < tries; ++i) {
    candidates.push_back(backends.endpoints[std::get<3>(ranked[i])]);
  }
  return candidates;
}

uint64_t BackendChooser::Rank(Balance balance, const Endpoint& backend,
                              const Endpoint& client) const {
  switch (balance) {
    case Balance::kRoundRobin:
      return 0;
    case Balance::kLeastConnections: {
      const auto use = uses_.find(backend);
      return use == uses_.end() ? 0 : use->second.open;
    }
    case Balance::kClientAddress: {
      // Rendezvous hashing: adding or removing a backend moves only its own clients.
      const uint8_t port[] = {static_cast<uint8_t>(backend.port() >> 8),
                              static_cast<uint8_t>(backend.port())};
      uint64_t hash = StableHash(0xcbf29ce484222325, client.address());
      hash = StableHash(StableHash(hash, backend.address()), port);
      hash = StableHash(hash, AsBytes(backend.path()));
      return Mixed(hash);
    }
  }
  return 0;
}

void BackendChooser::Opened(const Endpoint& backend) {
  ForgetSome();
  Use& use = uses_[backend];
  ++use.open;
  use.last = ++choices_;
}

void BackendChooser::Closed(const Endpoint& backend) {
  const auto use = uses_.find(backend);
  if (use != uses_.end() && use->second.open > 0) --use->second.open;
}

BackendChooser::Health* BackendChooser::Find(const Endpoint& backend, const Shown& shown) {
  const auto found = health_.find(Key(backend, shown));
  return found == health_.end() ? nullptr : &found->second;
}

void BackendChooser::Try(const Endpoint& backend, const Shown& shown, MonotonicTime now) {
  Health* const health = Find(backend, shown);
  if (health == nullptr || health->ejection == absl::ZeroDuration() ||
      now < health->ejected_until) {
    return;
  }
  health->ejected_until = now + health->ejection;
  health->is_tried = true;
}

void BackendChooser::Failed(const Endpoint& backend, const Shown& shown,
                            const EjectionOptions& options, MonotonicTime now) {
  Key key(backend, shown);
  if (options.after_failures == 0 || !HasRoomFor(key, now)) return;
  Health& health = health_[std::move(key)];
  health.is_tried = false;
  if (++health.failures < options.after_failures) return;
  health.ejection = health.ejection == absl::ZeroDuration()
                        ? options.first
                        : std::min(2 * health.ejection, options.longest);
  health.ejected_until = now + health.ejection;
}

void BackendChooser::Succeeded(const Endpoint& backend, const Shown& shown) {
  health_.erase(Key(backend, shown));
}

void BackendChooser::Abandoned(const Endpoint& backend, const Shown& shown) {
  Health* const health = Find(backend, shown);
  if (health == nullptr || !std::exchange(health->is_tried, false)) return;
  health->ejected_until = MonotonicTime();
}

bool BackendChooser::IsEjected(const Endpoint& backend, const Shown& shown,
                               MonotonicTime now) const {
  const auto is_out = [&](const Shown& what) {
    const auto found = health_.find(Key(backend, what));
    return found != health_.end() && now < found->second.ejected_until;
  };
  return is_out(Shown()) || (!shown.empty() && is_out(shown));
}

// Clients control the shown data. They can neither exceed this memory nor evict records that are
// still in effect.
bool BackendChooser::HasRoomFor(const Key& key, MonotonicTime now) {
  if (health_.size() < kMostFailing || health_.contains(key)) return true;
  const bool for_all = key.second.empty();
  if (now - swept_at_ >= kBetweenSweeps) {
    swept_at_ = now;
    absl::erase_if(health_, [&](const auto& entry) {
      return now >= entry.second.ejected_until && !entry.first.second.empty();
    });
  }
  return for_all || health_.size() < kMostFailing;
}

void BackendChooser::ForgetSome() {
  if (uses_.size() < kMostRemembered) return;
  absl::erase_if(uses_, [](const auto& use) { return use.second.open == 0; });
}

}  // namespace trestle
