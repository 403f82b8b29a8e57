// Schedulers and dialers with one fault each.

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/conformance/broken.h"
#include "tests/conformance/epoll_host.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"

namespace trestle::testing {
namespace {

using Call = absl::AnyInvocable<void()>;

class FilterScheduler : public Scheduler {
 public:
  explicit FilterScheduler(Scheduler& inner) : inner_(inner) {}

  absl::Time Now() const override { return inner_.Now(); }
  MonotonicTime MonotonicNow() const override { return inner_.MonotonicNow(); }
  void PostFromAnyThread(Call call) override { inner_.PostFromAnyThread(std::move(call)); }
  Timer RunAfter(absl::Duration delay, Call call) override {
    return inner_.RunAfter(delay, std::move(call));
  }

 protected:
  Scheduler& inner_;
};

// A host whose scheduler is `Broken` over that of `Base`. The transports use the latter.
template <typename Broken, typename Base>
class SchedulerHost final : public Base {
 public:
  template <typename... Seed>
  explicit SchedulerHost(Seed... seed) : Base(seed...), broken_(Base::scheduler()) {}
  Scheduler& scheduler() override { return broken_; }

 private:
  Broken broken_;
};

template <typename Broken>
std::unique_ptr<ConformanceHost> Simulated(uint64_t seed) {
  return std::make_unique<SchedulerHost<Broken, MemoryHost>>(seed);
}

template <typename Broken>
std::unique_ptr<ConformanceHost> Real(uint64_t) {
  return std::make_unique<SchedulerHost<Broken, EpollHost>>();
}

struct ClockGoesBack final : FilterScheduler {
  using FilterScheduler::FilterScheduler;
  MonotonicTime MonotonicNow() const override {
    return inner_.MonotonicNow() - absl::Milliseconds(++calls % 5 * 10);
  }
  mutable int calls = 0;
};

struct DateOfTheEpoch final : FilterScheduler {
  using FilterScheduler::FilterScheduler;
  absl::Time Now() const override { return absl::UnixEpoch(); }
};

struct CallsAtOnce final : FilterScheduler {
  using FilterScheduler::FilterScheduler;
  void PostFromAnyThread(Call call) override { call(); }
};

struct CallsInsideRunAfter final : FilterScheduler {
  using FilterScheduler::FilterScheduler;
  Timer RunAfter(absl::Duration delay, Call call) override {
    if (delay > absl::ZeroDuration()) return inner_.RunAfter(delay, std::move(call));
    call();
    return nullptr;
  }
};

struct LastPostFirst final : FilterScheduler {
  using FilterScheduler::FilterScheduler;
  void PostFromAnyThread(Call call) override {
    absl::MutexLock lock(&mutex);
    calls.push_back(std::move(call));
    if (calls.size() % 2 == 0) inner_.PostFromAnyThread([this] { CallLastTwo(); });
  }
  void CallLastTwo() {
    Call last_two[2];
    {
      absl::MutexLock lock(&mutex);
      for (Call& call : last_two) {
        call = std::move(calls.back());
        calls.pop_back();
      }
    }
    for (Call& call : last_two) call();
  }
  absl::Mutex mutex;
  std::vector<Call> calls ABSL_GUARDED_BY(mutex);
};

struct HalfTheDelay final : FilterScheduler {
  using FilterScheduler::FilterScheduler;
  Timer RunAfter(absl::Duration delay, Call call) override {
    return inner_.RunAfter(delay / 2, std::move(call));
  }
};

struct NegativeIsNever final : FilterScheduler {
  using FilterScheduler::FilterScheduler;
  Timer RunAfter(absl::Duration delay, Call call) override {
    const bool negative = delay < absl::ZeroDuration();
    return inner_.RunAfter(negative ? absl::InfiniteDuration() : delay, std::move(call));
  }
};

struct InfiniteIsNow final : FilterScheduler {
  using FilterScheduler::FilterScheduler;
  Timer RunAfter(absl::Duration delay, Call call) override {
    const bool infinite = delay == absl::InfiniteDuration();
    return inner_.RunAfter(infinite ? absl::Milliseconds(1) : delay, std::move(call));
  }
};

// Calls that the destruction of a timer does not cancel.
struct NothingCancels final : FilterScheduler {
  using FilterScheduler::FilterScheduler;
  Timer RunAfter(absl::Duration delay, Call call) override {
    timers.push_back(inner_.RunAfter(delay, std::move(call)));
    return std::make_unique<PendingCall>();
  }
  std::vector<Timer> timers;
};

struct CallsAgain final : FilterScheduler {
  using FilterScheduler::FilterScheduler;
  Timer RunAfter(absl::Duration delay, Call call) override {
    auto shared = std::make_shared<Call>(std::move(call));
    timers.push_back(inner_.RunAfter(delay + absl::Milliseconds(1), [shared] { (*shared)(); }));
    return inner_.RunAfter(delay, [shared] { (*shared)(); });
  }
  std::vector<Timer> timers;
};

// The newest call without delay comes first.
struct StarvesOldCalls final : FilterScheduler {
  using FilterScheduler::FilterScheduler;
  Timer RunAfter(absl::Duration delay, Call call) override {
    if (delay > absl::ZeroDuration()) return inner_.RunAfter(delay, std::move(call));
    stack.push_back(std::move(call));
    return inner_.RunAfter(delay, [this] {
      if (stack.empty()) return;
      Call newest = std::move(stack.back());
      stack.pop_back();
      newest();
    });
  }
  void PostFromAnyThread(Call call) override { stack.insert(stack.begin(), std::move(call)); }
  std::vector<Call> stack;
};

struct LimitsAreEarly final : FilterScheduler {
  using FilterScheduler::FilterScheduler;
  Timer RunAfter(absl::Duration delay, Call call) override {
    return inner_.RunAfter(delay > absl::Milliseconds(20) ? absl::ZeroDuration() : delay,
                           std::move(call));
  }
};

class CallsInItsDestructor final : public MemoryHost {
 public:
  using MemoryHost::MemoryHost;
  ~CallsInItsDestructor() override { loop().RunFor(absl::Milliseconds(10)); }
};

constexpr BrokenHost kSchedulers[] = {
    {"TheMonotonicClockNeverGoesBack", Simulated<ClockGoesBack>},
    {"TheDateIsOneOfToday", Simulated<DateOfTheEpoch>},
    {"PostedCallsRunLaterAndInOrder", Simulated<CallsAtOnce>},
    {"CallsOfTheLoopNeverNest", Simulated<CallsInsideRunAfter>},
    {"CallsOfOtherThreadsKeepTheirOrder", Real<LastPostFirst>},
    {"ATimerIsNeverEarlyAndRunsOnce", Simulated<HalfTheDelay>},
    {"DelaysOfZeroAndLessAreDueAtOnce", Simulated<NegativeIsNever>},
    {"AnInfiniteDelayIsNeverDue", Simulated<InfiniteIsNow>},
    {"ADestroyedTimerIsNotCalled", Simulated<NothingCancels>},
    {"ATimerMayBeDestroyedInItsOwnCall", Simulated<CallsAgain>},
    {"ACallThatArmsItselfAgainStarvesNothing", Simulated<StarvesOldCalls>},
    {"InputComesBeforeATimeLimit", Real<LimitsAreEarly>},
    {"TheDestructorDropsCallsAndTimersOutliveIt",
     [](uint64_t seed) -> std::unique_ptr<ConformanceHost> {
       return std::make_unique<CallsInItsDestructor>(seed);
     }},
};

class FilterDialer : public Dialer {
 public:
  explicit FilterDialer(MemoryHost& host) : host_(host) {}
  std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override {
    return host_.MemoryHost::dialer().Connect(endpoint, std::move(done));
  }

 protected:
  MemoryHost& host_;
};

template <typename Broken>
class DialerHost final : public MemoryHost {
 public:
  explicit DialerHost(uint64_t seed) : MemoryHost(seed), broken_(*this) {}
  Dialer& dialer() override { return broken_; }
  Endpoint FreeEndpoint() override { return *Endpoint::Parse("127.0.0.1:40000"); }

 private:
  Broken broken_;
};

template <typename Broken>
std::unique_ptr<ConformanceHost> Dialing(uint64_t seed) {
  return std::make_unique<DialerHost<Broken>>(seed);
}

struct DoneInsideConnect final : FilterDialer {
  using FilterDialer::FilterDialer;
  std::unique_ptr<Dial> Connect(const Endpoint&, Callback done) override {
    done(NewMemoryPair(host_.scheduler()).first);
    return nullptr;
  }
};

struct NotYetOpen final : FilterDialer {
  using FilterDialer::FilterDialer;
  std::unique_ptr<Dial> Connect(const Endpoint&, Callback done) override {
    struct Waiting final : Dial {
      Timer timer;
    };
    auto dial = std::make_unique<Waiting>();
    dial->timer =
        host_.scheduler().RunAfter(absl::ZeroDuration(), [this, done = std::move(done)]() mutable {
          MemoryLink full;
          full.capacity_bytes = 0;
          auto pair = NewMemoryPair(host_.scheduler(), full);
          far.push_back(std::move(pair.second));
          done(std::move(pair.first));
        });
    return dial;
  }
  std::vector<std::unique_ptr<Transport>> far;
};

struct NothingCancelsADial final : FilterDialer {
  using FilterDialer::FilterDialer;
  std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override {
    dials.push_back(FilterDialer::Connect(endpoint, std::move(done)));
    return std::make_unique<Dial>();
  }
  std::vector<std::unique_ptr<Dial>> dials;
};

struct DoneTwice final : FilterDialer {
  using FilterDialer::FilterDialer;
  std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override {
    auto shared = std::make_shared<Callback>(std::move(done));
    return FilterDialer::Connect(endpoint, [this, shared](
                                               absl::StatusOr<std::unique_ptr<Transport>> result) {
      host_.scheduler().PostFromAnyThread([shared] { (*shared)(absl::UnavailableError("again")); });
      (*shared)(std::move(result));
    });
  }
};

struct UntypedError final : FilterDialer {
  using FilterDialer::FilterDialer;
  std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override {
    return FilterDialer::Connect(
        endpoint,
        [done = std::move(done)](absl::StatusOr<std::unique_ptr<Transport>> result) mutable {
          if (!result.ok()) result = absl::UnavailableError("refused");
          done(std::move(result));
        });
  }
};

struct OneDialAtATime final : FilterDialer {
  using FilterDialer::FilterDialer;
  std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override {
    const Endpoint nobody;
    const bool busy = std::exchange(dialed, true);
    return FilterDialer::Connect(busy ? nobody : endpoint, std::move(done));
  }
  bool dialed = false;
};

struct ConnectsWithItself final : FilterDialer {
  using FilterDialer::FilterDialer;
  std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override {
    if (endpoint.port() == 40000) {
      host_.Listen([this](std::unique_ptr<Transport> self) { far.push_back(std::move(self)); });
      return FilterDialer::Connect(*Endpoint::Parse("192.0.2.7:443"), std::move(done));
    }
    return FilterDialer::Connect(endpoint, std::move(done));
  }
  std::vector<std::unique_ptr<Transport>> far;
};

constexpr BrokenHost kDialers[] = {
    {"DoneIsCalledOnceFromTheLoop", Dialing<DoneInsideConnect>},
    {"ADialedTransportIsOpen", Dialing<NotYetOpen>},
    {"ADestroyedDialCallsNothing", Dialing<NothingCancelsADial>},
    {"TheDialMayBeDestroyedInsideDone", Dialing<DoneTwice>},
    {"ARefusedDialIsATransportError", Dialing<UntypedError>},
    {"ManyDialsAtOnceKeepApart", Dialing<OneDialAtATime>},
    {"NoSocketConnectsWithItself", Dialing<ConnectsWithItself>},
};

}  // namespace

absl::Span<const BrokenHost> BrokenSchedulers() { return kSchedulers; }
absl::Span<const BrokenHost> BrokenDialers() { return kDialers; }

}  // namespace trestle::testing
