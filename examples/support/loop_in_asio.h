// LoopInAsio: runs Trestle's loop inside the loop of a program on Asio.
#ifndef TRESTLE_EXAMPLES_SUPPORT_LOOP_IN_ASIO_H_
#define TRESTLE_EXAMPLES_SUPPORT_LOOP_IN_ASIO_H_

#include <asio.hpp>
#include <chrono>

#include "absl/time/time.h"
#include "trestle/linux/epoll_loop.h"

namespace trestle::examples {

/// Runs Trestle's loop inside Asio's. The loop's objects may be called at any time on the thread of
/// `io`: the loop becomes ready if a call needs a turn. Outlives `io.run()`.
class LoopInAsio {
 public:
  LoopInAsio(asio::io_context& io, EpollLoop& loop)
      : loop_(loop), ready_(io, loop.fd()), timer_(io) {
    RunTurn();
    WaitUntilReady();
  }
  ~LoopInAsio() { ready_.release(); }  // The loop owns the descriptor.

 private:
  void WaitUntilReady() {
    ready_.async_wait(asio::posix::stream_descriptor::wait_read, [this](asio::error_code error) {
      if (error) return;
      RunTurn();
      WaitUntilReady();
    });
  }

  void RunTurn() {
    loop_.RunTurn(absl::ZeroDuration());
    const absl::Duration wait = loop_.NextTurnIn();
    if (wait == absl::InfiniteDuration()) return;
    const auto next = Clock::now() + absl::ToChronoNanoseconds(wait);
    if (next >= next_turn_) return;  // A turn that is too early is harmless.
    next_turn_ = next;
    timer_.expires_at(next);
    timer_.async_wait([this](asio::error_code error) {
      if (error) return;
      next_turn_ = Clock::time_point::max();
      RunTurn();
    });
  }

  using Clock = std::chrono::steady_clock;

  EpollLoop& loop_;
  asio::posix::stream_descriptor ready_;
  asio::steady_timer timer_;
  Clock::time_point next_turn_ = Clock::time_point::max();
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_LOOP_IN_ASIO_H_
