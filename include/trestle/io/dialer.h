// Dialer: opens the transports of back legs. The host owns it; linux/tcp_dialer.h has one for TCP.
#ifndef TRESTLE_IO_DIALER_H_
#define TRESTLE_IO_DIALER_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/transport.h"

namespace trestle {

/// A connection attempt under way. Destroying it cancels the attempt: no callback follows.
class Dial {
 public:
  virtual ~Dial() = default;
};

/// Opens connections. All calls come from the loop's thread; the dialer outlives its dials.
class Dialer {
 public:
  using Callback = absl::AnyInvocable<void(absl::StatusOr<std::unique_ptr<Transport>>)>;

  virtual ~Dialer() = default;

  /// Starts to connect to `endpoint`. Calls `done` once, from the loop and never inside this call,
  /// with an open transport or an error. The error is ErrorCode::kTransport, or kTimeout if the
  /// dialer has a limit of its own. It needs none, because the library limits every dial. The
  /// result may be destroyed inside `done`.
  ///
  /// Rejects a connection of a socket with itself, which can happen by chance when a TCP socket
  /// dials a free port of its own machine.
  [[nodiscard]] virtual std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_IO_DIALER_H_
