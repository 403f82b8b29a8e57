#include "examples/support/watchdog.h"

#include <utility>

namespace trestle::examples {

Watchdog::Watchdog(Scheduler& main_loop, std::vector<Scheduler*> workers, absl::Duration period,
                   Calls calls)
    : main_loop_(main_loop),
      workers_(std::move(workers)),
      period_(period),
      calls_(std::move(calls)) {
  Ask();
}

void Watchdog::Ask() {
  missing_ = workers_.size();
  for (Scheduler* worker : workers_) {
    worker->PostFromAnyThread([this] { main_loop_.PostFromAnyThread([this] { OnAnswer(); }); });
  }
  next_ = main_loop_.RunAfter(period_, [this] { OnPeriod(); });
}

void Watchdog::OnAnswer() {
  if (--missing_ > 0) return;
  calls_.alive();
  // The next question waited for this answer.
  if (std::exchange(is_late_, false)) Ask();
}

void Watchdog::OnPeriod() {
  if (missing_ == 0) return Ask();
  is_late_ = true;
  calls_.late();
}

}  // namespace trestle::examples
