// NoLoop: a Scheduler for programs without a loop, such as a TlsEngine on a blocking socket. It has
// the system's clocks. `MakeCalls` makes the calls that are due.
#ifndef TRESTLE_LINUX_NO_LOOP_H_
#define TRESTLE_LINUX_NO_LOOP_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "trestle/io/scheduler.h"

namespace trestle {

class TimerHeap;

/// Each thread that runs a connection has its own. An engine makes few calls: answers of signers,
/// certificate sources and verifiers, and their time limits. While it waits for one, block in
/// `MakeCalls` instead of in a read:
///
///     while (engine->Handshake() == IoState::kWouldBlock) {
///       SendAll(socket, engine->to_send());
///       if (engine->waits_for_answer()) {
///         no_loop.MakeCalls(absl::InfiniteDuration());
///       } else {
///         ReceiveSome(socket, engine->received());
///       }
///     }
class NoLoop final : public Scheduler {
 public:
  NoLoop();

  /// Drops all pending calls. Timers may outlive it.
  ~NoLoop() override;
  NoLoop(const NoLoop&) = delete;
  NoLoop& operator=(const NoLoop&) = delete;

  absl::Time Now() const override;
  MonotonicTime MonotonicNow() const override;
  void PostFromAnyThread(absl::AnyInvocable<void()> call) override ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] Timer RunAfter(absl::Duration delay, absl::AnyInvocable<void()> call) override;

  /// Waits for at most `max_wait` until a call is due, and makes all that are due then. Returns
  /// whether there were any. Calls that these add wait for the next time.
  bool MakeCalls(absl::Duration max_wait) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const std::unique_ptr<TimerHeap> timers_;
  absl::Mutex mutex_;
  std::vector<absl::AnyInvocable<void()>> posted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_LINUX_NO_LOOP_H_
