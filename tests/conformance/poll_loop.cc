#include "tests/conformance/poll_loop.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>

#include "absl/time/clock.h"
#include "trestle/linux/epoll_loop.h"

namespace trestle::testing {
namespace {

constexpr int kRoundsBeforeLimits = 8;

// The constants of poll(2) and epoll(7) have the same values.
static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLERR == EPOLLERR &&
              POLLHUP == EPOLLHUP);

}  // namespace

class PollLoop::Pending final : public PendingCall {
 public:
  Pending(std::shared_ptr<Calls> calls, std::pair<MonotonicTime, uint64_t> key)
      : calls_(std::move(calls)), key_(key) {}
  ~Pending() override { calls_->map.erase(key_); }

 private:
  const std::shared_ptr<Calls> calls_;
  const std::pair<MonotonicTime, uint64_t> key_;
};

PollLoop::PollLoop() : wake_up_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

PollLoop::~PollLoop() {
  timers_->map.clear();
  immediate_->map.clear();
}

absl::Time PollLoop::Now() const { return absl::Now(); }

MonotonicTime PollLoop::MonotonicNow() const { return SystemClocks::Get().Monotonic(); }

void PollLoop::PostFromAnyThread(absl::AnyInvocable<void()> call) {
  absl::MutexLock lock(&mutex_);
  posted_.push_back(std::move(call));
  eventfd_write(wake_up_.get(), 1);
}

Timer PollLoop::RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) {
  const bool immediate = delay <= absl::ZeroDuration();
  const auto key =
      std::make_pair(immediate ? MonotonicTime() : MonotonicNow() + delay, ++last_number_);
  const std::shared_ptr<Calls>& calls = immediate ? immediate_ : timers_;
  calls->map[key] = std::move(call);
  return std::make_unique<Pending>(calls, key);
}

absl::Status PollLoop::Watch(int fd, FdWatcher& watcher) {
  watched_[fd].watcher = &watcher;
  return absl::OkStatus();
}

void PollLoop::RunTurn(absl::Duration max_wait) {
  absl::Duration wait = max_wait;
  if (!timers_->map.empty())
    wait = std::min(wait, timers_->map.begin()->first.first - MonotonicNow());
  if (!immediate_->map.empty()) wait = absl::ZeroDuration();
  Poll(wait);
  CallPostedAndImmediate();
  const MonotonicTime now = MonotonicNow();
  if (timers_->map.empty() || timers_->map.begin()->first.first > now) return;
  // What arrived before the limit comes before it.
  Poll(absl::ZeroDuration());
  for (int i = 0; i < kRoundsBeforeLimits && CallPostedAndImmediate(); ++i) continue;
  CallDue(now);
}

void PollLoop::Poll(absl::Duration wait) {
  std::vector<pollfd> fds = {{wake_up_.get(), POLLIN, 0}};
  for (const auto& [fd, watched] : watched_) {
    if (watched.awaited != 0) fds.push_back({fd, static_cast<short>(watched.awaited), 0});
  }
  const absl::Duration rounded =
      absl::Ceil(std::max(wait, absl::ZeroDuration()), absl::Milliseconds(1));
  poll(fds.data(), fds.size(), static_cast<int>(absl::ToInt64Milliseconds(rounded)));
  eventfd_t ignored;
  eventfd_read(wake_up_.get(), &ignored);
  for (const pollfd& fd : fds) {
    const auto found = fd.revents == 0 ? watched_.end() : watched_.find(fd.fd);
    if (found == watched_.end() || found->second.awaited == 0) continue;
    found->second.awaited = 0;
    found->second.watcher->OnFdReady(static_cast<uint16_t>(fd.revents));
  }
}

bool PollLoop::CallPostedAndImmediate() {
  std::vector<absl::AnyInvocable<void()>> posted;
  {
    absl::MutexLock lock(&mutex_);
    posted.swap(posted_);
  }
  for (absl::AnyInvocable<void()>& call : posted) call();
  bool any = !posted.empty();
  // Those that are armed meanwhile wait for the next round.
  const uint64_t last = last_number_;
  while (!immediate_->map.empty() && immediate_->map.begin()->first.second <= last) {
    any = true;
    auto node = immediate_->map.extract(immediate_->map.begin());
    node.mapped()();
  }
  return any;
}

void PollLoop::CallDue(MonotonicTime now) {
  const uint64_t last = last_number_;
  while (!timers_->map.empty() && timers_->map.begin()->first.first <= now &&
         timers_->map.begin()->first.second <= last) {
    auto node = timers_->map.extract(timers_->map.begin());
    node.mapped()();
  }
}

}  // namespace trestle::testing
