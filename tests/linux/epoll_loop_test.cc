#include "trestle/linux/epoll_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/linux/loopback.h"

namespace trestle {
namespace {

std::unique_ptr<EpollLoop> NewLoop() {
  auto loop = EpollLoop::Create();
  EXPECT_TRUE(loop.ok()) << loop.status();
  return *std::move(loop);
}

// An eventfd that becomes readable after `Signal`.
class Event {
 public:
  Event() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  int fd() const { return fd_.get(); }
  void Signal() {
    const uint64_t one = 1;
    EXPECT_EQ(write(fd_.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  }
  void Close() { fd_.Reset(); }

 private:
  OwnedFd fd_;
};

struct CountingWatcher final : FdWatcher {
  void OnFdReady(uint32_t events) override {
    if (events & EPOLLIN) ++readable;
    if (on_ready) on_ready();
  }
  int readable = 0;
  absl::AnyInvocable<void()> on_ready;
};

class EpollLoopTest : public ::testing::Test {
 protected:
  std::unique_ptr<EpollLoop> loop_ = NewLoop();
};

TEST_F(EpollLoopTest, PostedCallsRunInOrderAndNewOnesInTheNextTurn) {
  std::vector<int> order;
  loop_->PostFromAnyThread([&] {
    order.push_back(1);
    loop_->PostFromAnyThread([&] { order.push_back(3); });
  });
  loop_->PostFromAnyThread([&] { order.push_back(2); });
  EXPECT_TRUE(order.empty());
  loop_->RunTurn(absl::InfiniteDuration());
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  loop_->RunTurn(absl::InfiniteDuration());
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST_F(EpollLoopTest, EndlessPostsStarveNeitherDescriptorsNorTimers) {
  struct Again {
    EpollLoop& loop;
    void operator()() const { loop.PostFromAnyThread(Again{loop}); }
  };
  loop_->PostFromAnyThread(Again{*loop_});
  Event event;
  CountingWatcher watcher;
  ASSERT_TRUE(loop_->Watch(event.fd(), watcher).ok());
  event.Signal();
  bool fired = false;
  const Timer timer = loop_->RunAfter(absl::Milliseconds(1), [&] { fired = true; });
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return fired && watcher.readable == 1; }));
  loop_->Unwatch(event.fd());
}

TEST_F(EpollLoopTest, TimersRunInTheOrderOfTheirTimes) {
  std::vector<int> order;
  std::vector<Timer> timers;
  for (const int ms : {5, 1, 3, 2, 4}) {
    timers.push_back(loop_->RunAfter(absl::Milliseconds(ms), [&, ms] { order.push_back(ms); }));
  }
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return order.size() == 5; }));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4, 5}));
}

TEST_F(EpollLoopTest, TimerIsNeverEarlyByTheLoopsOwnClock) {
  const MonotonicTime due = loop_->MonotonicNow() + absl::Milliseconds(7);
  MonotonicTime fired;
  const Timer timer =
      loop_->RunAfter(absl::Milliseconds(7), [&] { fired = loop_->MonotonicNow(); });
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return fired != MonotonicTime(); }));
  EXPECT_GE(fired, due);
}

TEST_F(EpollLoopTest, ManyTimersArmedAndCancelledAtRandomStayInOrder) {
  std::vector<Timer> timers(2000);
  std::vector<int> fired;
  size_t armed = 0;
  struct StoppedClocks final : SystemClocks {
    MonotonicTime Monotonic() const override { return now; }
    MonotonicTime now = MonotonicTime::FromStart(absl::Hours(1));
  } clocks;
  loop_ = *EpollLoop::Create(clocks);
  loop_->PostFromAnyThread([&] {
    std::mt19937 random(1);
    for (int round = 0; round < 20000; ++round) {
      Timer& timer = timers[random() % timers.size()];
      const int us = static_cast<int>(random() % 3000);
      timer = loop_->RunAfter(absl::Microseconds(us), [&fired, us] { fired.push_back(us); });
      if (us % 3 == 0) timer.reset();
    }
    for (const Timer& timer : timers) armed += timer != nullptr ? 1 : 0;
  });
  EXPECT_TRUE(TurnUntil(*loop_, [&] {
    clocks.now += absl::Microseconds(100);
    return armed > 0 && fired.size() >= armed;
  }));
  EXPECT_EQ(fired.size(), armed);
  EXPECT_TRUE(std::is_sorted(fired.begin(), fired.end()));
}

TEST_F(EpollLoopTest, TimerMayDestroyItselfAndOthersThatAreDue) {
  int calls = 0;
  Timer first, second;
  const auto call = [&, text = std::string(100, 'x')] {
    first.reset();
    second.reset();
    calls += static_cast<int>(text.size()) / 100;
  };
  first = loop_->RunAfter(absl::ZeroDuration(), call);
  second = loop_->RunAfter(absl::ZeroDuration(), call);
  loop_->RunTurn(absl::InfiniteDuration());
  loop_->RunTurn(absl::ZeroDuration());
  EXPECT_EQ(calls, 1);
}

TEST_F(EpollLoopTest, ATimerThatRearmsWithoutDelayDoesNotDelayOthers) {
  int rearmed = 0;
  Timer timer;
  absl::AnyInvocable<void()> rearm = [&] {
    ++rearmed;
    timer = loop_->RunAfter(absl::ZeroDuration(), [&] { rearm(); });
  };
  rearm();
  loop_->RunTurn(absl::InfiniteDuration());
  EXPECT_EQ(rearmed, 2);
}

TEST_F(EpollLoopTest, TimersOutliveTheLoop) {
  Timer timer = loop_->RunAfter(absl::Seconds(1), [] { FAIL(); });
  Timer inner = loop_->RunAfter(absl::Seconds(1), [] { FAIL(); });
  Timer outer = loop_->RunAfter(absl::Seconds(1), [inner = std::move(inner)] { FAIL(); });
  loop_.reset();
  timer.reset();
}

TEST_F(EpollLoopTest, InfiniteDelayIsNeverDue) {
  const Timer timer = loop_->RunAfter(absl::InfiniteDuration(), [] { FAIL(); });
  loop_->RunTurn(absl::Milliseconds(1));
}

TEST_F(EpollLoopTest, IdleLoopSleepsUntilTheTimer) {
  bool fired = false;
  const Timer timer = loop_->RunAfter(absl::Milliseconds(50), [&] { fired = true; });
  int turns = 0;
  while (!fired && turns < 1000) {
    loop_->RunTurn(absl::InfiniteDuration());
    ++turns;
  }
  EXPECT_LE(turns, 2) << "a loop that spins makes thousands of turns";
}

TEST_F(EpollLoopTest, CallsFromOtherThreadsKeepTheirOrder) {
  constexpr int kThreads = 4;
  constexpr int kCalls = 2000;
  std::vector<std::vector<int>> seen(kThreads);
  int done = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kCalls; ++i) {
        loop_->PostFromAnyThread([&, t, i] {
          seen[t].push_back(i);
          if (++done == kThreads * kCalls) loop_->Stop();
        });
      }
    });
  }
  loop_->Run();
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<int>& numbers : seen) {
    EXPECT_EQ(numbers.size(), static_cast<size_t>(kCalls));
    EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
  }
}

TEST_F(EpollLoopTest, StopEndsRunFromAnotherThreadAndBeforeRun) {
  loop_->Stop();
  loop_->Run();
  std::thread stopper([&] { loop_->Stop(); });
  loop_->Run();
  stopper.join();
}

TEST_F(EpollLoopTest, CallsOfOtherThreadsAreDroppedWithTheLoop) {
  auto held = std::make_shared<int>(1);
  loop_->PostFromAnyThread([held] { FAIL(); });
  loop_.reset();
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(EpollLoopTest, WatcherRemovedWithinTheBatchIsNotCalled) {
  Event events[2];
  CountingWatcher watchers[2];
  int calls = 0;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(loop_->Watch(events[i].fd(), watchers[i]).ok());
    events[i].Signal();
    watchers[i].on_ready = [&, i] {
      ++calls;
      loop_->Unwatch(events[1 - i].fd());
      events[1 - i].Close();
      watchers[1 - i].on_ready = [] { FAIL() << "called after Unwatch"; };
    };
  }
  Settle(*loop_);
  EXPECT_EQ(calls, 1);
}

TEST_F(EpollLoopTest, EventOfAnEarlierDescriptorWithTheSameNumberIsDropped) {
  Event events[2];
  CountingWatcher watchers[2];
  std::unique_ptr<Event> successor;
  CountingWatcher successor_watcher;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(loop_->Watch(events[i].fd(), watchers[i]).ok());
    events[i].Signal();
    watchers[i].on_ready = [&, i] {
      if (successor != nullptr) return;
      const int number = events[1 - i].fd();
      loop_->Unwatch(number);
      events[1 - i].Close();
      successor = std::make_unique<Event>();
      ASSERT_EQ(successor->fd(), number);
      ASSERT_TRUE(loop_->Watch(number, successor_watcher).ok());
    };
  }
  Settle(*loop_);
  ASSERT_NE(successor, nullptr);
  EXPECT_EQ(watchers[0].readable + watchers[1].readable, 1);
  EXPECT_EQ(successor_watcher.readable, 0);
  successor->Signal();
  Settle(*loop_);
  EXPECT_EQ(successor_watcher.readable, 1);
}

TEST_F(EpollLoopTest, WatchingAgainReplacesTheWatcher) {
  Event event;
  CountingWatcher first, second;
  ASSERT_TRUE(loop_->Watch(event.fd(), first).ok());
  ASSERT_TRUE(loop_->Watch(event.fd(), second).ok());
  event.Signal();
  Settle(*loop_);
  EXPECT_EQ(first.readable, 0);
  EXPECT_EQ(second.readable, 1);
}

TEST_F(EpollLoopTest, RejectsDescriptorsThatCannotBeWatched) {
  OwnedFd file(open("/dev/null", O_RDONLY));
  OwnedFd closed(dup(file.get()));
  const int number = closed.get();
  closed.Reset();
  CountingWatcher watcher;
  EXPECT_EQ(CodeOf(loop_->Watch(number, watcher)), ErrorCode::kTransport);
}

TEST(EpollLoopCreateTest, ReportsThatDescriptorsRanOut) {
  DescriptorFamine famine;
  EXPECT_EQ(DetailOf(EpollLoop::Create().status()),
            "cannot open an epoll descriptor: Too many open files");
  famine.Release(1);
  EXPECT_EQ(DetailOf(EpollLoop::Create().status()), "cannot open an eventfd: Too many open files");
}

}  // namespace
}  // namespace trestle
