#include "trestle/posix/epoll_loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "absl/log/check.h"
#include "absl/memory/memory.h"
#include "lib/posix/system_error.h"
#include "lib/posix/timer_heap.h"

namespace trestle {
namespace {

constexpr int kEventsPerTurn = 256;
constexpr int64_t kNsPerMs = 1'000'000;
constexpr uint32_t kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;

int64_t ReadClock(clockid_t clock) {
  timespec time = {};
  clock_gettime(clock, &time);
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

uint64_t Tag(int fd, uint32_t generation) {
  return static_cast<uint64_t>(generation) << 32 | static_cast<uint32_t>(fd);
}

}  // namespace

absl::StatusOr<std::unique_ptr<EpollLoop>> EpollLoop::Create() {
  OwnedFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return SystemError("cannot open an epoll descriptor", errno);
  OwnedFd wake_up(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_up.valid()) return SystemError("cannot open an eventfd", errno);
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = Tag(wake_up.get(), 0);
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake_up.get(), &event) != 0) {
    return SystemError("cannot watch an eventfd", errno);
  }
  return absl::WrapUnique(new EpollLoop(std::move(epoll), std::move(wake_up)));
}

EpollLoop::EpollLoop(OwnedFd epoll, OwnedFd wake_up)
    : epoll_(std::move(epoll)),
      wake_up_(std::move(wake_up)),
      timers_(std::make_unique<TimerHeap>()) {
  ReadClocks();
}

EpollLoop::~EpollLoop() {
  TakeForeignCalls();
  // What the dropped calls captured may post, or arm timers, while it is destroyed.
  while (!posted_.empty() || timers_->next_due_ns() != TimerHeap::kNever) {
    const auto doomed = std::exchange(posted_, {});
    timers_->Clear();
  }
}

absl::Time EpollLoop::Now() const {
  if (!in_turn_) ReadClocks();
  return absl::FromUnixNanos(wall_ns_);
}

void EpollLoop::Post(absl::AnyInvocable<void()> call) { posted_.push_back(std::move(call)); }

Timer EpollLoop::RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) {
  if (!in_turn_) ReadClocks();
  const int64_t delay_ns = std::max<int64_t>(0, absl::ToInt64Nanoseconds(delay));
  const bool finite = delay_ns < TimerHeap::kNever - monotonic_ns_;
  return timers_->Add(finite ? monotonic_ns_ + delay_ns : TimerHeap::kNever, std::move(call));
}

void EpollLoop::Run() {
  while (!stop_.exchange(false)) RunTurn(absl::InfiniteDuration());
}

void EpollLoop::RunTurn(absl::Duration max_wait) {
  ReadClocks();
  std::array<epoll_event, kEventsPerTurn> events;
  const int count =
      epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, WaitMilliseconds(max_wait));
  CHECK(count >= 0 || errno == EINTR) << "epoll_wait failed";
  ReadClocks();
  in_turn_ = true;
  for (int i = 0; i < count; ++i) {
    const uint64_t tag = events[i].data.u64;
    Dispatch(static_cast<int>(tag & 0xffffffff), static_cast<uint32_t>(tag >> 32),
             events[i].events);
  }
  timers_->RunDue(monotonic_ns_);
  MakePostedCalls();
  in_turn_ = false;
}

void EpollLoop::Stop() {
  stop_.store(true);
  Wake();
}

void EpollLoop::PostFromAnyThread(absl::AnyInvocable<void()> call) {
  absl::MutexLock lock(&foreign_mutex_);
  foreign_calls_.push_back(std::move(call));
  // Only the first needs to wake the loop. Under the lock, or the loop could be gone by now.
  if (foreign_calls_.size() == 1) Wake();
}

absl::Status EpollLoop::Watch(int fd, FdWatcher& watcher) {
  if (static_cast<size_t>(fd) >= watched_.size()) watched_.resize(fd + 1);
  Watched& watched = watched_[fd];
  if (watched.watcher == nullptr) {
    epoll_event event = {};
    event.events = kEvents;
    event.data.u64 = Tag(fd, ++watched.generation);
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      return SystemError("cannot watch a descriptor", errno);
    }
  }
  watched.watcher = &watcher;
  return absl::OkStatus();
}

void EpollLoop::Unwatch(int fd) { watched_[fd].watcher = nullptr; }

void EpollLoop::ReadClocks() const {
  const int64_t monotonic_ns = ReadClock(CLOCK_MONOTONIC);
  const int64_t ran_on_ns = wall_ns_ + (monotonic_ns - monotonic_ns_);
  monotonic_ns_ = monotonic_ns;
  const int64_t system_ns = ReadClock(CLOCK_REALTIME);
  wall_ns_ = wall_ns_ == 0 ? system_ns : std::max(system_ns, ran_on_ns);
}

int EpollLoop::WaitMilliseconds(absl::Duration max_wait) const {
  if (!posted_.empty()) return 0;
  int64_t wait_ns = std::max<int64_t>(0, absl::ToInt64Nanoseconds(max_wait));
  const int64_t due_ns = timers_->next_due_ns();
  if (due_ns != TimerHeap::kNever) {
    wait_ns = std::min(wait_ns, std::max<int64_t>(0, due_ns - monotonic_ns_));
  }
  if (wait_ns == std::numeric_limits<int64_t>::max()) return -1;
  // Rounded up, or the loop would spin through the last millisecond before a timer.
  const int64_t wait_ms = wait_ns / kNsPerMs + (wait_ns % kNsPerMs != 0 ? 1 : 0);
  return static_cast<int>(std::min<int64_t>(wait_ms, std::numeric_limits<int>::max()));
}

void EpollLoop::Dispatch(int fd, uint32_t generation, uint32_t events) {
  if (fd == wake_up_.get()) return TakeForeignCalls();
  const Watched& watched = watched_[fd];
  if (watched.watcher == nullptr || watched.generation != generation) return;
  watched.watcher->OnFdReady(events);
}

void EpollLoop::Wake() {
  const uint64_t one = 1;
  // Can only fail when the counter is full, and then the loop is about to wake up anyway.
  [[maybe_unused]] const ssize_t written = write(wake_up_.get(), &one, sizeof one);
}

void EpollLoop::TakeForeignCalls() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t bytes = read(wake_up_.get(), &count, sizeof count);
  std::vector<absl::AnyInvocable<void()>> calls;
  {
    absl::MutexLock lock(&foreign_mutex_);
    calls.swap(foreign_calls_);
  }
  for (absl::AnyInvocable<void()>& call : calls) posted_.push_back(std::move(call));
}

void EpollLoop::MakePostedCalls() {
  running_.swap(posted_);
  for (absl::AnyInvocable<void()>& pending : running_) {
    // Moved out, so that what the call captured dies right after it.
    absl::AnyInvocable<void()> call = std::move(pending);
    call();
  }
  running_.clear();
}

}  // namespace trestle
