// Watchdog: tells that a program works, again and again, as long as all of its loops turn.
#ifndef TRESTLE_EXAMPLES_SUPPORT_WATCHDOG_H_
#define TRESTLE_EXAMPLES_SUPPORT_WATCHDOG_H_

#include <cstddef>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "trestle/io/scheduler.h"

namespace trestle::examples {

class Watchdog {
 public:
  struct Calls {
    absl::AnyInvocable<void()> alive;  ///< All loops have turned.
    absl::AnyInvocable<void()> late;   ///< A loop has not turned for a period. Once each time.
  };

  /// Asks all `workers` at once and then every `period`; calls from `main_loop` once all have
  /// answered. While one doesn't, it asks no more. Destroy it after the workers have stopped, and
  /// while `main_loop` doesn't run.
  Watchdog(Scheduler& main_loop, std::vector<Scheduler*> workers, absl::Duration period,
           Calls calls);

 private:
  void Ask();
  void OnAnswer();
  void OnPeriod();

  Scheduler& main_loop_;
  const std::vector<Scheduler*> workers_;
  const absl::Duration period_;
  Calls calls_;
  size_t missing_ = 0;  // Answers to the last question.
  bool is_late_ = false;
  Timer next_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_WATCHDOG_H_
