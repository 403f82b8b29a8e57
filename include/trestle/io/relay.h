// Relay: carries bytes between two transports, both ways, with bounded buffers, half-close,
// back-pressure, fairness between connections, and inspection where asked.
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

struct RelayOptions {
  /// Ends the relay with ErrorCode::kTimeout when no byte moved for so long, either way.
  absl::Duration idle_timeout = absl::Minutes(5);
  /// Bytes held per direction at most; also the most that an inspector can see at once. Three full
  /// TLS records, as here, leave in one packet of the kernel's; what it splits for the network card
  /// must stay below 64 KiB with all headers, and four make a second, small one.
  size_t buffer_bytes = 48 * 1024;
  /// Bytes moved per direction before other connections of the loop get their turn.
  size_t turn_bytes = 256 * 1024;
  /// Lets bulk bypass this process where both legs can do that (`Transport::direct_pipes`) and
  /// nobody inspects. All else is the same with and without, the bounds included.
  bool direct_pipes = true;
};

/// Joins two open transports. Per direction: copying, then closing (the end is carried across as a
/// half-close), then done. Finishes once, with OK when both directions ended cleanly, else with the
/// first failure, whose TlsError names the leg. Before a failure is reported, all bytes that were
/// accepted before it have been written to the other leg, as far as that leg takes them within
/// the idle timeout.
class Relay final {
 public:
  /// `front` and `back` must outlive the relay; their handlers are the relay's until it is
  /// destroyed. `inspector` may be null.
  Relay(Scheduler& scheduler, Transport& front, Transport& back, Inspector* inspector,
        const RelayOptions& options);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  /// Starts to carry. `done` is called once, from the loop and never from inside this call; the
  /// relay may be destroyed in it.
  void Start(absl::AnyInvocable<void(absl::Status)> done);

  /// Counts the bytes that were read from a leg / accepted by a leg so far.
  uint64_t bytes_read(Leg leg) const;
  uint64_t bytes_written(Leg leg) const;

  /// Counts those of `bytes_written` that never were in this process (`Transport::direct_pipes`).
  uint64_t bytes_direct(Leg leg) const;

  /// Tells whether any buffer or pipe is held now. False while nothing is in flight.
  bool holds_buffers() const;

 private:
  class Pipe;

  struct LegHandler final : TransportHandler {
    LegHandler(Relay& relay, Leg leg) : relay(relay), leg(leg) {}
    void OnReadable() override;
    void OnWritable() override;
    Relay& relay;
    const Leg leg;
  };

  void Pump();
  bool PumpPipe(Pipe& pipe, Pipe& opposite);  // True where more is to be done at once.
  void OnFailed(Leg leg, Pipe& opposite);
  void OnBlocked(Pipe& pipe);
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
  const std::unique_ptr<Pipe> to_backend_;
  const std::unique_ptr<Pipe> to_client_;
  absl::Status outcome_;  // The first failure.
  absl::AnyInvocable<void(absl::Status)> done_;
  MonotonicTime last_activity_;
  Timer idle_timer_;
  Timer next_pump_;
};

}  // namespace trestle

#endif  // TRESTLE_IO_RELAY_H_
