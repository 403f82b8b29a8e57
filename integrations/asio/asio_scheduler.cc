#include "integrations/asio/asio_scheduler.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace trestle {
namespace {

using Clock = std::chrono::steady_clock;
using Call = absl::AnyInvocable<void()>;

// Handlers that let Asio look at its descriptors, and make what follows from them, before a limit.
constexpr int kRoundsBeforeLimits = 8;
constexpr absl::Duration kLongestDelay = absl::Hours(24 * 365);

}  // namespace

// Shared with handlers in Asio's queue and with timers, which outlive the scheduler.
struct AsioScheduler::State : std::enable_shared_from_this<State> {
  // By time, and in order. Calls without delay have the earliest time.
  using Key = std::pair<Clock::time_point, uint64_t>;
  using Calls = std::map<Key, Call>;

  explicit State(const asio::any_io_executor& executor) : executor(executor), timer(executor) {}

  // From any thread.
  void Post(Call call) {
    absl::MutexLock lock(&mutex);
    posted.push_back(std::move(call));
    if (posted.size() > 1) return;
    asio::post(executor, [weak = weak_from_this()] {
      if (const std::shared_ptr<State> self = weak.lock()) self->MakeCalls();
    });
  }

  void MakeCallsSoon() {
    if (std::exchange(soon, true)) return;
    asio::post(executor, [weak = weak_from_this()] {
      if (const std::shared_ptr<State> self = weak.lock()) self->MakeCalls();
    });
  }

  // Makes the calls that are there now. Those that they add wait for the next handler.
  void MakeCalls() {
    soon = false;
    std::vector<Call> calls;
    {
      absl::MutexLock lock(&mutex);
      calls.swap(posted);
    }
    for (Call& each : calls) {
      Call call = std::move(each);  // So that the captures are destroyed right after the call.
      call();
    }
    MakeCallsOf(immediate, Clock::time_point::max());
  }

  void MakeCallsOf(Calls& calls, Clock::time_point now) {
    const uint64_t last = last_number;
    auto next = calls.begin();
    while (next != calls.end() && next->first.first <= now && next->first.second <= last) {
      auto node = calls.extract(next);
      node.mapped()();
      next = calls.begin();
    }
  }

  void ArmTimer() {
    if (limits_near || timed.empty() || timed.begin()->first.first >= armed_for) return;
    armed_for = timed.begin()->first.first;
    timer.expires_at(armed_for);
    timer.async_wait([weak = weak_from_this()](asio::error_code error) {
      const std::shared_ptr<State> self = weak.lock();
      if (error || self == nullptr) return;
      self->armed_for = Clock::time_point::max();
      self->limits_near = true;
      self->MakeTimedCallsAfter(kRoundsBeforeLimits, Clock::now());
    });
  }

  // Bytes that arrived before a limit come before it.
  void MakeTimedCallsAfter(int rounds, Clock::time_point now) {
    if (rounds == 0) {
      limits_near = false;
      MakeCallsOf(timed, now);
      return ArmTimer();
    }
    asio::post(executor, [weak = weak_from_this(), rounds, now] {
      if (const std::shared_ptr<State> self = weak.lock()) {
        self->MakeTimedCallsAfter(rounds - 1, now);
      }
    });
  }

  const asio::any_io_executor executor;
  asio::steady_timer timer;
  Clock::time_point armed_for = Clock::time_point::max();
  Calls timed;
  Calls immediate;
  uint64_t last_number = 0;
  bool soon = false;         // A handler for `immediate` and `posted` is in the queue.
  bool limits_near = false;  // Handlers before due calls are in the queue.
  absl::Mutex mutex;
  std::vector<Call> posted ABSL_GUARDED_BY(mutex);
};

class AsioScheduler::Pending final : public PendingCall {
 public:
  Pending(std::weak_ptr<State> state, bool immediate, State::Key key)
      : state_(std::move(state)), immediate_(immediate), key_(key) {}

  ~Pending() override {
    const std::shared_ptr<State> state = state_.lock();
    if (state == nullptr) return;
    (immediate_ ? state->immediate : state->timed).erase(key_);
  }

 private:
  const std::weak_ptr<State> state_;
  const bool immediate_;
  const State::Key key_;
};

AsioScheduler::AsioScheduler(asio::any_io_executor executor)
    : executor_(std::move(executor)), state_(std::make_shared<State>(executor_)) {}

AsioScheduler::~AsioScheduler() {
  state_->timer.cancel();
  // The captures of dropped calls may post or arm timers in their destructors.
  while (true) {
    State::Calls timed = std::exchange(state_->timed, {});
    State::Calls immediate = std::exchange(state_->immediate, {});
    std::vector<Call> posted;
    {
      absl::MutexLock lock(&state_->mutex);
      posted.swap(state_->posted);
    }
    if (timed.empty() && immediate.empty() && posted.empty()) return;
  }
}

absl::Time AsioScheduler::Now() const { return absl::Now(); }

MonotonicTime AsioScheduler::MonotonicNow() const {
  return MonotonicTime::FromStart(absl::FromChrono(Clock::now().time_since_epoch()));
}

void AsioScheduler::PostFromAnyThread(absl::AnyInvocable<void()> call) {
  state_->Post(std::move(call));
}

Timer AsioScheduler::RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) {
  const bool immediate = delay <= absl::ZeroDuration();
  State::Key key = {Clock::time_point::min(), ++state_->last_number};
  if (immediate) {
    state_->immediate[key] = std::move(call);
    state_->MakeCallsSoon();
  } else {
    // An infinite delay waits in the map, and for no timer.
    key.first = delay == absl::InfiniteDuration()
                    ? Clock::time_point::max()
                    : Clock::now() + absl::ToChronoNanoseconds(std::min(delay, kLongestDelay));
    state_->timed[key] = std::move(call);
    state_->ArmTimer();
  }
  return std::make_unique<Pending>(state_, immediate, key);
}

}  // namespace trestle
