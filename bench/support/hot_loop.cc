#include "bench/support/hot_loop.h"

#include <cstddef>
#include <memory>
#include <utility>

namespace trestle::bench {

class HotLoop::PendingTimer final : public PendingCall {
 public:
  PendingTimer(HotLoop& loop, absl::AnyInvocable<void()> call)
      : loop_(loop), call_(std::move(call)) {}
  ~PendingTimer() override {
    if (queued) loop_.Forget(this);
  }

  absl::AnyInvocable<void()> TakeCall() {
    queued = false;
    return std::move(call_);
  }

  bool queued = false;

 private:
  HotLoop& loop_;
  absl::AnyInvocable<void()> call_;
};

void HotLoop::PostFromAnyThread(absl::AnyInvocable<void()> call) {
  due_.push_back({std::move(call), nullptr});
}

Timer HotLoop::RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) {
  auto timer = std::make_unique<PendingTimer>(*this, std::move(call));
  if (delay <= absl::ZeroDuration()) {
    timer->queued = true;
    due_.push_back({nullptr, timer.get()});
  }
  return timer;
}

void HotLoop::RunReady() {
  while (!due_.empty()) {
    due_.swap(running_);
    for (size_t i = 0; i < running_.size(); ++i) {
      absl::AnyInvocable<void()> call = std::move(running_[i].call);
      if (running_[i].timer != nullptr) call = running_[i].timer->TakeCall();
      if (call) call();
    }
    running_.clear();
  }
}

void HotLoop::Forget(const PendingTimer* timer) {
  for (std::vector<Due>* queue : {&due_, &running_}) {
    for (Due& due : *queue) {
      if (due.timer == timer) due.timer = nullptr;
    }
  }
}

}  // namespace trestle::bench
