// NameMetrics: exports what DNS says of the names of backends as Prometheus metrics.
// docs/monitoring/README.md lists them.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_NAME_METRICS_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_NAME_METRICS_H_

#include <cstddef>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "trestle/proxy/resolved_backends.h"

namespace trestle {

/// Thread-safe. Label values are the configured names. Names beyond the first `kMaxNames` are
/// reported together, as "other"; then the age is the highest of theirs.
class NameMetrics final : public ::prometheus::Collectable {
 public:
  static constexpr size_t kMaxNames = 1000;

  /// Replaces the reported names, by `ResolvedBackends::names`.
  void SetNames(std::vector<NameStatus> names) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Returns no families while there is no name.
  std::vector<::prometheus::MetricFamily> Collect() const override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  std::vector<NameStatus> names_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_NAME_METRICS_H_
