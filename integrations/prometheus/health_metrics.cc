#include "integrations/prometheus/health_metrics.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "integrations/prometheus/metric_families.h"
#include "trestle/proxy/backend_state.h"

namespace trestle {
namespace {

using ::prometheus::MetricFamily;
using ::prometheus::MetricType;

constexpr BackendCondition kConditions[] = {
    BackendCondition::kUnchecked, BackendCondition::kUp,   BackendCondition::kSlowStart,
    BackendCondition::kEjected,   BackendCondition::kDown, BackendCondition::kDraining};
constexpr size_t kConditionCount = sizeof(kConditions) / sizeof(kConditions[0]);

// The values of one set of labels.
struct Sums {
  bool checked = false;
  bool up = true;
  double conditions[kConditionCount] = {};
  double ejections = 0;
  double good = 0;
  double failed = 0;
  double changes = 0;
  double seconds = 0;

  void Add(const HealthStatus& backend) {
    checked = checked || backend.checks > 0;
    const BackendCondition condition = backend.state.condition;
    up = up && condition != BackendCondition::kDown && condition != BackendCondition::kEjected;
    for (size_t i = 0; i < kConditionCount; ++i) conditions[i] += condition == kConditions[i];
    ejections += static_cast<double>(backend.state.ejections);
    good += static_cast<double>(backend.checks - backend.failures);
    failed += static_cast<double>(backend.failures);
    changes += static_cast<double>(backend.changes);
    seconds = std::max(seconds, absl::ToDoubleSeconds(backend.took));
  }
};

// By the address, the name and the kind of the check.
using Key = std::vector<std::string>;

MetricLabels LabelsOf(const Key& key) {
  return {{"backend", key[0]}, {"name", key[1]}, {"check", key[2]}};
}

}  // namespace

void HealthMetrics::SetBackends(std::vector<HealthStatus> backends) {
  absl::MutexLock lock(&mutex_);
  backends_ = std::move(backends);
}

std::vector<MetricFamily> HealthMetrics::Collect() const {
  std::map<Key, Sums> all;
  {
    absl::MutexLock lock(&mutex_);
    for (const HealthStatus& backend : backends_) {
      const std::string& name = backend.server_name.empty() ? backend.name : backend.server_name;
      Key key = {backend.endpoint.ToString(), name, std::string(EnumName(backend.kind))};
      if (all.size() >= kMaxBackends && all.count(key) == 0) key = {"other", "other", "other"};
      all[std::move(key)].Add(backend);
    }
  }
  if (all.empty()) return {};
  MetricFamily up = NewFamily(MetricType::Gauge, "trestle_backend_up",
                              "0 if the backend is down or ejected, else 1");
  MetricFamily state = NewFamily(MetricType::Gauge, "trestle_backend_state",
                                 "1 for the state of the backend now, else 0");
  MetricFamily ejections =
      NewFamily(MetricType::Counter, "trestle_backend_ejections_total",
                "Ejections of the backend, which connections to it led to by failing");
  MetricFamily checks = NewFamily(MetricType::Counter, "trestle_backend_health_checks_total",
                                  "Health checks of the backend, by result");
  MetricFamily changes =
      NewFamily(MetricType::Counter, "trestle_backend_health_changes_total",
                "Changes between up and down after the backend's first health check");
  MetricFamily seconds = NewFamily(MetricType::Gauge, "trestle_backend_health_check_seconds",
                                   "Duration of the last health check of the backend");
  for (const auto& [key, sums] : all) {
    const MetricLabels labels = LabelsOf(key);
    AddSample(up, labels, sums.up ? 1 : 0);
    for (size_t i = 0; i < kConditionCount; ++i) {
      AddSample(state, With(labels, "state", std::string(EnumName(kConditions[i]))),
                sums.conditions[i]);
    }
    AddSample(ejections, labels, sums.ejections);
    AddSample(checks, With(labels, "result", "good"), sums.good);
    AddSample(checks, With(labels, "result", "failed"), sums.failed);
    AddSample(changes, labels, sums.changes);
    if (sums.checked) AddSample(seconds, labels, sums.seconds);
  }
  return {std::move(up),     std::move(state),   std::move(ejections),
          std::move(checks), std::move(changes), std::move(seconds)};
}

}  // namespace trestle
