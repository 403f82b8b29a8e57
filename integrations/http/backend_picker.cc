#include "integrations/http/backend_picker.h"

#include <algorithm>

#include "absl/hash/hash.h"

namespace trestle {
namespace {

constexpr uint32_t kFailuresToEject = 3;
constexpr absl::Duration kFirstEjection = absl::Seconds(1);
constexpr absl::Duration kLongestEjection = absl::Minutes(1);

}  // namespace

std::vector<Endpoint> BackendPicker::Order(const Backends& backends, const Endpoint& client,
                                           const Endpoint* preferred, MonotonicTime now) {
  const std::vector<Endpoint>& all = backends.endpoints;
  const bool by_client = backends.balance == Balance::kClientAddress;
  const size_t first = by_client ? absl::HashOf(client.AddressText()) : next_++;
  std::vector<Endpoint> order;
  order.reserve(all.size());
  for (size_t i = 0; i < all.size(); ++i) order.push_back(all[(first + i) % all.size()]);
  if (preferred != nullptr) {
    std::stable_partition(order.begin(), order.end(),
                          [&](const Endpoint& backend) { return backend == *preferred; });
  }
  std::stable_partition(order.begin(), order.end(),
                        [&](const Endpoint& backend) { return !IsEjected(backend, now); });
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
