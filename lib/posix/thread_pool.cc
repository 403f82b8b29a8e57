#include "trestle/posix/thread_pool.h"

#include <signal.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "lib/posix/system_error.h"

namespace trestle {
namespace {

constexpr int kMaxThreads = 64;

}  // namespace

absl::StatusOr<std::unique_ptr<ThreadPool>> ThreadPool::Create(const ThreadPoolOptions& options) {
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return EdgeError(
        ErrorCode::kConfiguration, Phase::kSetUp,
        absl::StrCat("a pool of ", options.threads, " threads: it can have 1 to ", kMaxThreads));
  }
  if (options.max_waiting < 1) {
    return EdgeError(ErrorCode::kConfiguration, Phase::kSetUp,
                     "at least one task must be allowed to wait for a thread");
  }
  auto pool = absl::WrapUnique(new ThreadPool(options.max_waiting));
  if (absl::Status started = pool->Start(options.threads); !started.ok()) return started;
  return pool;
}

ThreadPool::~ThreadPool() { Stop(); }

absl::Status ThreadPool::Start(int threads) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = 0;
  for (int i = 0; i < threads && error == 0; ++i) {
    pthread_t thread;
    error = pthread_create(&thread, nullptr, &ThreadPool::Main, this);
    if (error == 0) threads_.push_back(thread);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return error == 0 ? absl::OkStatus() : SystemError("cannot start a thread", error);
}

absl::Status ThreadPool::Run(Task task) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) {
    return EdgeError(ErrorCode::kCancelled, Phase::kSetUp, "the threads of the pool have ended");
  }
  if (waiting_.size() >= max_waiting_) {
    return MakeError({ErrorCode::kOverLimit, std::nullopt, Phase::kSetUp, std::nullopt,
                      absl::StrCat(max_waiting_, " tasks wait for a thread already"),
                      Limit::kTasks});
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
  for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
  threads_.clear();
}

void* ThreadPool::Main(void* self) {
  while (Task task = static_cast<ThreadPool*>(self)->NextTask()) task();
  return nullptr;
}

// Null once the pool is stopped.
ThreadPool::Task ThreadPool::NextTask() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &ThreadPool::HasNews));
  if (stopped_) return nullptr;
  Task task = std::move(waiting_.front());
  waiting_.pop_front();
  return task;
}

}  // namespace trestle
