#include "integrations/prometheus/spiffe_metrics.h"

#include <string>
#include <utility>

#include "absl/time/time.h"

namespace trestle {
namespace {

using ::prometheus::MetricFamily;
using ::prometheus::MetricType;

MetricFamily Family(MetricType type, std::string name, std::string help, double value) {
  MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = type;
  ::prometheus::ClientMetric& metric = family.metric.emplace_back();
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  return family;
}

}  // namespace

void SpiffeMetrics::Set(SpiffeStatus status) {
  absl::MutexLock lock(&mutex_);
  status_ = std::move(status);
}

std::vector<MetricFamily> SpiffeMetrics::Collect() const {
  absl::MutexLock lock(&mutex_);
  if (!status_.has_value()) return {};
  const SpiffeStatus& now = *status_;
  const auto count = [](uint64_t number) { return static_cast<double>(number); };
  return {
      Family(MetricType::Gauge, "trestle_spiffe_connected",
             "1 while the SPIFFE agent answers, else 0", now.connected ? 1 : 0),
      Family(MetricType::Gauge, "trestle_spiffe_svid_end_timestamp_seconds",
             "Unix time of the end of the SVID in use",
             absl::ToDoubleSeconds(now.not_after - absl::UnixEpoch())),
      Family(MetricType::Gauge, "trestle_spiffe_svid_late",
             "1 while the agent has not renewed the SVID in time, else 0", now.late ? 1 : 0),
      Family(MetricType::Gauge, "trestle_spiffe_trust_domains",
             "Trust domains with a bundle, the own one included",
             static_cast<double>(now.trust_domains.size())),
      Family(MetricType::Counter, "trestle_spiffe_updates_total",
             "SVIDs and bundles of the agent that were used", count(now.updates)),
      Family(MetricType::Counter, "trestle_spiffe_refused_updates_total",
             "Updates of the agent that can't be used", count(now.refused)),
      Family(MetricType::Counter, "trestle_spiffe_losses_total",
             "Connections to the agent that ended, and attempts that failed", count(now.losses)),
  };
}

}  // namespace trestle
