// FdLoop: a Scheduler that also watches descriptors. TcpTransport, TcpDialer and TcpListener run on
// any FdLoop: EpollLoop, or one of the host's.
#ifndef TRESTLE_LINUX_FD_LOOP_H_
#define TRESTLE_LINUX_FD_LOOP_H_

#include <cstdint>

#include "absl/status/status.h"
#include "trestle/io/scheduler.h"
#include "trestle/linux/kernel_pipe_pool.h"

namespace trestle {

/// Receives the readiness of a descriptor.
class FdWatcher {
 public:
  /// Called on the loop's thread when the descriptor may be ready. `events` are EPOLLIN, EPOLLOUT
  /// and so on (epoll_ctl(2)). May be spurious. The call may destroy the watcher, and unwatch any
  /// descriptor.
  virtual void OnFdReady(uint32_t events) = 0;

 protected:
  ~FdWatcher() = default;
};

/// A loop that watches descriptors. A host with its own source of readiness implements this class
/// alone, and gets transports, dialer and listener with it. The rules of Scheduler hold.
///
/// A loop reports readiness in one of two ways:
///   - By edges, as epoll does with EPOLLET: from `Watch` on, one call for each change. `Await` has
///     no effect, but for EPOLLOUT after `WatchForInput`.
///   - One call for each `Await`, as poll(2), libuv and Asio can. It comes when the descriptor is
///     ready in an awaited direction, or at once if it is ready already. Later calls add
///     directions. A report ends all of them.
///
/// In both ways a report of a failure has EPOLLERR or EPOLLHUP, if the loop can tell. A loop that
/// can't tell sets EPOLLERR in each report: it costs a system call at times.
class FdLoop : public Scheduler {
 public:
  /// Reports the readiness of `fd` to `watcher`, which must outlive the watch. A second call for
  /// `fd` moves it to the new watcher. No event may follow then, so the new watcher must try to
  /// read and write. Fails with ErrorCode::kTransport if the system refuses.
  virtual absl::Status Watch(int fd, FdWatcher& watcher) = 0;

  /// As `Watch`, for a descriptor that can usually be written: the first report about writing may
  /// wait for an `Await` of EPOLLOUT. A loop by edges saves a report for each connection so.
  virtual absl::Status WatchForInput(int fd, FdWatcher& watcher) { return Watch(fd, watcher); }

  /// Asks for a report when the watched `fd` is ready for `events`: EPOLLIN, EPOLLOUT or both.
  /// Never calls the watcher inside this function.
  virtual void Await(int fd, uint32_t events) = 0;

  /// Ends the reports for `fd`, including those of the current turn. The caller closes `fd` right
  /// after it, on the loop's thread.
  virtual void Unwatch(int fd) = 0;

  /// Returns the kernel pipes that this loop's transports share.
  KernelPipePool& kernel_pipe_pool() { return kernel_pipe_pool_; }

 private:
  KernelPipePool kernel_pipe_pool_;
};

}  // namespace trestle

#endif  // TRESTLE_LINUX_FD_LOOP_H_
