// The loop's clocks: changes of the system's date, and pauses of the process.
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/linux/loopback.h"
#include "tests/linux/manual_clocks.h"
#include "trestle/linux/epoll_loop.h"

namespace trestle {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(5);
constexpr absl::Duration kPause = absl::Seconds(7);

// An eventfd that its watcher reads, and the time limit of the read.
class Waiting final : FdWatcher {
 public:
  explicit Waiting(EpollLoop& loop) : loop_(loop), fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    EXPECT_TRUE(loop.Watch(fd_.get(), *this).ok());
    limit_ = loop.RunAfter(kLimit, [this] { timed_out = true; });
  }
  ~Waiting() { loop_.Unwatch(fd_.get()); }

  void Arrive() {
    const uint64_t one = 1;
    EXPECT_EQ(write(fd_.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  }

  // Each layer above passes the event on with a call without delay.
  int layers = 0;
  bool read = false;
  bool timed_out = false;

 private:
  void OnFdReady(uint32_t events) override {
    if (events & EPOLLIN) HandOn(layers);
  }

  void HandOn(int layers_left) {
    if (layers_left > 0) {
      next_ =
          loop_.RunAfter(absl::ZeroDuration(), [this, layers_left] { HandOn(layers_left - 1); });
      return;
    }
    read = true;
    limit_.reset();
  }

  EpollLoop& loop_;
  const OwnedFd fd_;
  Timer limit_;
  Timer next_;
};

class EpollLoopClockTest : public ::testing::Test {
 protected:
  void Add(int count, int layers = 0) {
    for (int i = 0; i < count; ++i) {
      waiting_.push_back(std::make_unique<Waiting>(*loop_));
      waiting_.back()->layers = layers;
    }
  }

  void ArriveAtAll() {
    for (const auto& waiting : waiting_) waiting->Arrive();
  }

  int TimedOut() const {
    int count = 0;
    for (const auto& waiting : waiting_) count += waiting->timed_out ? 1 : 0;
    return count;
  }

  int Read() const {
    int count = 0;
    for (const auto& waiting : waiting_) count += waiting->read ? 1 : 0;
    return count;
  }

  void ExpectAllRead() {
    EXPECT_EQ(TimedOut(), 0);
    EXPECT_EQ(Read(), static_cast<int>(waiting_.size()));
  }

  ManualClocks clocks_;
  std::unique_ptr<EpollLoop> loop_ = *EpollLoop::Create(clocks_);
  std::vector<std::unique_ptr<Waiting>> waiting_;
};

TEST_F(EpollLoopClockTest, TheDateFollowsTheSystemsClockForwardAndBack) {
  const absl::Time start = clocks_.wall;
  const MonotonicTime moment = loop_->MonotonicNow();
  for (const absl::Duration step : {absl::Hours(24 * 30), absl::ZeroDuration(), -absl::Hours(1)}) {
    clocks_.wall = start + step;
    EXPECT_EQ(loop_->Now(), start + step);
    absl::Time in_turn = absl::InfinitePast();
    const Timer timer = loop_->RunAfter(absl::ZeroDuration(), [&] { in_turn = loop_->Now(); });
    loop_->RunTurn(absl::ZeroDuration());
    EXPECT_EQ(in_turn, start + step);
    EXPECT_EQ(loop_->MonotonicNow(), moment);
  }
}

TEST_F(EpollLoopClockTest, TimersIgnoreChangesOfTheDate) {
  bool fired = false;
  const Timer timer = loop_->RunAfter(kLimit, [&] { fired = true; });
  clocks_.wall += absl::Hours(24 * 30);
  loop_->RunTurn(absl::ZeroDuration());
  EXPECT_FALSE(fired);
  clocks_.wall -= absl::Hours(24 * 60);
  clocks_.monotonic += kLimit;
  loop_->RunTurn(absl::ZeroDuration());
  EXPECT_TRUE(fired);
}

TEST_F(EpollLoopClockTest, TheRealClocksAreThoseOfTheSystem) {
  auto loop = *EpollLoop::Create();
  EXPECT_LT(absl::AbsDuration(loop->Now() - absl::Now()), absl::Minutes(1));
  MonotonicTime last = loop->MonotonicNow();
  for (int i = 0; i < 1000; ++i) {
    loop->RunTurn(absl::ZeroDuration());
    const MonotonicTime now = loop->MonotonicNow();
    EXPECT_GE(now, last);
    last = now;
  }
}

TEST_F(EpollLoopClockTest, TheTimeIsConstantWithinATurn) {
  absl::Time first, second;
  MonotonicTime first_moment, second_moment;
  loop_->PostFromAnyThread([&] {
    first = loop_->Now();
    first_moment = loop_->MonotonicNow();
    clocks_.wall += kPause;
    clocks_.monotonic += kPause;
    second = loop_->Now();
    second_moment = loop_->MonotonicNow();
  });
  loop_->RunTurn(absl::ZeroDuration());
  EXPECT_EQ(first, second);
  EXPECT_EQ(first_moment, second_moment);
}

TEST_F(EpollLoopClockTest, InputDuringAPauseIsReadBeforeTimersRun) {
  Add(20);
  ArriveAtAll();
  clocks_.monotonic += kPause;
  loop_->RunTurn(absl::ZeroDuration());
  ExpectAllRead();
}

TEST_F(EpollLoopClockTest, InputBeyondOneBatchOfEventsIsReadBeforeTimersRun) {
  Add(600);
  ArriveAtAll();
  clocks_.monotonic += kPause;
  loop_->RunTurn(absl::ZeroDuration());
  ExpectAllRead();
}

// The process is stopped after epoll_wait(2), which found nothing, and before it reads the clock.
TEST_F(EpollLoopClockTest, InputAfterTheWaitIsReadBeforeTimersRun) {
  Add(600);
  clocks_.reads = 0;
  clocks_.on_read = [&] {
    if (clocks_.reads != 2) return;
    ArriveAtAll();
    clocks_.monotonic += kPause;
  };
  loop_->RunTurn(absl::ZeroDuration());
  EXPECT_GE(clocks_.reads, 2);
  ExpectAllRead();
}

TEST_F(EpollLoopClockTest, InputBeforeASignalIsReadBeforeTimersRun) {
  struct sigaction no_restart = {}, before = {};
  no_restart.sa_handler = [](int) {};
  ASSERT_EQ(sigaction(SIGUSR1, &no_restart, &before), 0);
  Add(20);
  // The first read of the clock comes before the wait, the second one after it.
  clocks_.reads = 0;
  std::atomic<bool> waited{false};
  clocks_.on_read = [&] {
    if (clocks_.reads != 2) return;
    waited = true;
    ArriveAtAll();
    clocks_.monotonic += kPause;
  };
  const pthread_t self = pthread_self();
  std::thread interrupter([&] {
    while (!waited) {
      pthread_kill(self, SIGUSR1);
      absl::SleepFor(absl::Milliseconds(1));
    }
  });
  loop_->RunTurn(absl::InfiniteDuration());
  interrupter.join();
  sigaction(SIGUSR1, &before, nullptr);
  ExpectAllRead();
}

TEST_F(EpollLoopClockTest, AnswersOfOtherThreadsCountAsInput) {
  bool answered = false, timed_out = false;
  Timer limit = loop_->RunAfter(kLimit, [&] { timed_out = true; });
  std::thread other([&] {
    loop_->PostFromAnyThread([&] {
      answered = true;
      limit.reset();
    });
  });
  other.join();
  clocks_.monotonic += kPause;
  loop_->RunTurn(absl::ZeroDuration());
  EXPECT_TRUE(answered);
  EXPECT_FALSE(timed_out);
}

TEST_F(EpollLoopClockTest, InputReachesTheUpperLayersBeforeTimersRun) {
  Add(600, 4);
  ArriveAtAll();
  clocks_.monotonic += kPause;
  loop_->RunTurn(absl::ZeroDuration());
  ExpectAllRead();
}

TEST_F(EpollLoopClockTest, TimersOfSilentPeersRunAtOnce) {
  Add(600);
  for (size_t i = 0; i < waiting_.size(); i += 2) waiting_[i]->Arrive();
  clocks_.monotonic += kPause;
  loop_->RunTurn(absl::ZeroDuration());
  EXPECT_EQ(Read(), 300);
  EXPECT_EQ(TimedOut(), 300);
}

TEST_F(EpollLoopClockTest, ATimerArmedLateInALongTurnHasItsWholeTime) {
  bool timed_out = false;
  Timer late;
  loop_->PostFromAnyThread([&] {
    clocks_.monotonic += kPause;  // Simulates a long call.
    late = loop_->RunAfter(kLimit, [&] { timed_out = true; });
  });
  loop_->RunTurn(absl::ZeroDuration());
  loop_->RunTurn(absl::ZeroDuration());
  EXPECT_FALSE(timed_out);
  clocks_.monotonic += kLimit;
  loop_->RunTurn(absl::ZeroDuration());
  EXPECT_TRUE(timed_out);
}

TEST_F(EpollLoopClockTest, EndlessInputDoesNotDelayTimers) {
  struct Endless final : FdWatcher {
    explicit Endless(EpollLoop& loop) : loop(loop) {}
    void OnFdReady(uint32_t) override {
      ++calls;
      const uint64_t one = 1;
      EXPECT_EQ(write(fd.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
      next = loop.RunAfter(absl::ZeroDuration(), [this] { OnFdReady(0); });
    }
    EpollLoop& loop;
    OwnedFd fd{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    Timer next;
    int calls = 0;
  } endless(*loop_);
  ASSERT_TRUE(loop_->Watch(endless.fd.get(), endless).ok());
  endless.OnFdReady(0);
  bool timed_out = false;
  const Timer limit = loop_->RunAfter(kLimit, [&] { timed_out = true; });
  clocks_.monotonic += kPause;
  loop_->RunTurn(absl::ZeroDuration());
  EXPECT_TRUE(timed_out);
  EXPECT_LT(endless.calls, 100);
  loop_->Unwatch(endless.fd.get());
}

}  // namespace
}  // namespace trestle
