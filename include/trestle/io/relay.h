// Relay: carries bytes between two transports in both directions, with bounded buffers, half-close,
// back-pressure, fairness between connections, and an optional inspector.
#ifndef TRESTLE_IO_RELAY_H_
#define TRESTLE_IO_RELAY_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "trestle/base/bytes.h"
#include "trestle/base/leg.h"
#include "trestle/io/inspector.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

namespace trestle {

class RelayPipe;

/// Limits of a relay.
struct RelayOptions {
  /// Ends the relay with ErrorCode::kTimeout if no byte moves in either direction for this long.
  absl::Duration idle_timeout = absl::Minutes(5);
  /// Maximum number of bytes held per direction, and of bytes that an inspector sees at once. The
  /// default is three full TLS records. The kernel passes them to the network card as one packet,
  /// which is limited to 64 KiB with all headers. Four records would need a second, small packet.
  size_t buffer_bytes = 48 * 1024;
  /// Bytes moved per direction before other connections of the loop get their turn.
  size_t turn_bytes = 256 * 1024;
  /// Lets bulk transfers bypass this process if both legs support it (`Transport::splice_pool`)
  /// and there is no inspector. The limits and the rest of the behaviour are the same.
  bool splice = true;
  /// The bytes that a client may send between the backend's end, or its last answer, and a reset: a
  /// TLS alert, for example. After more of them, the reset is a failure. Set it if the relay
  /// carries the client's own TLS. Such clients close with bytes unread, which sends a RST.
  size_t client_alert_bytes = 0;
};

/// Joins two open transports. Each direction copies bytes, then passes the end on as a half-close,
/// then is done.
///
/// The relay finishes once: with OK if both directions ended cleanly, else with the first failure.
/// The Error of a failure names the leg, except for kTimeout. Before the relay reports a failure of
/// one leg, it writes the bytes that came earlier to the other leg. That leg has the idle timeout
/// to take them. It never aborts or destroys a transport.
///
/// All calls come from the loop's thread. The relay may be destroyed at any time, inside `done`
/// too, but not inside a call of the inspector. If it is destroyed early, it stops at once: it
/// never calls `done`, and bytes that it has read but not written are lost. Both transports stay
/// open, without a handler.
class Relay final {
 public:
  /// `front`, `back` and `inspector` must outlive the relay. The relay sets the transports'
  /// handlers and resets them to null when it is destroyed. `inspector` may be null.
  Relay(Scheduler& scheduler, Transport& front, Transport& back, Inspector* inspector,
        const RelayOptions& options);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  /// Starts the relay; call it once. Calls `done` once, from the loop and never inside this call.
  void Start(absl::AnyInvocable<void(absl::Status)> done);

  /// Returns the number of bytes read from `leg` so far.
  uint64_t bytes_read(Leg leg) const;

  /// Returns the number of bytes that `leg` accepted so far.
  uint64_t bytes_written(Leg leg) const;

  /// Returns the part of `bytes_written` that bypassed this process (`Transport::splice_pool`).
  uint64_t bytes_spliced(Leg leg) const;

  /// Returns whether the relay holds a buffer or pipe. False while no byte is in flight.
  bool holds_buffers() const;

  /// Returns whether the peer of `leg` closed without marking its end, after this side had sent its
  /// own end. No bytes came in between, except `client_alert_bytes`. Or the client did so on an
  /// idle connection, whose last bytes were answered. The outcome is OK. The other leg is still
  /// open: end it with kTruncated or abort it, because the end was not marked.
  bool left_unmarked(Leg leg) const;

 private:
  struct LegHandler final : TransportHandler {
    LegHandler(Relay& owner, Leg of) : relay(owner), leg(of) {}
    void OnReadable() override;
    void OnWritable() override;
    Relay& relay;
    const Leg leg;
  };

  void Pump();
  bool PumpPipe(RelayPipe& pipe,
                RelayPipe& opposite);  // Returns true if there is more work at once.
  bool LeftUnmarked(const RelayPipe& pipe) const;
  bool ClientLeftIdle(const RelayPipe& pipe) const;
  void OnFailed(Leg leg, RelayPipe& opposite);
  void OnBlocked(RelayPipe& pipe);
  void SchedulePump();
  void WatchIdle(absl::Duration delay);
  void Finish();
  uint64_t BytesMoved() const;

  Scheduler& scheduler_;
  const RelayOptions options_;
  Transport& front_;
  Transport& back_;
  LegHandler front_handler_;
  LegHandler back_handler_;
  const std::unique_ptr<RelayPipe> to_backend_;
  const std::unique_ptr<RelayPipe> to_client_;
  absl::Status outcome_;  // The first failure.
  absl::AnyInvocable<void(absl::Status)> done_;
  MonotonicTime last_activity_;
  Timer idle_timer_;
  Timer next_pump_;
};

}  // namespace trestle

#endif  // TRESTLE_IO_RELAY_H_
