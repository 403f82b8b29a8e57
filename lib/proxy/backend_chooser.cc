#include "trestle/proxy/backend_chooser.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <tuple>
#include <utility>

#include "trestle/base/error.h"

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
  return {backend.endpoint, backend.name, backend.weight};
}

uint16_t PriorityOf(const Endpoint&) { return 0; }
uint16_t PriorityOf(const GroupedBackend& backend) { return backend.priority; }

}  // namespace

struct BackendChooser::Ranked {
  Candidate backend;
  bool ejected;
  bool other;  // Than the preferred one.
  bool is_new;
  uint16_t priority;
  uint64_t rank;
  uint64_t last;
  size_t position;

  friend bool operator<(const Ranked& a, const Ranked& b) {
    return std::tie(a.ejected, a.other, a.priority, a.rank, a.backend.turn, a.last, a.position) <
           std::tie(b.ejected, b.other, b.priority, b.rank, b.backend.turn, b.last, b.position);
  }
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
  if (list.empty()) return {};
  if (list.size() == 1) return {CandidateOf(list.front())};
  absl::InlinedVector<Ranked, 8> ranked;
  for (const auto& item : list) {
    Candidate backend = CandidateOf(item);
    const auto use = uses_.find(backend.endpoint);
    const bool is_new = use == uses_.end();
    if (!is_new) backend.turn = use->second.turn;
    const bool ejected = IsEjected(backend.endpoint, shown, now);
    const bool other = preferred == nullptr || backend.endpoint != *preferred;
    const uint64_t rank = Rank(backends.balance, backend, client);
    ranked.push_back({std::move(backend), ejected, other, is_new, PriorityOf(item), rank,
                      is_new ? 0 : use->second.last, ranked.size()});
  }
  AlignTurns(absl::MakeSpan(ranked));
  const size_t tries = std::min<size_t>(backends.max_tries, ranked.size());
  std::partial_sort(ranked.begin(), ranked.begin() + tries, ranked.end());
  Candidates candidates;
  for (size_t i = 0; i < tries; ++i) candidates.push_back(std::move(ranked[i].backend));
  return candidates;
}

// A backend that is new, was ejected, or was away from the list, begins where the others are: it
// has nothing to catch up.
void BackendChooser::AlignTurns(absl::Span<Ranked> ranked) {
  uint16_t priority = UINT16_MAX;
  for (const Ranked& item : ranked) {
    if (!item.ejected) priority = std::min(priority, item.priority);
  }
  const auto counts = [priority](const Ranked& item) {
    return !item.ejected && !item.is_new && item.priority == priority;
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
    if (!item.ejected || item.is_new || item.backend.turn >= lowest) continue;
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

// Visits the failure records of connections that sent nothing, and of those that sent `shown`.
template <typename Action>
void BackendChooser::ForBoth(const Endpoint& backend, const Shown& shown, Action action) {
  const auto visit = [&](Key key) {
    const auto found = health_.find(key);
    if (found != health_.end()) action(found);
  };
  visit(Key(backend, Shown()));
  if (!shown.empty()) visit(Key(backend, shown));
}

void BackendChooser::Try(const Endpoint& backend, const Shown& shown, MonotonicTime now) {
  ForBoth(backend, shown, [&](auto record) {
    Health& health = record->second;
    if (health.ejection == absl::ZeroDuration() || now < health.ejected_until) return;
    health.ejected_until = now + health.ejection;
    health.is_tried = true;
  });
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
  ForBoth(backend, shown, [&](auto record) { health_.erase(record); });
}

void BackendChooser::Abandoned(const Endpoint& backend, const Shown& shown) {
  ForBoth(backend, shown, [](auto record) {
    if (std::exchange(record->second.is_tried, false)) {
      record->second.ejected_until = MonotonicTime();
    }
  });
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

bool BlamesBackend(const absl::Status& failure) {
  const std::optional<Error> error = GetError(failure);
  if (!error.has_value()) return true;
  switch (error->code) {
    case ErrorCode::kInternal:
    case ErrorCode::kOverLimit:
    case ErrorCode::kConfiguration:
    case ErrorCode::kCancelled:
      return false;
    default:
      return true;
  }
}

}  // namespace trestle
