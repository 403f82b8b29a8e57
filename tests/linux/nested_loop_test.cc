// A loop nested in a host's loop: which events the host must wait for.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/linux/loopback.h"
#include "tests/linux/manual_clocks.h"
#include "trestle/linux/epoll_loop.h"

namespace trestle {
namespace {

bool IsReadable(int fd) {
  pollfd entry = {fd, POLLIN, 0};
  EXPECT_GE(poll(&entry, 1, 0), 0);
  return (entry.revents & POLLIN) != 0;
}

struct CountingWatcher final : FdWatcher {
  void OnFdReady(uint32_t) override { ++calls; }
  int calls = 0;
};

// A host. It runs a turn when the descriptor is readable or the time is up, and calls
// `NextTurnIn()` only after a turn.
class NestedLoopTest : public ::testing::Test {
 protected:
  NestedLoopTest() {
    RunTurn();
    turns_ = 0;
  }

  // Advances the clocks by `time`.
  void Pass(absl::Duration time) {
    const MonotonicTime end = clocks_.monotonic + time;
    while (true) {
      if (IsReadable(fd_)) {
        RunTurn();
      } else if (turn_at_ <= end) {
        clocks_.monotonic = std::max(clocks_.monotonic, turn_at_);
        RunTurn();
      } else {
        break;
      }
    }
    clocks_.monotonic = end;
  }

  void RunTurn() {
    ++turns_;
    loop_->RunTurn(absl::ZeroDuration());
    const absl::Duration wait = loop_->NextTurnIn();
    turn_at_ = wait == absl::InfiniteDuration() ? MonotonicTime::InfiniteFuture()
                                                : clocks_.monotonic + wait;
  }

  ManualClocks clocks_;
  std::unique_ptr<EpollLoop> loop_ = *EpollLoop::Create(clocks_);
  const int fd_ = loop_->fd();
  MonotonicTime turn_at_;
  int turns_ = 0;
};

TEST_F(NestedLoopTest, AnIdleLoopNeedsNoTurn) {
  EXPECT_EQ(loop_->NextTurnIn(), absl::InfiniteDuration());
  Pass(absl::Hours(1));
  EXPECT_EQ(turns_, 0);
}

TEST_F(NestedLoopTest, TheTimeToTheFirstTimerIsRoundedUp) {
  const Timer later = loop_->RunAfter(absl::Seconds(2), [] {});
  Timer first = loop_->RunAfter(absl::Microseconds(10'001), [] {});
  EXPECT_EQ(loop_->NextTurnIn(), absl::Milliseconds(11));
  clocks_.monotonic += absl::Seconds(1);
  EXPECT_EQ(loop_->NextTurnIn(), absl::ZeroDuration());
  first.reset();
  EXPECT_EQ(loop_->NextTurnIn(), absl::Seconds(1));
}

TEST_F(NestedLoopTest, ATimerThatNeverComesNeedsNoTurn) {
  const Timer never = loop_->RunAfter(absl::InfiniteDuration(), [] { FAIL(); });
  EXPECT_EQ(loop_->NextTurnIn(), absl::InfiniteDuration());
}

TEST_F(NestedLoopTest, CallsWithoutDelayAreDueAtOnce) {
  Timer next;
  const Timer first = loop_->RunAfter(absl::ZeroDuration(),
                                      [&] { next = loop_->RunAfter(-absl::Seconds(1), [] {}); });
  RunTurn();
  EXPECT_EQ(loop_->NextTurnIn(), absl::ZeroDuration());
}

TEST_F(NestedLoopTest, AWatchedDescriptorMakesTheLoopReadableOnce) {
  const OwnedFd event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  CountingWatcher watcher;
  ASSERT_TRUE(loop_->Watch(event.get(), watcher).ok());
  Settle(*loop_);
  watcher.calls = 0;
  EXPECT_FALSE(IsReadable(fd_));
  eventfd_write(event.get(), 1);
  EXPECT_TRUE(IsReadable(fd_));
  Pass(absl::ZeroDuration());
  EXPECT_EQ(watcher.calls, 1);
  EXPECT_FALSE(IsReadable(fd_))
      << "the watcher read nothing, and the host must not poll without end";
  loop_->Unwatch(event.get());
}

TEST_F(NestedLoopTest, MoreEventsThanFitOneTurnLeaveTheLoopReadable) {
  std::vector<OwnedFd> events;
  std::vector<CountingWatcher> watchers(600);
  for (CountingWatcher& watcher : watchers) {
    events.emplace_back(eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
    ASSERT_TRUE(loop_->Watch(events.back().get(), watcher).ok());
  }
  Pass(absl::ZeroDuration());
  EXPECT_EQ(turns_, 3);
  for (const CountingWatcher& watcher : watchers) EXPECT_EQ(watcher.calls, 1);
  for (const OwnedFd& event : events) loop_->Unwatch(event.get());
}

TEST_F(NestedLoopTest, ATimerArmedBetweenTurnsWakesTheHost) {
  const MonotonicTime start = clocks_.monotonic;
  MonotonicTime called;
  const Timer timer = loop_->RunAfter(absl::Seconds(3), [&] { called = clocks_.monotonic; });
  Pass(absl::Seconds(10));
  EXPECT_EQ(called - start, absl::Seconds(3));
}

TEST_F(NestedLoopTest, AnEarlierTimerArmedBetweenTurnsWakesTheHost) {
  const MonotonicTime start = clocks_.monotonic;
  const Timer late = loop_->RunAfter(absl::Minutes(1), [] {});
  Pass(absl::Seconds(1));
  MonotonicTime called;
  const Timer early = loop_->RunAfter(absl::Seconds(2), [&] { called = clocks_.monotonic; });
  Pass(absl::Seconds(10));
  EXPECT_EQ(called - start, absl::Seconds(3));
}

TEST_F(NestedLoopTest, ACallWithoutDelayBetweenTurnsWakesTheHost) {
  int calls = 0;
  const Timer timer = loop_->RunAfter(absl::ZeroDuration(), [&] { ++calls; });
  loop_->PostFromAnyThread([&] { ++calls; });
  Pass(absl::ZeroDuration());
  EXPECT_EQ(calls, 2);
}

TEST_F(NestedLoopTest, APostFromAnotherThreadMakesTheLoopReadable) {
  bool called = false;
  std::thread other([&] { loop_->PostFromAnyThread([&] { called = true; }); });
  other.join();
  Pass(absl::ZeroDuration());
  EXPECT_TRUE(called);
}

TEST_F(NestedLoopTest, ALaterTimerArmedBetweenTurnsDoesNotWakeTheHost) {
  const Timer first = loop_->RunAfter(absl::Seconds(1), [] {});
  Pass(absl::ZeroDuration());
  turns_ = 0;
  const Timer second = loop_->RunAfter(absl::Seconds(2), [] {});
  EXPECT_FALSE(IsReadable(fd_));
  Pass(absl::Seconds(10));
  EXPECT_EQ(turns_, 2);
}

TEST_F(NestedLoopTest, ManyTimersArmedBetweenTurnsCostOneTurn) {
  std::vector<Timer> timers;
  for (int i = 100; i > 0; --i) timers.push_back(loop_->RunAfter(absl::Seconds(i), [] {}));
  Pass(absl::ZeroDuration());
  EXPECT_EQ(turns_, 1);
}

TEST_F(NestedLoopTest, TimersArmedInATurnDoNotWakeTheHost) {
  Timer timer;
  loop_->PostFromAnyThread([&] { timer = loop_->RunAfter(absl::Seconds(1), [] {}); });
  RunTurn();
  EXPECT_FALSE(IsReadable(fd_));
  EXPECT_EQ(loop_->NextTurnIn(), absl::Seconds(1));
}

TEST(UnnestedLoopTest, TimersArmedBetweenTurnsCostNoSystemCall) {
  ManualClocks clocks;
  auto loop = *EpollLoop::Create(clocks);
  const Timer timer = loop->RunAfter(absl::Seconds(1), [] {});
  EXPECT_FALSE(IsReadable(loop->fd()));
}

// The host waits for edges, as a reactor with EPOLLET does, and runs one turn for each.
TEST_F(NestedLoopTest, AHostThatWaitsForEdgesMissesNoDescriptor) {
  const OwnedFd outer(epoll_create1(EPOLL_CLOEXEC));
  epoll_event interest = {};
  interest.events = EPOLLIN | EPOLLET;
  ASSERT_EQ(epoll_ctl(outer.get(), EPOLL_CTL_ADD, fd_, &interest), 0);
  const OwnedFd event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  CountingWatcher watcher;
  ASSERT_TRUE(loop_->Watch(event.get(), watcher).ok());
  Settle(*loop_);
  watcher.calls = 0;
  for (int i = 1; i <= 3; ++i) {
    eventfd_write(event.get(), 1);
    epoll_event seen = {};
    ASSERT_EQ(epoll_wait(outer.get(), &seen, 1, 0), 1);
    RunTurn();
    EXPECT_EQ(watcher.calls, i);
  }
  loop_->Unwatch(event.get());
}

}  // namespace
}  // namespace trestle
