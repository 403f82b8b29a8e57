#include "trestle/proxy/backend_chooser.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>
#include <utility>

namespace trestle {
namespace {

// The number of remembered backends at which those without open connections are forgotten.
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

// Returns by how much a choice of a backend moves its turn: 2^36 choices of the lowest weight fit.
uint64_t Stride(uint32_t weight) { return (uint64_t{1} << 28) / std::max<uint32_t>(weight, 1); }

// Returns a rank that is the lowest in proportion to `weight`, for a random `hash`: the time of the
// first event of a Poisson process with that rate. The bits of positive numbers are in their order.
uint64_t Weighted(uint64_t hash, uint32_t weight) {
  const double uniform = (static_cast<double>(hash >> 12) + 0.5) / (uint64_t{1} << 52);
  const double time = -std::log1p(-uniform) / std::max<uint32_t>(weight, 1);
  uint64_t rank = 0;
  std::memcpy(&rank, &time, sizeof(rank));
  return rank;
}

BackendChooser::Candidate CandidateOf(const Endpoint& endpoint) { return {endpoint}; }
BackendChooser::Candidate CandidateOf(const GroupedBackend& backend) {
  return {backend.endpoint, backend.name, backend.weight, backend.state};
}

uint16_t PriorityOf(const Endpoint&) { return 0; }
uint16_t PriorityOf(const GroupedBackend& backend) { return backend.priority; }

}  // namespace

struct BackendChooser::Ranked {
  Candidate backend;
  BackendState::Fitness fitness;
  bool other;  // Than the preferred one.
  bool is_new;
  uint16_t priority;
  uint64_t rank;
  uint64_t last;
  size_t position;

  friend bool operator<(const Ranked& a, const Ranked& b) {
    return std::tie(a.fitness, a.other, a.priority, a.rank, a.backend.turn, a.last, a.position) <
           std::tie(b.fitness, b.other, b.priority, b.rank, b.backend.turn, b.last, b.position);
  }

  bool fit() const { return fitness == BackendState::Fitness::kFit; }
};

BackendChooser::Candidates BackendChooser::Order(const Backends& backends, const Endpoint& client,
                                                 const Shown& shown, MonotonicTime now,
                                                 const Endpoint* preferred) {
  if (backends.group == nullptr) {
    return OrderList(backends.endpoints, backends, client, shown, now, preferred);
  }
  return OrderList(*backends.group->current(), backends, client, shown, now, preferred);
}

template <typename List>
BackendChooser::Candidates BackendChooser::OrderList(const List& list, const Backends& backends,
                                                     const Endpoint& client, const Shown& shown,
                                                     MonotonicTime now, const Endpoint* preferred) {
  absl::InlinedVector<Ranked, 8> ranked;
  for (const auto& item : list) {
    Candidate backend = CandidateOf(item);
    const BackendState::Fitness fitness = FitnessOf(backend, shown, now);
    if (fitness == BackendState::Fitness::kDraining) continue;
    if (backend.state != nullptr) backend.weight = backend.state->ShareOf(backend.weight, now);
    const auto use = uses_.find(backend.endpoint);
    const bool is_new = use == uses_.end();
    if (!is_new) backend.turn = use->second.turn;
    const bool other = preferred == nullptr || backend.endpoint != *preferred;
    const uint64_t rank = Rank(backends.balance, backend, client);
    ranked.push_back({std::move(backend), fitness, other, is_new, PriorityOf(item), rank,
                      is_new ? 0 : use->second.last, ranked.size()});
  }
  const auto is_fit = [](const Ranked& item) { return item.fit(); };
  if (std::any_of(ranked.begin(), ranked.end(), is_fit)) {
    const auto is_down = [](const Ranked& item) {
      return item.fitness == BackendState::Fitness::kDown;
    };
    ranked.erase(std::remove_if(ranked.begin(), ranked.end(), is_down), ranked.end());
  } else if (backends.all_down == AllDown::kFail) {
    return {};
  }
  AlignTurns(absl::MakeSpan(ranked));
  const size_t tries = std::min<size_t>(backends.max_tries, ranked.size());
  std::partial_sort(ranked.begin(), ranked.begin() + tries, ranked.end());
  Candidates candidates;
  const uint16_t priority = ranked.empty() ? 0 : ranked.front().priority;
  for (size_t i = 0; i < tries; ++i) {
    candidates.push_back(std::move(ranked[i].backend));
    candidates.back().may_race = ranked[i].fit() && ranked[i].priority == priority &&
                                 backends.balance != Balance::kClientAddress;
  }
  return candidates;
}

// A backend that is new, was ejected, or was away from the list, begins where the others are: it
// has nothing to catch up.
void BackendChooser::AlignTurns(absl::Span<Ranked> ranked) {
  uint16_t priority = UINT16_MAX;
  for (const Ranked& item : ranked) {
    if (item.fit()) priority = std::min(priority, item.priority);
  }
  const auto counts = [priority](const Ranked& item) {
    return item.fit() && !item.is_new && item.priority == priority;
  };
  uint64_t highest = 0;
  uint64_t step = 0;
  bool in_turn = true;  // The turns alone decide.
  for (const Ranked& item : ranked) {
    if (!counts(item)) continue;
    highest = std::max(highest, item.backend.turn);
    step = std::max(step, Stride(item.backend.weight));
    in_turn = in_turn && item.rank == 0;
  }
  uint64_t lowest = UINT64_MAX;
  for (Ranked& item : ranked) {
    if (!counts(item)) continue;
    // Of those that were there all the time, none is behind another by more than one step.
    if (in_turn && item.backend.turn + step < highest) {
      item.backend.turn = uses_[item.backend.endpoint].turn = highest - step;
    }
    lowest = std::min(lowest, item.backend.turn);
  }
  if (lowest == UINT64_MAX || lowest == 0) return;
  for (Ranked& item : ranked) {
    if (item.priority != priority) continue;
    if (item.is_new) item.backend.turn = lowest - 1;
    if (item.fit() || item.is_new || item.backend.turn >= lowest) continue;
    item.backend.turn = uses_[item.backend.endpoint].turn = lowest;
  }
}

uint64_t BackendChooser::Rank(Balance balance, const Candidate& backend,
                              const Endpoint& client) const {
  switch (balance) {
    case Balance::kRoundRobin:
      return 0;
    case Balance::kLeastConnections: {
      const auto use = uses_.find(backend.endpoint);
      return use == uses_.end() ? 0 : use->second.open * Stride(backend.weight);
    }
    case Balance::kClientAddress: {
      // Rendezvous hashing: adding or removing a backend moves only its own clients.
      const Endpoint& endpoint = backend.endpoint;
      const uint8_t port[] = {static_cast<uint8_t>(endpoint.port() >> 8),
                              static_cast<uint8_t>(endpoint.port())};
      uint64_t hash = StableHash(0xcbf29ce484222325, client.address());
      hash = StableHash(StableHash(hash, endpoint.address()), port);
      hash = StableHash(hash, AsBytes(endpoint.path()));
      return Weighted(Mixed(hash), backend.weight);
    }
  }
  return 0;
}

void BackendChooser::Opened(const Candidate& backend) {
  ForgetSome();
  Use& use = uses_.try_emplace(backend.endpoint, Use{0, backend.turn, 0}).first->second;
  ++use.open;
  use.last = ++choices_;
  use.turn += Stride(backend.weight);
}

void BackendChooser::Closed(const Endpoint& backend) {
  const auto use = uses_.find(backend);
  if (use != uses_.end() && use->second.open > 0) --use->second.open;
}

// Returns null for a candidate without a state and without failures.
BackendState* BackendChooser::StateOf(const Candidate& backend) const {
  if (backend.state != nullptr) return backend.state.get();
  const auto own = own_states_.find(backend.endpoint);
  return own == own_states_.end() ? nullptr : own->second.get();
}

BackendState::Fitness BackendChooser::FitnessOf(const Candidate& backend, const Shown& shown,
                                                MonotonicTime now) const {
  const BackendState* const shared = backend.state.get();
  auto fitness = shared == nullptr ? BackendState::Fitness::kFit : shared->FitnessFor(shown, now);
  if (own_states_.empty()) return fitness;
  const auto own = own_states_.find(backend.endpoint);
  return own == own_states_.end() ? fitness
                                  : std::max(fitness, own->second->FitnessFor(shown, now));
}

void BackendChooser::Try(const Candidate& backend, const Shown& shown, MonotonicTime now) {
  if (BackendState* const state = StateOf(backend)) state->Try(shown, now);
}

void BackendChooser::Failed(const Candidate& backend, const Shown& shown, const absl::Status& why,
                            const EjectionOptions& options, MonotonicTime now) {
  if (backend.state != nullptr) return backend.state->Failed(shown, why, options, now);
  if (own_states_.size() >= kMostRemembered) {
    absl::erase_if(own_states_, [now](const auto& own) {
      return own.second->FitnessFor({}, now) == BackendState::Fitness::kFit;
    });
  }
  std::unique_ptr<BackendState>& own = own_states_[backend.endpoint];
  if (own == nullptr) own = std::make_unique<BackendState>();
  own->Failed(shown, why, options, now);
}

void BackendChooser::Succeeded(const Candidate& backend, const Shown& shown, MonotonicTime now) {
  BackendState* const state = StateOf(backend);
  if (state == nullptr) return;
  state->Succeeded(shown, now);
  if (backend.state == nullptr && !state->failing()) own_states_.erase(backend.endpoint);
}

void BackendChooser::Abandoned(const Candidate& backend, const Shown& shown) {
  if (BackendState* const state = StateOf(backend)) state->Abandoned(shown);
}

void BackendChooser::ForgetSome() {
  if (uses_.size() < kMostRemembered) return;
  absl::erase_if(uses_, [](const auto& use) { return use.second.open == 0; });
}

}  // namespace trestle
