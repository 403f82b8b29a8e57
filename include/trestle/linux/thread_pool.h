// ThreadPool: threads for work that would block a loop, such as RSA signatures and slow file
// systems.
#ifndef TRESTLE_LINUX_THREAD_POOL_H_
#define TRESTLE_LINUX_THREAD_POOL_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "trestle/io/task_runner.h"
#include "trestle/linux/thread.h"

namespace trestle {

/// Options of a ThreadPool.
struct ThreadPoolOptions {
  /// Number of threads, 1 to 64.
  int threads = 2;
  /// Maximum number of pending tasks. Further tasks are rejected.
  size_t max_waiting = 1024;
};

/// A TaskRunner with a fixed number of threads, which receive no signals.
class ThreadPool final : public TaskRunner {
 public:
  /// Starts the threads. Fails with ErrorCode::kConfiguration if an option is out of range, or with
  /// kTransport if the system has no more threads.
  static absl::StatusOr<std::unique_ptr<ThreadPool>> Create(const ThreadPoolOptions& options = {});

  /// Calls `Stop`.
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Queues `task`. May be called from any thread. Fails with ErrorCode::kOverLimit if
  /// `max_waiting` tasks are pending, or with kCancelled after `Stop`.
  absl::Status Run(absl::AnyInvocable<void()> task) override;

  /// Waits for running tasks, drops pending ones, and ends the threads. Must not be called from one
  /// of them.
  void Stop();

 private:
  using Task = absl::AnyInvocable<void()>;

  explicit ThreadPool(size_t max_waiting) : max_waiting_(max_waiting) {}

  absl::Status Start(int threads);
  Task NextTask();
  bool HasNews() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopped_ || !waiting_.empty(); }

  const size_t max_waiting_;
  std::vector<Thread> threads_;
  absl::Mutex mutex_;
  std::deque<Task> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace trestle

#endif  // TRESTLE_LINUX_THREAD_POOL_H_
