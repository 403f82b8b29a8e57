// Cases about calls and time of a scheduler.

#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/testing/conformance/cases.h"

namespace trestle::testing {
namespace {

void TheMonotonicClockNeverGoesBack(Stage& s) {
  MonotonicTime last = s.loop().MonotonicNow();
  for (int i = 0; i < 20; ++i) {
    bool called = false;
    const Timer timer = s.loop().RunAfter(absl::Milliseconds(i % 3), [&] {
      called = true;
      EXPECT_GE(s.loop().MonotonicNow(), last);
      last = s.loop().MonotonicNow();
    });
    ASSERT_TRUE(s.Until([&] { return called; }));
    EXPECT_GE(s.loop().MonotonicNow(), last);
    last = s.loop().MonotonicNow();
  }
}

void TheDateIsOneOfToday(Stage& s) {
  EXPECT_GT(s.loop().Now(), absl::FromUnixSeconds(1'600'000'000));
}

void PostedCallsRunLaterAndInOrder(Stage& s) {
  std::vector<int> order;
  bool inside = true;
  for (int i = 0; i < 50; ++i) {
    s.loop().PostFromAnyThread([&, i] {
      EXPECT_FALSE(inside) << "the call ran inside PostFromAnyThread";
      order.push_back(i);
    });
  }
  EXPECT_TRUE(order.empty());
  inside = false;
  ASSERT_TRUE(s.Until([&] { return order.size() == 50; }));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(order[i], i);
}

void CallsOfTheLoopNeverNest(Stage& s) {
  bool inside = false;
  int calls = 0;
  Timer timers[3];
  s.loop().PostFromAnyThread([&] {
    inside = true;
    const auto call = [&] {
      EXPECT_FALSE(inside) << "a call ran inside another";
      ++calls;
    };
    s.loop().PostFromAnyThread(call);
    timers[0] = s.loop().RunAfter(absl::ZeroDuration(), call);
    timers[1] = s.loop().RunAfter(-absl::Seconds(1), call);
    timers[2] = s.loop().RunAfter(absl::Milliseconds(1), call);
    inside = false;
  });
  EXPECT_TRUE(s.Until([&] { return calls == 4; }));
}

void CallsOfOtherThreadsKeepTheirOrder(Stage& s) {
  if (s.traits().simulated) return;
  std::vector<int> orders[3];
  std::vector<std::thread> threads;
  for (auto& order : orders) {
    threads.emplace_back([&s, &order] {
      for (int i = 0; i < 100; ++i) s.loop().PostFromAnyThread([&order, i] { order.push_back(i); });
    });
  }
  EXPECT_TRUE(s.Until([&] {
    return orders[0].size() == 100 && orders[1].size() == 100 && orders[2].size() == 100;
  }));
  for (std::thread& thread : threads) thread.join();
  s.Settle();
  for (const auto& order : orders) {
    for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], static_cast<int>(i));
  }
}

void ATimerIsNeverEarlyAndRunsOnce(Stage& s) {
  const absl::Duration delay = absl::Microseconds(s.RandomSize(20'000));
  const MonotonicTime start = s.loop().MonotonicNow();
  int calls = 0;
  const Timer timer = s.loop().RunAfter(delay, [&] {
    ++calls;
    EXPECT_GE(s.loop().MonotonicNow() - start, delay);
  });
  EXPECT_EQ(calls, 0) << "the call ran inside RunAfter";
  ASSERT_TRUE(s.Until([&] { return calls > 0; }));
  s.Settle();
  EXPECT_EQ(calls, 1);
}

void DelaysOfZeroAndLessAreDueAtOnce(Stage& s) {
  int calls = 0;
  bool limit = false;
  const Timer zero = s.loop().RunAfter(absl::ZeroDuration(), [&] { ++calls; });
  const Timer negative = s.loop().RunAfter(-absl::Hours(1), [&] { ++calls; });
  const Timer longest = s.loop().RunAfter(-absl::InfiniteDuration(), [&] { ++calls; });
  const Timer timer = s.loop().RunAfter(absl::Milliseconds(500), [&] { limit = true; });
  EXPECT_EQ(calls, 0) << "a call ran inside RunAfter";
  ASSERT_TRUE(s.Until([&] { return calls == 3; }));
  EXPECT_FALSE(limit);
}

void AnInfiniteDelayIsNeverDue(Stage& s) {
  bool called = false;
  auto held = std::make_shared<int>(1);
  Timer timer = s.loop().RunAfter(absl::InfiniteDuration(), [&called, held] { called = true; });
  s.Settle();
  EXPECT_FALSE(called);
  timer.reset();
  s.Settle();
  EXPECT_FALSE(called);
  EXPECT_EQ(held.use_count(), 1) << "the call was not destroyed";
}

void ADestroyedTimerIsNotCalled(Stage& s) {
  int calls = 0;
  for (const absl::Duration delay : {absl::ZeroDuration(), absl::Milliseconds(1)}) {
    s.loop().RunAfter(delay, [&] { ++calls; }).reset();
    // Both are due; the first one destroys the other.
    Timer first;
    Timer second;
    first = s.loop().RunAfter(delay, [&] { second.reset(); });
    second = s.loop().RunAfter(delay, [&] { first.reset(); });
    s.Settle();
    EXPECT_TRUE((first == nullptr) != (second == nullptr));
  }
  EXPECT_EQ(calls, 0);
}

void ATimerMayBeDestroyedInItsOwnCall(Stage& s) {
  Timer timer;
  auto held = std::make_shared<int>(7);
  int calls = 0;
  int seen = 0;
  timer = s.loop().RunAfter(absl::ZeroDuration(), [&timer, &calls, &seen, held] {
    ++calls;
    timer.reset();
    seen = *held;  // The captures live as long as the call.
  });
  ASSERT_TRUE(s.Until([&] { return calls > 0; }));
  s.Settle();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(seen, 7);
}

void ACallThatArmsItselfAgainStarvesNothing(Stage& s) {
  Timer again;
  bool stop = false;
  absl::AnyInvocable<void()> arm = [&] {
    if (stop) return;
    again = s.loop().RunAfter(absl::ZeroDuration(), [&arm] { arm(); });
  };
  arm();
  bool posted = false;
  bool zero = false;
  // Simulated time is constant while calls are due.
  bool limit = s.traits().simulated;
  Timer limit_timer;
  if (!limit) limit_timer = s.loop().RunAfter(absl::Milliseconds(5), [&] { limit = true; });
  s.loop().PostFromAnyThread([&] { posted = true; });
  const Timer timer = s.loop().RunAfter(absl::ZeroDuration(), [&] { zero = true; });
  EXPECT_TRUE(s.Until([&] { return posted && zero && limit; }));
  if (limit_timer != nullptr) {
    s.b->Send("x");
    EXPECT_EQ(s.ReadWhenReady(*s.a), IoState::kOk) << "input got no turn";
  }
  stop = true;
  again.reset();
}

// A late loop: bytes have arrived, and the time limit is over.
void InputComesBeforeATimeLimit(Stage& s) {
  constexpr absl::Duration kLimit = absl::Milliseconds(30);
  bool read = false;
  bool followed = false;
  bool limit = false;
  Timer follows;
  EXPECT_EQ(s.a->Read(), IoState::kWouldBlock);
  s.a->on_readable = [&] {
    read = true;
    follows = s.loop().RunAfter(absl::ZeroDuration(), [&] { followed = true; });
  };
  const Timer timer = s.loop().RunAfter(kLimit, [&] {
    limit = true;
    EXPECT_TRUE(read) << "the limit came before the input";
    EXPECT_TRUE(followed) << "the limit came before a call that follows from the input";
  });
  ASSERT_EQ(s.b->Write("x"), IoState::kOk);
  if (!s.traits().simulated) {
    const auto late = std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(2 * kLimit);
    while (std::chrono::steady_clock::now() < late) continue;
  }
  EXPECT_TRUE(s.Until([&] { return limit; }));
  s.a->on_readable = nullptr;
}

void TheDestructorDropsCallsAndTimersOutliveIt(ConformanceHostFactory& new_host, uint64_t seed) {
  int calls = 0;
  auto held = std::make_shared<int>(1);
  std::vector<Timer> timers;
  {
    const std::unique_ptr<ConformanceHost> host = new_host(seed);
    const auto call = [&calls, held] { ++calls; };
    host->scheduler().PostFromAnyThread(call);
    for (const absl::Duration delay :
         {absl::ZeroDuration(), absl::Milliseconds(1), absl::InfiniteDuration()}) {
      timers.push_back(host->scheduler().RunAfter(delay, call));
    }
  }
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(held.use_count(), 1) << "calls were not dropped";
  timers.clear();
  EXPECT_EQ(calls, 0);
}

constexpr ConformanceCase kCases[] = {
    {"TheMonotonicClockNeverGoesBack", "MonotonicNow: a clock that never goes back.",
     Alone<TheMonotonicClockNeverGoesBack>},
    {"TheDateIsOneOfToday", "Now: the date by the system's clock.", Alone<TheDateIsOneOfToday>},
    {"PostedCallsRunLaterAndInOrder",
     "PostFromAnyThread: never inside this function; in the order in which the thread posted them.",
     Alone<PostedCallsRunLaterAndInOrder>},
    {"CallsOfTheLoopNeverNest", "Scheduler: calls never nest.", Alone<CallsOfTheLoopNeverNest>},
    {"CallsOfOtherThreadsKeepTheirOrder", "PostFromAnyThread: any thread may use this.",
     Alone<CallsOfOtherThreadsKeepTheirOrder>},
    {"ATimerIsNeverEarlyAndRunsOnce", "RunAfter: once, no earlier than `delay` from now.",
     Alone<ATimerIsNeverEarlyAndRunsOnce>},
    {"DelaysOfZeroAndLessAreDueAtOnce",
     "RunAfter: a delay of zero or less makes the call due as soon as the current call has "
     "returned.",
     Alone<DelaysOfZeroAndLessAreDueAtOnce>},
    {"AnInfiniteDelayIsNeverDue", "RunAfter: an infinite delay is never due.",
     Alone<AnInfiniteDelayIsNeverDue>},
    {"ADestroyedTimerIsNotCalled", "PendingCall: destroying it cancels the call.",
     Alone<ADestroyedTimerIsNotCalled>},
    {"ATimerMayBeDestroyedInItsOwnCall",
     "RunAfter: the timer may be destroyed inside its own call.",
     Alone<ATimerMayBeDestroyedInItsOwnCall>},
    {"ACallThatArmsItselfAgainStarvesNothing",
     "RunAfter: a call that arms itself again must not keep other calls or input from their turn.",
     Connected<ACallThatArmsItselfAgainStarvesNothing>},
    {"InputComesBeforeATimeLimit",
     "RunAfter: input that has arrived takes precedence over a limit.",
     Connected<InputComesBeforeATimeLimit>},
    {"TheDestructorDropsCallsAndTimersOutliveIt",
     "RunAfter: the timer may be destroyed after the scheduler, whose destructor drops calls.",
     TheDestructorDropsCallsAndTimersOutliveIt},
};

}  // namespace

absl::Span<const ConformanceCase> SchedulerCases() { return kCases; }

}  // namespace trestle::testing
