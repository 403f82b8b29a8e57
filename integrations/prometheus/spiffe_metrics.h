// SpiffeMetrics: exports the state of a SPIFFE agent and of the SVID in use as Prometheus metrics.
// docs/monitoring/README.md lists them.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_SPIFFE_METRICS_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_SPIFFE_METRICS_H_

#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "integrations/spiffe/spiffe_status.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace trestle {

/// Thread-safe.
class SpiffeMetrics final : public ::prometheus::Collectable {
 public:
  /// Replaces the reported state.
  void Set(SpiffeStatus status) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Returns no families before the first `Set`.
  std::vector<::prometheus::MetricFamily> Collect() const override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  std::optional<SpiffeStatus> status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_SPIFFE_METRICS_H_
