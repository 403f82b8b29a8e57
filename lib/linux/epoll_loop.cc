#include "trestle/linux/epoll_loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <utility>

#include "absl/memory/memory.h"
#include "lib/linux/system_error.h"
#include "lib/linux/timer_heap.h"

namespace trestle {
namespace {

constexpr int kEventsPerTurn = 256;
constexpr absl::Duration kResolution = absl::Milliseconds(1);
// Received bytes pass a few layers, each by a call without delay.
constexpr int kMostRounds = 8;
constexpr uint32_t kInput = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET;
constexpr uint32_t kEvents = kInput | EPOLLOUT;

timespec ReadClock(clockid_t clock) {
  timespec time = {};
  clock_gettime(clock, &time);
  return time;
}

// Returns `wait` for epoll_wait(2).
int WaitMilliseconds(absl::Duration wait) {
  if (wait == absl::InfiniteDuration()) return -1;
  const int64_t ms = absl::ToInt64Milliseconds(absl::Ceil(wait, kResolution));
  return static_cast<int>(std::clamp<int64_t>(ms, 0, std::numeric_limits<int>::max()));
}

uint64_t Tag(int fd, uint32_t generation) {
  return static_cast<uint64_t>(generation) << 32 | static_cast<uint32_t>(fd);
}

}  // namespace

absl::Time SystemClocks::Wall() const { return absl::TimeFromTimespec(ReadClock(CLOCK_REALTIME)); }

MonotonicTime SystemClocks::Monotonic() const {
  return MonotonicTime::FromStart(absl::DurationFromTimespec(ReadClock(CLOCK_MONOTONIC)));
}

const SystemClocks& SystemClocks::Get() {
  static const SystemClocks clocks;
  return clocks;
}

absl::StatusOr<std::unique_ptr<EpollLoop>> EpollLoop::Create(const SystemClocks& clocks) {
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
  return absl::WrapUnique(new EpollLoop(clocks, std::move(epoll), std::move(wake_up)));
}

EpollLoop::EpollLoop(const SystemClocks& clocks, OwnedFd epoll, OwnedFd wake_up)
    : clocks_(clocks),
      epoll_(std::move(epoll)),
      wake_up_(std::move(wake_up)),
      timers_(std::make_unique<TimerHeap>()),
      without_delay_(std::make_unique<TimerHeap>()) {
  ReadClocks();
}

EpollLoop::~EpollLoop() {
  TakeForeignCalls();
  // The captures of dropped calls may post or arm timers in their destructors.
  while (!posted_.empty() || !timers_->empty() || !without_delay_->empty()) {
    const auto doomed = std::exchange(posted_, {});
    timers_->Clear();
    without_delay_->Clear();
  }
}

absl::Time EpollLoop::Now() const {
  if (!in_turn_) ReadClocks();
  return wall_;
}

MonotonicTime EpollLoop::MonotonicNow() const {
  if (!in_turn_) ReadClocks();
  return monotonic_;
}

Timer EpollLoop::RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) {
  if (delay <= absl::ZeroDuration()) {
    WakeHost();
    return without_delay_->Add(0, std::move(call));
  }
  // Not from the start of the turn: earlier calls of it may have taken longer than the delay.
  const MonotonicTime due = clocks_.Monotonic() + delay;
  const int64_t due_ns = absl::ToInt64Nanoseconds(due.since_start());
  if (due_ns < timers_->next_due_ns()) WakeHost();
  return timers_->Add(due_ns, std::move(call));
}

void EpollLoop::Run() {
  while (!stop_.exchange(false)) RunTurn(absl::InfiniteDuration());
}

void EpollLoop::RunTurn(absl::Duration max_wait) {
  host_awake_ = false;
  ReadClocks();
  DispatchReady(WaitMilliseconds(std::min(max_wait, TimeToNextCall())));
  MakeCallsWithoutDelay();
  if (timers_->next_due_ns() <= monotonic_ns()) {
    ReadWhatArrived();
    timers_->RunDue(monotonic_ns());
  }
  in_turn_ = false;
}

// Returns whether more may be ready.
bool EpollLoop::DispatchReady(int wait_ms) {
  std::array<epoll_event, kEventsPerTurn> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, wait_ms);
  if (count < 0 && errno != EINTR) {
    std::perror("epoll_wait");
    std::abort();
  }
  if (!std::exchange(in_turn_, true)) ReadClocks();
  for (int i = 0; i < count; ++i) {
    const uint64_t tag = events[i].data.u64;
    Dispatch(static_cast<int>(tag & 0xffffffff), static_cast<uint32_t>(tag >> 32),
             events[i].events);
  }
  return count < 0 || count == kEventsPerTurn;
}

// Returns whether there were any.
bool EpollLoop::MakeCallsWithoutDelay() {
  const bool any = !posted_.empty() || !without_delay_->empty();
  running_.swap(posted_);
  for (absl::AnyInvocable<void()>& pending : running_) {
    // Moved out, so that the captures are destroyed right after the call.
    absl::AnyInvocable<void()> call = std::move(pending);
    call();
  }
  running_.clear();
  without_delay_->RunDue(0);
  return any;
}

// Makes the calls for all descriptors that were ready when this turn's time was read. The kernel's
// list is a queue: at most all descriptors were ready then.
void EpollLoop::ReadWhatArrived() {
  const size_t most_batches = watched_.size() / kEventsPerTurn + 1;
  bool more = true;
  for (size_t i = 0; i < most_batches && more; ++i) more = DispatchReady(0);
  for (int i = 0; i < kMostRounds && MakeCallsWithoutDelay(); ++i) continue;
}

void EpollLoop::Stop() {
  stop_.store(true);
  Wake();
}

void EpollLoop::PostFromAnyThread(absl::AnyInvocable<void()> call) {
  absl::MutexLock lock(&foreign_mutex_);
  foreign_calls_.push_back(std::move(call));
  // Only the first call wakes the loop. Under the lock, because the loop could be gone afterwards.
  if (foreign_calls_.size() == 1) Wake();
}

absl::Status EpollLoop::Watch(int fd, FdWatcher& watcher) { return Watch(fd, watcher, kEvents); }

absl::Status EpollLoop::WatchForInput(int fd, FdWatcher& watcher) {
  return Watch(fd, watcher, kInput);
}

absl::Status EpollLoop::Watch(int fd, FdWatcher& watcher, uint32_t events) {
  if (static_cast<size_t>(fd) >= watched_.size()) watched_.resize(fd + 1);
  Watched& watched = watched_[fd];
  if (watched.watcher == nullptr) {
    epoll_event event = {};
    event.events = events;
    event.data.u64 = Tag(fd, ++watched.generation);
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      return SystemError("cannot watch a descriptor", errno);
    }
    watched.for_input = events == kInput;
  }
  watched.watcher = &watcher;
  return absl::OkStatus();
}

void EpollLoop::Await(int fd, uint32_t events) {
  Watched& watched = watched_[fd];
  if ((events & EPOLLOUT) == 0 || !std::exchange(watched.for_input, false)) return;
  epoll_event event = {};
  event.events = kEvents;
  event.data.u64 = Tag(fd, watched.generation);
  // Reports at once what is ready. It needs no memory, so it fails by a fault of this program only.
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) {
    std::perror("epoll_ctl");
    std::abort();
  }
}

void EpollLoop::Unwatch(int fd) { watched_[fd].watcher = nullptr; }

void EpollLoop::ReadClocks() const {
  monotonic_ = clocks_.Monotonic();
  wall_ = clocks_.Wall();
}

absl::Duration EpollLoop::NextTurnIn() const {
  if (!in_turn_) ReadClocks();
  return TimeToNextCall();
}

// From the time that was read last. Rounded up; otherwise a loop would spin in the last millisecond
// before a timer.
absl::Duration EpollLoop::TimeToNextCall() const {
  if (!posted_.empty() || !without_delay_->empty()) return absl::ZeroDuration();
  const int64_t due_ns = timers_->next_due_ns();
  if (due_ns == TimerHeap::kNever) return absl::InfiniteDuration();
  return absl::Ceil(absl::Nanoseconds(std::max<int64_t>(0, due_ns - monotonic_ns())), kResolution);
}

void EpollLoop::Dispatch(int fd, uint32_t generation, uint32_t events) {
  if (fd == wake_up_.get()) return TakeForeignCalls();
  const Watched& watched = watched_[fd];
  if (watched.watcher == nullptr || watched.generation != generation) return;
  watched.watcher->OnFdReady(events);
}

void EpollLoop::Wake() {
  const uint64_t one = 1;
  // Fails only if the counter is full, and then the loop is about to wake up anyway.
  [[maybe_unused]] const ssize_t written = write(wake_up_.get(), &one, sizeof one);
}

// The host does not know of calls that are armed after its last look at `NextTurnIn()`.
void EpollLoop::WakeHost() {
  if (!nested_ || in_turn_ || std::exchange(host_awake_, true)) return;
  Wake();
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

}  // namespace trestle
