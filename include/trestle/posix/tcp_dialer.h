// TcpDialer: the Dialer that opens TCP connections.
#ifndef TRESTLE_POSIX_TCP_DIALER_H_
#define TRESTLE_POSIX_TCP_DIALER_H_

#include <memory>

#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/posix/epoll_loop.h"

namespace trestle {

struct TcpDialerOptions {
  /// Gives an attempt up with ErrorCode::kTimeout after so long; InfiniteDuration leaves it to the
  /// system, which takes about two minutes.
  absl::Duration connect_timeout = absl::Seconds(10);
};

class TcpDialer final : public Dialer {
 public:
  /// `loop` must outlive the dialer and all that it opened.
  explicit TcpDialer(EpollLoop& loop, const TcpDialerOptions& options = {})
      : loop_(loop), options_(options) {}

  /// Fails with ErrorCode::kTimeout where nobody answers, else with kTransport and a sentence that
  /// names `endpoint`: "192.0.2.1:443 refused the connection". What comes back by itself (no local
  /// port is free, too many open files) fails the same way: the dialer doesn't try again.
  [[nodiscard]] std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override;

 private:
  EpollLoop& loop_;
  const TcpDialerOptions options_;
};

}  // namespace trestle

#endif  // TRESTLE_POSIX_TCP_DIALER_H_
