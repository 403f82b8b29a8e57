// ThreadPool: threads that do what would keep loops from their work: signatures with RSA, file
// systems that take their time.
#ifndef TRESTLE_POSIX_THREAD_POOL_H_
#define TRESTLE_POSIX_THREAD_POOL_H_

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
#include "trestle/posix/thread.h"

namespace trestle {

struct ThreadPoolOptions {
  /// 1 to 64.
  int threads = 2;
  /// Tasks that wait for a thread at a time. Further ones are refused.
  size_t max_waiting = 1024;
};

/// Its threads take no signals.
class ThreadPool final : public TaskRunner {
 public:
  /// Starts the threads. Fails with ErrorCode::kConfiguration where an option is out of range, with
  /// kTransport where the system has no more threads.
  static absl::StatusOr<std::unique_ptr<ThreadPool>> Create(const ThreadPoolOptions& options = {});

  /// As `Stop`.
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Also fails, with ErrorCode::kCancelled, once stopped.
  absl::Status Run(absl::AnyInvocable<void()> task) override;

  /// Waits for the tasks that run, drops those that wait, and ends the threads. Not from one of
  /// them.
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

#endif  // TRESTLE_POSIX_THREAD_POOL_H_
