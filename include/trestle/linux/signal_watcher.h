// SignalWatcher: delivers signals (SIGHUP, SIGTERM, SIGINT) to a loop as ordinary calls, without
// the limits of a signal handler.
#ifndef TRESTLE_LINUX_SIGNAL_WATCHER_H_
#define TRESTLE_LINUX_SIGNAL_WATCHER_H_

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "trestle/linux/fd_loop.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {

/// Blocks `signals` in this thread and in all threads that it starts later. Call it early in
/// main(), before any thread starts: a thread that does not block them receives them instead.
absl::Status BlockSignals(absl::Span<const int> signals);

/// Watches signals by a descriptor of the loop.
class SignalWatcher final : private FdWatcher {
 public:
  using Callback = absl::AnyInvocable<void(int signal)>;

  /// Calls `on_signal` from the loop for each of `signals` that the process receives. Several
  /// signals of one kind may be merged into one call. The callback may destroy the watcher. `loop`
  /// must outlive the watcher. Fails with ErrorCode::kInternal if this thread does not block the
  /// signals (`BlockSignals`), else with kTransport. The signals stay blocked after the watcher is
  /// destroyed.
  static absl::StatusOr<std::unique_ptr<SignalWatcher>> Create(FdLoop& loop,
                                                               absl::Span<const int> signals,
                                                               Callback on_signal);

  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  SignalWatcher(FdLoop& loop, OwnedFd fd, Callback on_signal);

  void OnFdReady(uint32_t events) override;

  FdLoop& loop_;
  const OwnedFd fd_;
  Callback on_signal_;
  bool* destroyed_ = nullptr;  // Points to a flag on the stack while a callback runs.
};

}  // namespace trestle

#endif  // TRESTLE_LINUX_SIGNAL_WATCHER_H_
