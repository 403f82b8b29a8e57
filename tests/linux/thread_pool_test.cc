#include "trestle/linux/thread_pool.h"

#include <pthread.h>

#include <atomic>
#include <memory>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

ErrorCode CodeOf(const absl::Status& status) { return GetError(status).value().code; }

TEST(ThreadPoolTest, RunsTasksOnItsOwnThreads) {
  const auto pool = *ThreadPool::Create({2, 16});
  absl::Notification first;
  absl::Notification second;
  const pthread_t here = pthread_self();
  std::atomic<bool> elsewhere{false};
  ASSERT_TRUE(pool->Run([&] {
                    elsewhere = pthread_equal(here, pthread_self()) == 0;
                    second.WaitForNotification();
                    first.Notify();
                  })
                  .ok());
  // Needs the second thread.
  ASSERT_TRUE(pool->Run([&] { second.Notify(); }).ok());
  first.WaitForNotification();
  EXPECT_TRUE(elsewhere);
}

TEST(ThreadPoolTest, TheNumberOfWaitingTasksIsLimited) {
  const auto pool = *ThreadPool::Create({1, 2});
  absl::Notification busy;
  absl::Notification go_on;
  ASSERT_TRUE(pool->Run([&] {
                    busy.Notify();
                    go_on.WaitForNotification();
                  })
                  .ok());
  busy.WaitForNotification();
  EXPECT_TRUE(pool->Run([] {}).ok());
  EXPECT_TRUE(pool->Run([] {}).ok());
  EXPECT_EQ(CodeOf(pool->Run([] {})), ErrorCode::kOverLimit);
  go_on.Notify();
}

TEST(ThreadPoolTest, StopWaitsForRunningTasksAndDropsWaitingOnes) {
  const auto pool = *ThreadPool::Create({1, 2});
  absl::Notification busy;
  absl::Notification go_on;
  std::atomic<int> run{0};
  ASSERT_TRUE(pool->Run([&] {
                    busy.Notify();
                    go_on.WaitForNotification();
                    ++run;
                  })
                  .ok());
  busy.WaitForNotification();
  const auto token = std::make_shared<int>();
  ASSERT_TRUE(pool->Run([&run, token] { ++run; }).ok());
  go_on.Notify();
  pool->Stop();
  EXPECT_GE(run, 1);
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_EQ(CodeOf(pool->Run([] {})), ErrorCode::kCancelled);
}

TEST(ThreadPoolTest, OptionsHaveRanges) {
  for (const ThreadPoolOptions& bad :
       {ThreadPoolOptions{0, 1}, ThreadPoolOptions{65, 1}, ThreadPoolOptions{1, 0}}) {
    EXPECT_EQ(CodeOf(ThreadPool::Create(bad).status()), ErrorCode::kConfiguration);
  }
}

}  // namespace
}  // namespace trestle
