// HelloRouter: a real SniPassthroughRouter in front of a TLS server. It reads the client's hello
// with Trestle's own parser, and hands the connection over with every byte put back.
#ifndef TRESTLE_TESTS_BOGO_HELLO_ROUTER_H_
#define TRESTLE_TESTS_BOGO_HELLO_ROUTER_H_

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "trestle/base/error.h"
#include "trestle/io/transport.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/proxy/accepted.h"
#include "trestle/proxy/connection_handler.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/sni_passthrough_router.h"

namespace trestle::bogo {

class HelloRouter final : private ConnectionHandler, private ConnectionObserver {
 public:
  explicit HelloRouter(EpollLoop& loop) : loop_(loop), dialer_(loop) {}

  /// Runs the loop until the router has handed `connection` over, or has refused it. A refused
  /// client has then got the router's answer.
  absl::StatusOr<Accepted> PassThrough(std::unique_ptr<Transport> connection);

 private:
  void Serve(Accepted connection) override { routed_ = std::move(connection); }
  void OnClosed(const ConnectionReport& report) override;

  EpollLoop& loop_;
  TcpDialer dialer_;
  std::unique_ptr<SniPassthroughRouter> router_;
  std::optional<Accepted> routed_;
  std::optional<Error> refusal_;
};

}  // namespace trestle::bogo

#endif  // TRESTLE_TESTS_BOGO_HELLO_ROUTER_H_
