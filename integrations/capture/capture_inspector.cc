#include "integrations/capture/capture_inspector.h"

namespace trestle {

CaptureInspector::CaptureInspector(Scheduler& scheduler, std::unique_ptr<CaptureSink> sink)
    : scheduler_(scheduler), sink_(std::move(sink)) {
  if (sink_ != nullptr) sink_->OnOpened(scheduler_.Now());
}

CaptureInspector::~CaptureInspector() {
  if (sink_ != nullptr) sink_->OnClosed(totals_, scheduler_.Now());
}

Verdict CaptureInspector::Inspect(Direction direction, ByteView pending, bool end_of_stream) {
  const bool to_backend = direction == Direction::kToBackend;
  (to_backend ? totals_.bytes_to_backend : totals_.bytes_to_client) += pending.size();
  bool& ended = to_backend ? totals_.ended_to_backend : totals_.ended_to_client;
  const bool ends_now = end_of_stream && !ended;
  ended = ended || end_of_stream;
  if (sink_ != nullptr) {
    const absl::Time now = scheduler_.Now();
    if (!pending.empty()) sink_->OnBytes(direction, pending, now);
    if (ends_now) sink_->OnEnd(direction, now);
  }
  return Verdict::Forward(pending.size());
}

}  // namespace trestle
