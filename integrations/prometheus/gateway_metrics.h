// GatewayMetrics: exports the reports and pools of HTTP gateways as Prometheus metrics.
// docs/monitoring/README.md lists them.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_GATEWAY_METRICS_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_GATEWAY_METRICS_H_

#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "integrations/http/backend_pool.h"
#include "integrations/http/http_observer.h"
#include "integrations/prometheus/legs_page.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "prometheus/registry.h"

namespace trestle {

/// Thread-safe. Label values are a closed set, except for names of routes and backends, which the
/// configuration bounds. Routes beyond `kMaxRoutes`, over all reloads, are counted as "other".
class GatewayMetrics final : public ::prometheus::Collectable {
 public:
  static constexpr size_t kMaxRoutes = 1000;

  GatewayMetrics();
  ~GatewayMetrics() override;

  /// Creates an observer for the gateway of one loop, which counts and passes every call on to
  /// `next` (may be null). The metrics and `next` must outlive it.
  std::unique_ptr<HttpObserver> NewObserver(HttpObserver* next);

  /// Replaces the pools of one thread, by `HttpGateway::pool_targets`.
  void SetPools(size_t thread, std::vector<BackendTargetStats> targets) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Returns the pools of all threads, one for each backend, in the order of their names.
  std::vector<PoolLegs> pools() const ABSL_LOCKS_EXCLUDED(mutex_);

  std::vector<::prometheus::MetricFamily> Collect() const override;

 private:
  class Families;
  class Observer;

  const std::shared_ptr<::prometheus::Registry> registry_;
  const std::unique_ptr<Families> families_;
  mutable absl::Mutex mutex_;
  std::map<size_t, std::vector<BackendTargetStats>> pools_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_GATEWAY_METRICS_H_
