#include "integrations/http/backend_picker.h"

#include <algorithm>
#include <tuple>

#include "absl/hash/hash.h"

namespace trestle {
namespace {

constexpr uint32_t kFailuresToEject = 3;
constexpr absl::Duration kFirstEjection = absl::Seconds(1);
constexpr absl::Duration kLongestEjection = absl::Minutes(1);

}  // namespace

BackendGroup::List BackendPicker::Order(const Backends& backends, const Endpoint& client,
                                        const Endpoint* preferred, MonotonicTime now) {
  BackendGroup::List order = BackendsNow(backends);
  if (order.empty()) return order;
  uint64_t total = 0;
  for (const GroupedBackend& backend : order) total += backend.weight;
  const bool by_client = backends.balance == Balance::kClientAddress;
  const uint64_t turn = by_client ? absl::HashOf(client.AddressText()) : next_++;
  // With equal weights, each turn begins one place further.
  uint64_t left = turn % total * kUnitWeight % total;
  size_t first = 0;
  while (left >= order[first].weight) left -= order[first++].weight;
  std::rotate(order.begin(), order.begin() + static_cast<ptrdiff_t>(first), order.end());
  const auto rank = [&](const GroupedBackend& backend) {
    const bool other = preferred == nullptr || backend.endpoint != *preferred;
    return std::make_tuple(IsEjected(backend.endpoint, now), other, backend.priority);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  if (order.size() > backends.max_tries) order.resize(backends.max_tries);
  return order;
}

bool BackendPicker::IsEjected(const Endpoint& backend, MonotonicTime now) const {
  const auto found = health_.find(backend);
  return found != health_.end() && found->second.ejection > absl::ZeroDuration() &&
         now < found->second.ejected_until;
}

void BackendPicker::Failed(const Endpoint& backend, MonotonicTime now) {
  Health& health = health_[backend];
  if (++health.failures < kFailuresToEject) return;
  health.ejection = health.ejection == absl::ZeroDuration()
                        ? kFirstEjection
                        : std::min(health.ejection * 2, kLongestEjection);
  health.ejected_until = now + health.ejection;
}

}  // namespace trestle
