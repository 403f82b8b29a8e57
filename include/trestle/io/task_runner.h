// TaskRunner: threads that work for loops, without being one. The host brings them; posix/ has a
// ThreadPool.
#ifndef TRESTLE_IO_TASK_RUNNER_H_
#define TRESTLE_IO_TASK_RUNNER_H_

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"

namespace trestle {

/// Thread-safe.
class TaskRunner {
 public:
  virtual ~TaskRunner() = default;

  /// Makes `task` run on another thread, or never if the threads end before. Fails, with
  /// ErrorCode::kOverLimit, rather than let tasks wait without limit.
  virtual absl::Status Run(absl::AnyInvocable<void()> task) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_IO_TASK_RUNNER_H_
