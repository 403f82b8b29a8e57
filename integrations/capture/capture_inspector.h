// CaptureInspector: forwards all bytes at once, counts them, and passes a view of them to a sink.
// Use it for statistics, and to capture clear text (integrations/capture/pcap_file.h).
#ifndef TRESTLE_INTEGRATIONS_CAPTURE_CAPTURE_INSPECTOR_H_
#define TRESTLE_INTEGRATIONS_CAPTURE_CAPTURE_INSPECTOR_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "trestle/base/bytes.h"
#include "trestle/io/inspector.h"
#include "trestle/io/scheduler.h"

namespace trestle {

/// The totals of one connection.
struct CaptureTotals {
  uint64_t bytes_to_backend = 0;
  uint64_t bytes_to_client = 0;
  bool ended_to_backend = false;  ///< The client ended its stream cleanly.
  bool ended_to_client = false;   ///< The backend ended its stream cleanly.
};

/// Receives one connection's clear text, in order, on the loop's thread. Views are valid during the
/// call. A sink must not block, and must not call the block that serves the connection.
class CaptureSink {
 public:
  virtual ~CaptureSink() = default;

  /// Called once, before all other calls: the connection is about to carry bytes.
  virtual void OnOpened(absl::Time now) { (void)now; }

  /// Called with one or more bytes of `direction`, each byte once.
  virtual void OnBytes(Direction direction, ByteView bytes, absl::Time now) = 0;

  /// Called when the sender of `direction` ended cleanly; no more bytes of it follow.
  virtual void OnEnd(Direction direction, absl::Time now) {
    (void)direction;
    (void)now;
  }

  /// Called once, after all other calls: both directions ended, or the connection was aborted.
  virtual void OnClosed(const CaptureTotals& totals, absl::Time now) {
    (void)totals;
    (void)now;
  }
};

/// In an InspectorChain it sees the bytes that the inspectors before it let through, in both
/// directions. The first of a chain sees the bytes that client and backend send. The last sees the
/// bytes that they receive, except the last words of an inspector that blocks.
///
/// A captured byte may still be lost if a leg fails. The bytes have no early data (0-RTT): no leg
/// of Trestle accepts or sends it.
class CaptureInspector final : public Inspector {
 public:
  /// `scheduler` gives the times and must outlive the inspector. `sink` may be null: then the
  /// inspector only counts.
  CaptureInspector(Scheduler& scheduler, std::unique_ptr<CaptureSink> sink);
  ~CaptureInspector() override;

  Verdict Inspect(Direction direction, ByteView pending, bool end_of_stream) override;

  /// Returns the totals so far.
  const CaptureTotals& totals() const { return totals_; }

 private:
  Scheduler& scheduler_;
  const std::unique_ptr<CaptureSink> sink_;
  CaptureTotals totals_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_CAPTURE_CAPTURE_INSPECTOR_H_
