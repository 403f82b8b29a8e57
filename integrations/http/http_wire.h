// HttpWire: moves bytes between a Transport and a codec: reads while the codec wants bytes, sends
// what it produces, and ends the connection.
#ifndef TRESTLE_INTEGRATIONS_HTTP_HTTP_WIRE_H_
#define TRESTLE_INTEGRATIONS_HTTP_HTTP_WIRE_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "integrations/http/http_exchange.h"
#include "integrations/http/turn_queue.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

namespace trestle {

/// Receives the events of a wire. Calls come within a turn.
class HttpWireOwner {
 public:
  /// Bytes came in or went out.
  virtual void OnWireActivity() {}

  /// The connection is over; the wire makes no further calls. OK if it ended as the codec wanted.
  virtual void OnWireOver(const absl::Status& why) = 0;

 protected:
  ~HttpWireOwner() = default;
};

class HttpWire final : public HttpCodecHook, private TransportHandler, private TurnItem {
 public:
  /// How long a peer may take to read the last bytes.
  static constexpr absl::Duration kLingerTime = absl::Seconds(2);

  /// All but `transport` must outlive the wire. `linger`: after the end of this side's direction,
  /// reads and drops the peer's bytes until it ends too. Otherwise a reset could destroy the last
  /// bytes.
  HttpWire(TurnQueue& turns, Scheduler& scheduler, std::unique_ptr<Transport> transport,
           HttpWireOwner& owner, bool linger);
  ~HttpWire() override;

  /// Begins to move bytes. `codec` must outlive the wire.
  void Start(HttpCodec& codec);

  /// Reads once if nothing waits. Returns whether the connection is open and silent: the peer sent
  /// neither bytes nor an end.
  bool IsSilent();

  /// Returns for how long the peer has accepted no byte, while there are bytes to send.
  absl::Duration StalledFor(MonotonicTime now) const {
    return write_waits_ ? now - stalled_since_ : absl::ZeroDuration();
  }

  /// Aborts the connection without a call of the owner.
  void Abort();

  void OnCodecReady() override { Enqueue(); }
  MonotonicTime Now() const override { return scheduler_.MonotonicNow(); }

 private:
  void OnReadable() override;
  void OnWritable() override;
  void RunTurn() override;

  void ReadSome();
  bool ReadOnce();
  void Flush();
  bool WriteAll();
  void EndWriting();
  void Linger();
  void Finish(const absl::Status& why);

  TurnQueue& turns_;
  Scheduler& scheduler_;
  const std::unique_ptr<Transport> transport_;
  HttpWireOwner& owner_;
  const bool linger_;
  HttpCodec* codec_ = nullptr;
  std::string out_;  // Bytes to send, from sent_ on.
  size_t sent_ = 0;
  bool read_waits_ = false;
  bool write_waits_ = false;
  MonotonicTime stalled_since_;  // While `write_waits_`.
  bool read_over_ = false;
  bool write_ending_ = false;
  bool write_ended_ = false;
  bool over_ = false;
  Timer more_;  // Schedules another turn for a peer that sends without a pause.
  Timer linger_limit_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_HTTP_WIRE_H_
