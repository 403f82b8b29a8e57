#include "trestle/linux/signal_watcher.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "lib/linux/system_error.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

sigset_t SetOf(absl::Span<const int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  return set;
}

}  // namespace

absl::Status BlockSignals(absl::Span<const int> signals) {
  const sigset_t set = SetOf(signals);
  const int error = pthread_sigmask(SIG_BLOCK, &set, nullptr);
  if (error != 0) return SystemError("cannot block signals", error);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<SignalWatcher>> SignalWatcher::Create(FdLoop& loop,
                                                                     absl::Span<const int> signals,
                                                                     Callback on_signal) {
  sigset_t blocked;
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  for (const int signal : signals) {
    if (sigismember(&blocked, signal) == 1) continue;
    return MakeError(ErrorCode::kInternal, Phase::kSetUp,
                     absl::StrCat("signal ", signal, " must be blocked before it can be watched"));
  }
  const sigset_t set = SetOf(signals);
  OwnedFd fd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!fd.valid()) return SystemError("cannot open a signalfd", errno);
  auto watcher = absl::WrapUnique(new SignalWatcher(loop, std::move(fd), std::move(on_signal)));
  const absl::Status watched = loop.Watch(watcher->fd_.get(), *watcher);
  if (!watched.ok()) return watched;
  loop.Await(watcher->fd_.get(), EPOLLIN);
  return watcher;
}

SignalWatcher::SignalWatcher(FdLoop& loop, OwnedFd fd, Callback on_signal)
    : loop_(loop), fd_(std::move(fd)), on_signal_(std::move(on_signal)) {}

SignalWatcher::~SignalWatcher() {
  if (destroyed_ != nullptr) *destroyed_ = true;
  loop_.Unwatch(fd_.get());
}

void SignalWatcher::OnFdReady(uint32_t /*events*/) {
  bool destroyed = false;
  destroyed_ = &destroyed;
  // On the stack, because the call may destroy the watcher.
  Callback on_signal = std::move(on_signal_);
  signalfd_siginfo info;
  while (!destroyed && read(fd_.get(), &info, sizeof info) == sizeof info) {
    on_signal(static_cast<int>(info.ssi_signo));
  }
  if (destroyed) return;
  destroyed_ = nullptr;
  on_signal_ = std::move(on_signal);
  loop_.Await(fd_.get(), EPOLLIN);
}

}  // namespace trestle
