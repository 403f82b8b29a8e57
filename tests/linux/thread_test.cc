#include "trestle/linux/thread.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <cstddef>
#include <utility>

#include "gtest/gtest.h"
#include "tests/linux/loopback.h"

namespace trestle {
namespace {

TEST(ThreadTest, RunsItsMainWithoutSignals) {
  std::atomic<bool> ran = false;
  auto thread = Thread::Start([&] {
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    ran = sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGPIPE) == 1;
  });
  ASSERT_TRUE(thread.ok()) << thread.status();
  thread->Join();
  EXPECT_TRUE(ran);
  sigset_t blocked;
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  EXPECT_EQ(sigismember(&blocked, SIGPIPE), 0);
}

TEST(ThreadTest, MovesAndJoinsOnce) {
  std::atomic<int> ran = 0;
  {
    Thread none;
    Thread kept;
    for (int i = 0; i < 3; ++i) {
      auto thread = Thread::Start([&] { ++ran; });
      ASSERT_TRUE(thread.ok()) << thread.status();
      kept = *std::move(thread);  // Joins the earlier one.
      EXPECT_GE(ran, i);
    }
    none = std::move(kept);
  }
  EXPECT_EQ(ran, 3);
}

TEST(ThreadTest, NoMemoryForAStackIsAStatus) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_getattr_default_np(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, size_t{1} << 46), 0);
  pthread_attr_t usual;
  ASSERT_EQ(pthread_getattr_default_np(&usual), 0);
  ASSERT_EQ(pthread_setattr_default_np(&attributes), 0);
  const auto thread = Thread::Start([] {});
  ASSERT_EQ(pthread_setattr_default_np(&usual), 0);
  EXPECT_EQ(CodeOf(thread.status()), ErrorCode::kTransport);
  EXPECT_EQ(DetailOf(thread.status()), "cannot start a thread: Resource temporarily unavailable");
}

}  // namespace
}  // namespace trestle
