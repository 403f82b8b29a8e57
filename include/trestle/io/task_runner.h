// TaskRunner: runs tasks for loops on other threads. The host owns it; linux/thread_pool.h is one.
#ifndef TRESTLE_IO_TASK_RUNNER_H_
#define TRESTLE_IO_TASK_RUNNER_H_

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"

namespace trestle {

/// Thread-safe.
class TaskRunner {
 public:
  virtual ~TaskRunner() = default;

  /// Queues `task` to run on another thread. If the threads end before, `task` is destroyed without
  /// running. Fails with ErrorCode::kOverLimit if too many tasks wait.
  virtual absl::Status Run(absl::AnyInvocable<void()> task) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_IO_TASK_RUNNER_H_
