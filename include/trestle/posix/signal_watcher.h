// SignalWatcher: tells a loop of signals (SIGHUP, SIGTERM, SIGINT) as ordinary calls, where
// everything is allowed, unlike in a signal handler.
#ifndef TRESTLE_POSIX_SIGNAL_WATCHER_H_
#define TRESTLE_POSIX_SIGNAL_WATCHER_H_

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "trestle/posix/epoll_loop.h"
#include "trestle/posix/owned_fd.h"

namespace trestle {

/// Blocks `signals` in this thread, and so in all that it starts from now on. To be called early in
/// main(), before any thread is started: a thread where they are not blocked takes them first.
absl::Status BlockSignals(absl::Span<const int> signals);

class SignalWatcher final : private FdWatcher {
 public:
  using Callback = absl::AnyInvocable<void(int signal)>;

  /// Calls `on_signal` from the loop for each of `signals` that the process gets; several of one
  /// kind in short order may come as one. The watcher may be destroyed inside. Fails with
  /// ErrorCode::kInternal where they are not blocked in this thread (`BlockSignals`), else with
  /// kTransport. `loop` must outlive the watcher. The signals stay blocked after its end.
  static absl::StatusOr<std::unique_ptr<SignalWatcher>> Create(EpollLoop& loop,
                                                               absl::Span<const int> signals,
                                                               Callback on_signal);

  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  SignalWatcher(EpollLoop& loop, OwnedFd fd, Callback on_signal);

  void OnFdReady(uint32_t events) override;

  EpollLoop& loop_;
  const OwnedFd fd_;
  Callback on_signal_;
  bool* destroyed_ = nullptr;  // Points to a flag on the stack while a callback runs.
};

}  // namespace trestle

#endif  // TRESTLE_POSIX_SIGNAL_WATCHER_H_
