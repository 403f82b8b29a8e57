// HealthMetrics: exports the states and health checks of backends as Prometheus metrics.
// docs/monitoring/README.md lists them.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_HEALTH_METRICS_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_HEALTH_METRICS_H_

#include <cstddef>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "trestle/watch/health_checker.h"

namespace trestle {

/// Thread-safe. Label values are the addresses of backends in use, their names, and the kinds of
/// checks. Backends beyond the first `kMaxBackends` are reported together, as "other",
/// which is up if all of them are.
class HealthMetrics final : public ::prometheus::Collectable {
 public:
  static constexpr size_t kMaxBackends = 1000;

  /// Replaces the reported backends, by `HealthChecker::backends`.
  void SetBackends(std::vector<HealthStatus> backends) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Returns no families while there is no backend.
  std::vector<::prometheus::MetricFamily> Collect() const override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  std::vector<HealthStatus> backends_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_HEALTH_METRICS_H_
