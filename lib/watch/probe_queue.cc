#include "trestle/watch/probe_queue.h"

#include <algorithm>
#include <utility>

namespace trestle {

ProbeQueue::ProbeQueue(Scheduler& scheduler, Dialer& dialer, size_t max_concurrent)
    : scheduler_(scheduler),
      dialer_(dialer),
      max_concurrent_(std::max<size_t>(max_concurrent, 1)) {}

ProbeQueue::~ProbeQueue() = default;

void ProbeQueue::Probe(std::shared_ptr<const LegProbeConfig> config, LegProbeTarget target,
                       LegProbe::Callback done) {
  waiting_.push_back({std::move(config), std::move(target), std::move(done)});
  StartMore();
}

void ProbeQueue::StartMore() {
  while (running_.size() < max_concurrent_ && !waiting_.empty()) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    const uint64_t id = next_id_++;
    running_.emplace(id, std::make_unique<LegProbe>(
                             scheduler_, dialer_, std::move(next.config), std::move(next.target),
                             [this, id, done = std::move(next.done)](ProbeReport report) mutable {
                               OnDone(id, done, std::move(report));
                             }));
  }
}

void ProbeQueue::OnDone(uint64_t id, LegProbe::Callback& done, ProbeReport report) {
  // The callback is now in the probe's stack frame, not in the probe.
  running_.erase(id);
  done(std::move(report));
  StartMore();
}

}  // namespace trestle
