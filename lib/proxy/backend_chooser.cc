#include "lib/proxy/backend_chooser.h"

#include <algorithm>
#include <tuple>

namespace trestle {
namespace {

// Backends that routes no longer name are forgotten once so many are remembered.
constexpr size_t kMostRemembered = 16 * 1024;

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
                                                 MonotonicTime now) {
  if (backends.endpoints.size() == 1) return {backends.endpoints.front()};
  // Ejected, rank, last use, place in the list.
  using Ranked = std::tuple<bool, uint64_t, uint64_t, size_t>;
  absl::InlinedVector<Ranked, 8> ranked;
  for (size_t i = 0; i < backends.endpoints.size(); ++i) {
    const Endpoint& backend = backends.endpoints[i];
    const auto use = uses_.find(backend);
    ranked.emplace_back(IsEjected(backend, now), Rank(backends.balance, backend, client),
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
      // Rendezvous hashing: a backend that comes or goes moves only its own clients.
      const uint8_t port[] = {static_cast<uint8_t>(backend.port() >> 8),
                              static_cast<uint8_t>(backend.port())};
      uint64_t hash = StableHash(0xcbf29ce484222325, client.address());
      hash = StableHash(StableHash(hash, backend.address()), port);
      return Mixed(hash);
    }
  }
  return 0;
}

void BackendChooser::Opened(const Endpoint& backend, MonotonicTime now) {
  ForgetSome();
  Use& use = uses_[backend];
  ++use.open;
  use.last = ++choices_;
  if (use.ejection > absl::ZeroDuration() && now >= use.ejected_until) {
    use.ejected_until = now + use.ejection;
  }
}

void BackendChooser::Closed(const Endpoint& backend) {
  const auto use = uses_.find(backend);
  if (use != uses_.end() && use->second.open > 0) --use->second.open;
}

void BackendChooser::Failed(const Endpoint& backend, const EjectionOptions& options,
                            MonotonicTime now) {
  if (options.after_failures == 0) return;
  Use& use = uses_[backend];
  if (++use.failures < options.after_failures) return;
  use.ejection = use.ejection == absl::ZeroDuration() ? options.first
                                                      : std::min(2 * use.ejection, options.longest);
  use.ejected_until = now + use.ejection;
}

void BackendChooser::Succeeded(const Endpoint& backend) {
  const auto use = uses_.find(backend);
  if (use == uses_.end()) return;
  use->second.failures = 0;
  use->second.ejection = absl::ZeroDuration();
  use->second.ejected_until = MonotonicTime();
}

bool BackendChooser::IsEjected(const Endpoint& backend, MonotonicTime now) const {
  const auto use = uses_.find(backend);
  return use != uses_.end() && now < use->second.ejected_until;
}

void BackendChooser::ForgetSome() {
  if (uses_.size() < kMostRemembered) return;
  absl::erase_if(uses_, [](const auto& use) { return use.second.open == 0; });
}

}  // namespace trestle
