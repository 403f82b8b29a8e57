// Dialer: opens the transports of back legs. The host owns it; posix/tcp_dialer.h has one for TCP.
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

  /// Starts to connect to `endpoint`. `done` is called once, from the loop and never from inside
  /// this call, with an open transport or the reason (ErrorCode::kTransport, or kTimeout where the
  /// dialer has a limit of its own). The library limits every dial itself and needs no such limit.
  /// The result may be destroyed inside `done`.
  ///
  /// The transport must lead to somebody else: a TCP socket that dials a free port of its own
  /// machine can, by chance, be connected with itself. Such a connection is refused.
  [[nodiscard]] virtual std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_IO_DIALER_H_
