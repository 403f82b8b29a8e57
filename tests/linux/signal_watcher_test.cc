#include "trestle/linux/signal_watcher.h"

#include <signal.h>
#include <unistd.h>

#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/linux/loopback.h"

namespace trestle {
namespace {

class SignalWatcherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::vector<int> signals = {SIGHUP, SIGTERM, SIGINT};
    ASSERT_TRUE(BlockSignals(signals).ok());
  }

  std::unique_ptr<SignalWatcher> Watch(std::vector<int> signals) {
    auto watcher =
        SignalWatcher::Create(*loop_, signals, [this](int signal) { seen_.push_back(signal); });
    EXPECT_TRUE(watcher.ok()) << watcher.status();
    return *std::move(watcher);
  }

  std::unique_ptr<EpollLoop> loop_ = *EpollLoop::Create();
  std::vector<int> seen_;
};

TEST_F(SignalWatcherTest, ReportsEachSignalFromTheLoop) {
  const auto watcher = Watch({SIGHUP, SIGTERM});
  kill(getpid(), SIGHUP);
  EXPECT_TRUE(seen_.empty());
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return seen_.size() == 1; }));
  kill(getpid(), SIGTERM);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return seen_.size() == 2; }));
  EXPECT_EQ(seen_, (std::vector<int>{SIGHUP, SIGTERM}));
}

TEST_F(SignalWatcherTest, SignalsReachItWhileOtherThreadsRun) {
  const auto watcher = Watch({SIGINT});
  std::unique_ptr<EpollLoop> other = *EpollLoop::Create();
  std::thread thread([&] { other->Run(); });
  for (size_t i = 1; i <= 20; ++i) {
    kill(getpid(), SIGINT);
    EXPECT_TRUE(TurnUntil(*loop_, [&] { return seen_.size() == i; }));
  }
  other->Stop();
  thread.join();
}

TEST_F(SignalWatcherTest, AnEarlierSignalIsNotLost) {
  kill(getpid(), SIGHUP);
  const auto watcher = Watch({SIGHUP});
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return seen_.size() == 1; }));
}

TEST_F(SignalWatcherTest, MayBeDestroyedInsideItsCallback) {
  std::unique_ptr<SignalWatcher> watcher;
  int calls = 0;
  watcher = *SignalWatcher::Create(*loop_, {SIGHUP, SIGTERM}, [&](int) {
    watcher.reset();
    ++calls;
  });
  kill(getpid(), SIGHUP);
  kill(getpid(), SIGTERM);
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return calls == 1; }));
  Settle(*loop_);
  EXPECT_EQ(calls, 1);
  const auto drain = Watch({SIGHUP, SIGTERM});
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return seen_.size() == 1; }));
}

TEST_F(SignalWatcherTest, RejectsSignalsThatAreNotBlocked) {
  const auto watcher = SignalWatcher::Create(*loop_, {SIGHUP, SIGUSR2}, [](int) {});
  EXPECT_EQ(CodeOf(watcher.status()), ErrorCode::kInternal);
}

}  // namespace
}  // namespace trestle
