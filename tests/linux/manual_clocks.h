// ManualClocks: the clocks of an EpollLoop, set by a test.
#ifndef TRESTLE_TESTS_LINUX_MANUAL_CLOCKS_H_
#define TRESTLE_TESTS_LINUX_MANUAL_CLOCKS_H_

#include <functional>

#include "absl/time/time.h"
#include "trestle/linux/epoll_loop.h"

namespace trestle {

/// The time is constant until the test advances it.
struct ManualClocks final : SystemClocks {
  absl::Time Wall() const override { return wall; }
  MonotonicTime Monotonic() const override {
    ++reads;
    if (on_read) on_read();
    return monotonic;
  }

  absl::Time wall = absl::FromUnixSeconds(1'800'000'000);
  mutable MonotonicTime monotonic = MonotonicTime::FromStart(absl::Hours(1));
  mutable int reads = 0;
  std::function<void()> on_read;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_LINUX_MANUAL_CLOCKS_H_
