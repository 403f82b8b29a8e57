// ProbeQueue: runs any number of probes, a limited number at a time.
#ifndef TRESTLE_WATCH_PROBE_QUEUE_H_
#define TRESTLE_WATCH_PROBE_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/watch/leg_probe.h"

namespace trestle {

/// Runs probes, a bounded number at a time. All calls come from the loop's thread.
class ProbeQueue {
 public:
  /// Runs at most `max_concurrent` (at least 1) probes, and so sockets, at a time. `scheduler` and
  /// `dialer` must outlive the prober.
  ProbeQueue(Scheduler& scheduler, Dialer& dialer, size_t max_concurrent);

  /// Cancels running and waiting probes; their callbacks are not called.
  ~ProbeQueue();
  ProbeQueue(const ProbeQueue&) = delete;
  ProbeQueue& operator=(const ProbeQueue&) = delete;

  /// Queues a probe of `target`, first come, first served. Calls `done` once, from the loop. `done`
  /// must not destroy the prober.
  void Probe(std::shared_ptr<const LegProbeConfig> config, LegProbeTarget target,
             LegProbe::Callback done);

  size_t running() const { return running_.size(); }
  size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    std::shared_ptr<const LegProbeConfig> config;
    LegProbeTarget target;
    LegProbe::Callback done;
  };

  void StartMore();
  void OnDone(uint64_t id, LegProbe::Callback& done, ProbeReport report);

  Scheduler& scheduler_;
  Dialer& dialer_;
  const size_t max_concurrent_;
  uint64_t next_id_ = 1;
  std::deque<Waiting> waiting_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<LegProbe>> running_;
};

}  // namespace trestle

#endif  // TRESTLE_WATCH_PROBE_QUEUE_H_
