// TcpDialer: the Dialer that opens TCP connections, and connections to Unix-domain sockets.
#ifndef TRESTLE_LINUX_TCP_DIALER_H_
#define TRESTLE_LINUX_TCP_DIALER_H_

#include <memory>

#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/linux/fd_loop.h"

namespace trestle {

/// Options of a TcpDialer.
struct TcpDialerOptions {
  /// Fails an attempt with ErrorCode::kTimeout after this time. InfiniteDuration uses the system's
  /// limit, about two minutes.
  absl::Duration connect_timeout = absl::Seconds(10);
  /// As TcpListenerOptions::keepalive, for the connections to backends.
  absl::Duration keepalive = absl::ZeroDuration();
};

/// Dials by TCP, or to a Unix-domain socket.
class TcpDialer final : public Dialer {
 public:
  /// Creates a dialer. `loop` must outlive the dialer and all its connections.
  explicit TcpDialer(FdLoop& loop, const TcpDialerOptions& options = {})
      : loop_(loop), options_(options) {}

  /// Starts a connection. Fails with ErrorCode::kTimeout if the peer does not answer, else with
  /// kTransport and a sentence with `endpoint`: "192.0.2.1:443 refused the connection". Temporary
  /// shortages (no free local port, too many open files) fail with kOverLimit: the dialer does not
  /// retry. While the queue of a Unix-domain socket is full, it waits for a place.
  [[nodiscard]] std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override;

 private:
  FdLoop& loop_;
  const TcpDialerOptions options_;
};

}  // namespace trestle

#endif  // TRESTLE_LINUX_TCP_DIALER_H_
