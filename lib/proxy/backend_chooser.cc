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

BackendChooser::Candidates BackendChooser::Order(const Backends& backends, const Endpoint& client) {
  if (backends.endpoints.size() == 1) return {backends.endpoints.front()};
  using Ranked = std::tuple<uint64_t, uint64_t, size_t>;  // Rank, last use, place in the list.
  absl::InlinedVector<Ranked, 8> ranked;
  for (size_t i = 0; i < backends.endpoints.size(); ++i) {
    const Endpoint& backend = backends.endpoints[i];
    const auto use = uses_.find(backend);
    ranked.emplace_back(Rank(backends.balance, backend, client),
                        use == uses_.end() ? 0 : use->second.last, i);
  }
  const size_t tries = std::min<size_t>(backends.max_tries, ranked.size());
  std::partial_sort(ranked.begin(), ranked.begin() + tries, ranked.end());
  Candidates candidates;
  for (size_t i = 0; i < tries; ++i) {
    candidates.push_back(backends.endpoints[std::get<2>(ranked[i])]);
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

void BackendChooser::Opened(const Endpoint& backend) {
  if (uses_.size() >= kMostRemembered) {
    absl::erase_if(uses_, [](const auto& use) { return use.second.open == 0; });
  }
  Use& use = uses_[backend];
  ++use.open;
  use.last = ++choices_;
}

void BackendChooser::Closed(const Endpoint& backend) {
  const auto use = uses_.find(backend);
  if (use != uses_.end() && use->second.open > 0) --use->second.open;
}

}  // namespace trestle
