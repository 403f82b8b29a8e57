// The conformance hosts of FdLoops, with listener and dialer of the linux edge, on TCP or on a
// Unix-domain socket.
#ifndef TRESTLE_TESTS_CONFORMANCE_EPOLL_HOST_H_
#define TRESTLE_TESTS_CONFORMANCE_EPOLL_HOST_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/linux/socket.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/owned_fd.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/testing/transport_conformance.h"

namespace trestle::testing {

/// Returns an address of 127.0.0.1 whose port the system has just chosen, and that nobody uses.
inline Endpoint FreeLoopbackEndpoint() {
  const OwnedFd socket = OpenStreamSocket(Endpoint::Family::kIpv4);
  const SocketAddress any(*Endpoint::Parse("127.0.0.1:0"));
  EXPECT_EQ(bind(socket.get(), any.get(), any.size), 0);
  return LocalEndpoint(socket.get());
}

/// `Loop` is an FdLoop with `RunTurn`.
template <typename Loop>
class FdLoopHost : public ConformanceHost {
 public:
  explicit FdLoopHost(std::unique_ptr<Loop> loop,
                      const Endpoint& listen = *Endpoint::Parse("127.0.0.1:0"))
      : loop_(std::move(loop)), listen_(listen) {}

  Scheduler& scheduler() override { return *loop_; }
  Dialer& dialer() override { return dialer_; }

  Endpoint Listen(absl::AnyInvocable<void(std::unique_ptr<Transport>)> accept) override {
    auto listener = TcpListener::Create(*loop_, listen_, std::move(accept));
    EXPECT_TRUE(listener.ok()) << listener.status();
    if (!listener.ok()) return Endpoint();
    listener_ = *std::move(listener);
    return listener_->local_endpoint();
  }

  bool RunUntil(absl::FunctionRef<bool()> done) override {
    const MonotonicTime end = loop_->MonotonicNow() + absl::Seconds(10);
    while (!done()) {
      if (loop_->MonotonicNow() > end) return false;
      Turn();
    }
    return true;
  }

  ConformanceTraits traits() const override {
    ConformanceTraits traits;
    traits.shows_truncation = listen_.is_ip();
    return traits;
  }

  Endpoint RefusingEndpoint() override { return FreeLoopbackEndpoint(); }
  Endpoint FreeEndpoint() override { return FreeLoopbackEndpoint(); }

 protected:
  /// Runs the loop once, waiting for at most 20 ms.
  virtual void Turn() { loop_->RunTurn(absl::Milliseconds(20)); }

  Loop& loop() { return *loop_; }

 private:
  const std::unique_ptr<Loop> loop_;
  const Endpoint listen_;
  TcpDialer dialer_{*loop_};
  std::unique_ptr<TcpListener> listener_;
};

/// Derived hosts run the loop in another one.
class EpollHost : public FdLoopHost<EpollLoop> {
 public:
  explicit EpollHost(const Endpoint& listen = *Endpoint::Parse("127.0.0.1:0"))
      : FdLoopHost(*EpollLoop::Create(), listen) {}
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_CONFORMANCE_EPOLL_HOST_H_
