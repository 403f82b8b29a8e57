#include "trestle/testing/simulated_loop.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

namespace trestle::testing {
namespace {

constexpr int64_t kStartUnixSeconds = 1767225600;  // 2026-01-01T00:00:00Z

}  // namespace

struct SimulatedLoop::State {
  // The due time, a random number (the seed's order), and a serial number.
  using Key = std::tuple<MonotonicTime, uint64_t, uint64_t>;

  class PendingTimer final : public PendingCall {
   public:
    PendingTimer(std::weak_ptr<State> state, const Key& key)
        : state_(std::move(state)), key_(key) {}

    ~PendingTimer() override {
      const std::shared_ptr<State> state = state_.lock();
      if (state == nullptr) return;
      // Destroys the call after the map is valid again: its captures may destroy timers too.
      const auto doomed = state->timers.extract(key_);
    }

   private:
    const std::weak_ptr<State> state_;
    const Key key_;
  };

  explicit State(uint64_t seed) : random(seed) {}

  bool HasDueTimer() const { return !timers.empty() && std::get<0>(timers.begin()->first) <= now; }

  // Makes one call that is due now; returns false if there is none.
  bool RunOne() {
    const bool timer_due = HasDueTimer();
    if (!timer_due && posted.empty()) return false;
    absl::AnyInvocable<void()> call;
    if (timer_due && (posted.empty() || random() % 2 == 0)) {
      call = std::move(timers.begin()->second);
      timers.erase(timers.begin());
    } else {
      call = std::move(posted.front());
      posted.pop_front();
    }
    call();
    return true;
  }

  MonotonicTime now = MonotonicTime::FromStart(absl::ZeroDuration());
  absl::Time clock_start = absl::FromUnixSeconds(kStartUnixSeconds);  // The date at the start.
  std::mt19937_64 random;
  uint64_t timers_made = 0;
  std::deque<absl::AnyInvocable<void()>> posted;
  std::map<Key, absl::AnyInvocable<void()>> timers;
};

SimulatedLoop::SimulatedLoop(uint64_t seed) : state_(std::make_shared<State>(seed)) {}

SimulatedLoop::~SimulatedLoop() {
  // The captures of the dropped calls may post, or destroy timers, in their destructors.
  while (!state_->posted.empty() || !state_->timers.empty()) {
    const auto posted = std::exchange(state_->posted, {});
    const auto timers = std::exchange(state_->timers, {});
  }
}

absl::Time SimulatedLoop::Now() const { return state_->clock_start + state_->now.since_start(); }

MonotonicTime SimulatedLoop::MonotonicNow() const { return state_->now; }

void SimulatedLoop::SetClock(absl::Time now) {
  state_->clock_start = now - state_->now.since_start();
}

void SimulatedLoop::PostFromAnyThread(absl::AnyInvocable<void()> call) {
  state_->posted.push_back(std::move(call));
}

Timer SimulatedLoop::RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) {
  const State::Key key(state_->now + std::max(delay, absl::ZeroDuration()), state_->random(),
                       ++state_->timers_made);
  state_->timers.emplace(key, std::move(call));
  return std::make_unique<State::PendingTimer>(state_, key);
}

size_t SimulatedLoop::RunReady(size_t max_calls) {
  size_t made = 0;
  while (made < max_calls && state_->RunOne()) ++made;
  return made;
}

size_t SimulatedLoop::RunFor(absl::Duration duration, size_t max_calls) {
  const MonotonicTime end = state_->now + duration;
  const size_t made = RunUntil(end, max_calls);
  if (made < max_calls) state_->now = std::max(state_->now, end);
  return made;
}

size_t SimulatedLoop::RunUntilIdle(size_t max_calls) {
  return RunUntil(MonotonicTime::InfiniteFuture(), max_calls);
}

size_t SimulatedLoop::RunUntil(MonotonicTime end, size_t max_calls) {
  size_t made = 0;
  while (true) {
    made += RunReady(max_calls - made);
    if (made >= max_calls || state_->timers.empty()) return made;
    const MonotonicTime next = std::get<0>(state_->timers.begin()->first);
    if (next > end || next == MonotonicTime::InfiniteFuture()) return made;
    state_->now = next;
  }
}

std::mt19937_64& SimulatedLoop::random() { return state_->random; }

}  // namespace trestle::testing
