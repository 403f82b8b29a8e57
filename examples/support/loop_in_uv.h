// LoopInUv: runs Trestle's loop inside the loop of a program on libuv.
#ifndef TRESTLE_EXAMPLES_SUPPORT_LOOP_IN_UV_H_
#define TRESTLE_EXAMPLES_SUPPORT_LOOP_IN_UV_H_

#include <uv.h>

#include <cstdint>

#include "absl/time/time.h"
#include "trestle/linux/epoll_loop.h"

namespace trestle::examples {

/// Runs Trestle's loop inside libuv's. The loop's objects may be called at any time on the thread
/// of `uv`: the loop becomes ready if a call needs a turn. Before destruction, `Close` it and let
/// `uv` run.
class LoopInUv {
 public:
  explicit LoopInUv(EpollLoop& loop) : loop_(loop) {}

  /// Starts. Returns an error of libuv, below 0, if it can't watch the loop's descriptor.
  int Start(uv_loop_t* uv) {
    ready_.data = timer_.data = next_.data = this;
    const int watched = uv_poll_init(uv, &ready_, loop_.fd());
    if (watched < 0) return watched;
    uv_timer_init(uv, &timer_);
    uv_idle_init(uv, &next_);
    RunTurn();
    return uv_poll_start(&ready_, UV_READABLE, [](uv_poll_t* ready, int, int) {
      static_cast<LoopInUv*>(ready->data)->RunTurn();
    });
  }

  void Close() {
    uv_close(reinterpret_cast<uv_handle_t*>(&ready_), nullptr);
    uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
    uv_close(reinterpret_cast<uv_handle_t*>(&next_), nullptr);
  }

 private:
  void RunTurn() {
    loop_.RunTurn(absl::ZeroDuration());
    const absl::Duration next = loop_.NextTurnIn();
    if (uv_is_closing(reinterpret_cast<uv_handle_t*>(&timer_))) return;
    uv_idle_stop(&next_);
    // A turn that is too early is harmless.
    if (next == absl::InfiniteDuration()) return;
    // A timer would not do: libuv runs timers without delay until none is left.
    if (next == absl::ZeroDuration()) {
      uv_idle_start(&next_, [](uv_idle_t* next) { static_cast<LoopInUv*>(next->data)->RunTurn(); });
      return;
    }
    uv_update_time(timer_.loop);
    uv_timer_start(
        &timer_, [](uv_timer_t* timer) { static_cast<LoopInUv*>(timer->data)->RunTurn(); },
        static_cast<uint64_t>(absl::ToInt64Milliseconds(next)), /*repeat=*/0);
  }

  EpollLoop& loop_;
  uv_poll_t ready_;
  uv_timer_t timer_;
  uv_idle_t next_;  // For turns that are due at once.
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_LOOP_IN_UV_H_
