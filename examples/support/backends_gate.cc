#include "examples/support/backends_gate.h"

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"

namespace trestle::examples {
namespace {

constexpr size_t kMaxBackends = 1000;
constexpr size_t kMaxTries = 64;
constexpr size_t kMaxNames = 8;
constexpr absl::Duration kBetweenRounds = absl::Seconds(1);
constexpr absl::Duration kTryTime = absl::Seconds(3);

}  // namespace

BackendsGate::BackendsGate(Scheduler& scheduler, Dialer& dialer,
                           const std::vector<RouteLegs>& routes, WantedBackends wanted)
    : scheduler_(scheduler), dialer_(dialer), wanted_(wanted) {
  std::map<std::string, size_t> known;
  for (const RouteLegs& route : routes) {
    std::vector<size_t>& places = routes_[route.name];
    for (const Endpoint& endpoint : route.backends) {
      const auto [place, is_new] = known.emplace(endpoint.ToString(), backends_.size());
      if (is_new && backends_.size() == kMaxBackends) {
        known.erase(place);
        continue;
      }
      if (is_new) backends_.push_back({endpoint});
      places.push_back(place->second);
    }
  }
  StartRound();
}

std::vector<std::string> BackendsGate::Missing() const {
  std::vector<std::string> names;
  for (const auto& [name, backends] : routes_) {
    if (names.size() == kMaxNames) break;
    if (!Answers(backends)) names.push_back(name.empty() ? "all names" : name);
  }
  return names;
}

bool BackendsGate::Answers(const std::vector<size_t>& backends) const {
  return std::any_of(backends.begin(), backends.end(),
                     [this](size_t index) { return backends_[index].answered; });
}

bool BackendsGate::Satisfied() const {
  if (wanted_ == WantedBackends::kNone || routes_.empty()) return true;
  const auto answers = [this](const auto& route) { return Answers(route.second); };
  return wanted_ == WantedBackends::kAny ? std::any_of(routes_.begin(), routes_.end(), answers)
                                         : std::all_of(routes_.begin(), routes_.end(), answers);
}

void BackendsGate::StartRound() {
  open_ = Satisfied();
  if (open_) return;
  next_ = 0;
  TryNext();
}

void BackendsGate::TryNext() {
  for (; next_ < backends_.size() && tries_.size() < kMaxTries; ++next_) {
    if (!backends_[next_].answered) TryOne(next_);
  }
  if (!tries_.empty()) return;
  next_round_ = scheduler_.RunAfter(kBetweenRounds, [this] { StartRound(); });
}

void BackendsGate::TryOne(size_t index) {
  Try& one = tries_[index];
  one.limit = scheduler_.RunAfter(kTryTime, [this, index] { EndTry(index, false); });
  one.dial = dialer_.Connect(backends_[index].endpoint,
                             [this, index](absl::StatusOr<std::unique_ptr<Transport>> opened) {
                               EndTry(index, opened.ok());
                             });
}

void BackendsGate::EndTry(size_t index, bool answered) {
  backends_[index].answered = answered;
  over_.push_back(std::move(tries_[index]));
  tries_.erase(index);
  // The next tries begin once these have given back their sockets.
  burial_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] {
    over_.clear();
    if (!open_) TryNext();
  });
  open_ = Satisfied();
  if (!open_) return;
  for (auto& [place, one] : tries_) over_.push_back(std::move(one));
  tries_.clear();
}

}  // namespace trestle::examples
