// CaptureInspector: lets everything through at once, counts it, and hands a copy to a sink: for
// statistics, and for looking at what was decrypted (posix/pcap_file.h).
#ifndef TRESTLE_IO_CAPTURE_INSPECTOR_H_
#define TRESTLE_IO_CAPTURE_INSPECTOR_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "trestle/base/bytes.h"
#include "trestle/io/inspector.h"
#include "trestle/io/scheduler.h"

namespace trestle {

/// What came of one connection, in the end.
struct CaptureTotals {
  uint64_t bytes_to_backend = 0;
  uint64_t bytes_to_client = 0;
  bool ended_to_backend = false;  ///< The client ended its stream cleanly.
  bool ended_to_client = false;   ///< The backend did.
};

/// Gets one connection's clear text, in the order in which it came, on the loop's thread. Must
/// neither block for long nor call the connection's block.
class CaptureSink {
 public:
  virtual ~CaptureSink() = default;

  /// The connection is about to carry bytes. Called once, before all else.
  virtual void OnOpened(absl::Time now) { (void)now; }

  /// At least one byte of `direction`, each byte once.
  virtual void OnBytes(Direction direction, ByteView bytes, absl::Time now) = 0;

  /// The sender of `direction` ended cleanly; no more bytes of it follow.
  virtual void OnEnd(Direction direction, absl::Time now) {
    (void)direction;
    (void)now;
  }

  /// The connection is over; both directions ended, or it was cut. Called once, after all else.
  virtual void OnClosed(const CaptureTotals& totals, absl::Time now) {
    (void)totals;
    (void)now;
  }
};

/// In an InspectorChain it sees what those before it let through, in both directions: as the first
/// one, what the client and the backend sent; as the last one, what they are sent, but for what was
/// said to the client by one that blocks. A byte that was seen may still get lost when a leg
/// breaks. None of it is early data (0-RTT), which no leg of Trestle accepts or sends.
class CaptureInspector final : public Inspector {
 public:
  /// `scheduler` tells the times, and must outlive the inspector. `sink` may be null.
  CaptureInspector(Scheduler& scheduler, std::unique_ptr<CaptureSink> sink);
  ~CaptureInspector() override;

  Verdict Inspect(Direction direction, ByteView pending, bool end_of_stream) override;

  /// What was seen so far.
  const CaptureTotals& totals() const { return totals_; }

 private:
  Scheduler& scheduler_;
  const std::unique_ptr<CaptureSink> sink_;
  CaptureTotals totals_;
};

}  // namespace trestle

#endif  // TRESTLE_IO_CAPTURE_INSPECTOR_H_
