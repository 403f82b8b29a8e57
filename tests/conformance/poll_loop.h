// PollLoop: an FdLoop over poll(2), which reports each `Await` once. Simple, not fast: it shows
// what a host with readiness implements.
#ifndef TRESTLE_TESTS_CONFORMANCE_POLL_LOOP_H_
#define TRESTLE_TESTS_CONFORMANCE_POLL_LOOP_H_

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "trestle/linux/fd_loop.h"
#include "trestle/linux/owned_fd.h"

namespace trestle::testing {

class PollLoop final : public FdLoop {
 public:
  PollLoop();
  ~PollLoop() override;

  absl::Time Now() const override;
  MonotonicTime MonotonicNow() const override;
  void PostFromAnyThread(absl::AnyInvocable<void()> call) override ABSL_LOCKS_EXCLUDED(mutex_);
  Timer RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) override;

  absl::Status Watch(int fd, FdWatcher& watcher) override;
  void Await(int fd, uint32_t events) override { watched_.at(fd).awaited |= events; }
  void Unwatch(int fd) override { watched_.erase(fd); }

  void RunTurn(absl::Duration max_wait);

 private:
  struct Watched {
    FdWatcher* watcher = nullptr;
    uint32_t awaited = 0;
  };
  struct Calls {  // By time, then by number.
    std::map<std::pair<MonotonicTime, uint64_t>, absl::AnyInvocable<void()>> map;
  };
  class Pending;

  void Poll(absl::Duration wait);
  bool CallPostedAndImmediate();
  void CallDue(MonotonicTime now);

  std::map<int, Watched> watched_;
  std::shared_ptr<Calls> timers_ = std::make_shared<Calls>();
  std::shared_ptr<Calls> immediate_ = std::make_shared<Calls>();
  uint64_t last_number_ = 0;
  OwnedFd wake_up_;
  absl::Mutex mutex_;
  std::vector<absl::AnyInvocable<void()>> posted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_CONFORMANCE_POLL_LOOP_H_
