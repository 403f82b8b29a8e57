#include "trestle/linux/no_loop.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "lib/linux/timer_heap.h"
#include "trestle/linux/epoll_loop.h"

namespace trestle {
namespace {

int64_t Nanoseconds(MonotonicTime time) { return absl::ToInt64Nanoseconds(time.since_start()); }

}  // namespace

NoLoop::NoLoop() : timers_(std::make_unique<TimerHeap>()) {}

NoLoop::~NoLoop() {
  // The captures of dropped calls may post or arm timers in their destructors.
  while (true) {
    std::vector<absl::AnyInvocable<void()>> doomed;
    {
      absl::MutexLock lock(&mutex_);
      doomed.swap(posted_);
    }
    if (doomed.empty() && timers_->empty()) return;
    timers_->Clear();
  }
}

absl::Time NoLoop::Now() const { return SystemClocks::Get().Wall(); }

MonotonicTime NoLoop::MonotonicNow() const { return SystemClocks::Get().Monotonic(); }

void NoLoop::PostFromAnyThread(absl::AnyInvocable<void()> call) {
  absl::MutexLock lock(&mutex_);
  posted_.push_back(std::move(call));
}

Timer NoLoop::RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) {
  return timers_->Add(Nanoseconds(MonotonicNow() + std::max(delay, absl::ZeroDuration())),
                      std::move(call));
}

bool NoLoop::MakeCalls(absl::Duration max_wait) {
  absl::Duration wait = max_wait;
  if (timers_->next_due_ns() != TimerHeap::kNever) {
    wait = std::min(wait, absl::Nanoseconds(timers_->next_due_ns() - Nanoseconds(MonotonicNow())));
  }
  std::vector<absl::AnyInvocable<void()>> posted;
  {
    absl::MutexLock lock(&mutex_);
    const auto any_posted = [this]()
                                ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !posted_.empty(); };
    mutex_.AwaitWithTimeout(absl::Condition(&any_posted), std::max(wait, absl::ZeroDuration()));
    posted.swap(posted_);
  }
  const int64_t now = Nanoseconds(MonotonicNow());
  const bool any = !posted.empty() || timers_->next_due_ns() <= now;
  for (absl::AnyInvocable<void()>& pending : posted) {
    absl::AnyInvocable<void()> call = std::move(pending);
    call();
  }
  timers_->RunDue(now);
  return any;
}

}  // namespace trestle
