#include "trestle/linux/thread_pool.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "lib/linux/system_error.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr int kMaxThreads = 64;

}  // namespace

absl::StatusOr<std::unique_ptr<ThreadPool>> ThreadPool::Create(const ThreadPoolOptions& options) {
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return ConfigurationError(
        absl::StrCat("a pool of ", options.threads, " threads: it can have 1 to ", kMaxThreads));
  }
  if (options.max_waiting < 1) {
    return ConfigurationError("at least one task must be allowed to wait for a thread");
  }
  auto pool = absl::WrapUnique(new ThreadPool(options.max_waiting));
  if (absl::Status started = pool->Start(options.threads); !started.ok()) return started;
  return pool;
}

ThreadPool::~ThreadPool() { Stop(); }

absl::Status ThreadPool::Start(int threads) {
  for (int i = 0; i < threads; ++i) {
    absl::StatusOr<Thread> thread = Thread::Start([this] {
      while (Task task = NextTask()) task();
    });
    if (!thread.ok()) return thread.status();
    threads_.push_back(*std::move(thread));
  }
  return absl::OkStatus();
}

absl::Status ThreadPool::Run(Task task) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) {
    return MakeError(ErrorCode::kCancelled, Phase::kSetUp, "the threads of the pool have ended");
  }
  if (waiting_.size() >= max_waiting_) {
    return OverLimitError(Limit::kTasks, Phase::kSetUp,
                          absl::StrCat(max_waiting_, " tasks wait for a thread already"));
  }
  waiting_.push_back(std::move(task));
  return absl::OkStatus();
}

void ThreadPool::Stop() {
  std::deque<Task> dropped;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    dropped.swap(waiting_);
  }
  threads_.clear();  // Joins them.
}

// Returns null after `Stop`.
ThreadPool::Task ThreadPool::NextTask() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &ThreadPool::HasNews));
  if (stopped_) return nullptr;
  Task task = std::move(waiting_.front());
  waiting_.pop_front();
  return task;
}

}  // namespace trestle
