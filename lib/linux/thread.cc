#include "trestle/linux/thread.h"

#include <signal.h>

#include <memory>
#include <utility>

#include "lib/linux/system_error.h"

namespace trestle {
namespace {

using Main = absl::AnyInvocable<void()>;

void* Run(void* main) {
  const std::unique_ptr<Main> owned(static_cast<Main*>(main));
  (*owned)();
  return nullptr;
}

}  // namespace

absl::StatusOr<Thread> Thread::Start(Main main) {
  auto owned = std::make_unique<Main>(std::move(main));
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = pthread_create(&thread, nullptr, &Run, owned.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return SystemError("cannot start a thread", error);
  // The thread now owns it.
  [[maybe_unused]] Main* const released = owned.release();
  Thread started;
  started.thread_ = thread;
  return started;
}

Thread::Thread(Thread&& other) noexcept : thread_(std::exchange(other.thread_, std::nullopt)) {}

Thread& Thread::operator=(Thread&& other) noexcept {
  if (this == &other) return *this;
  Join();
  thread_ = std::exchange(other.thread_, std::nullopt);
  return *this;
}

void Thread::Join() {
  if (thread_.has_value()) pthread_join(*thread_, nullptr);
  thread_.reset();
}

void Thread::Detach() {
  if (thread_.has_value()) pthread_detach(*thread_);
  thread_.reset();
}

}  // namespace trestle
