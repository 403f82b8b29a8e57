#include "integrations/prometheus/health_metrics.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/time/time.h"

namespace trestle {
namespace {

using ::prometheus::ClientMetric;
using ::prometheus::MetricFamily;
using ::prometheus::MetricType;

using Labels = std::vector<ClientMetric::Label>;

// The values of one set of labels.
struct Sums {
  bool checked = false;
  bool up = true;
  double good = 0;
  double failed = 0;
  double changes = 0;
  double seconds = 0;

  void Add(const HealthStatus& backend) {
    checked = checked || backend.checks > 0;
    up = up && backend.state != HealthState::kDown;
    good += static_cast<double>(backend.checks - backend.failures);
    failed += static_cast<double>(backend.failures);
    changes += static_cast<double>(backend.changes);
    seconds = std::max(seconds, absl::ToDoubleSeconds(backend.took));
  }
};

MetricFamily Family(MetricType type, std::string name, std::string help) {
  MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = type;
  return family;
}

void AddTo(MetricFamily& family, Labels labels, double value) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
}

Labels With(Labels labels, const char* name, const char* value) {
  labels.push_back({name, value});
  return labels;
}

// By the address, the name and the kind of the check.
using Key = std::vector<std::string>;

Labels LabelsOf(const Key& key) {
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
  MetricFamily up = Family(MetricType::Gauge, "trestle_backend_up",
                           "1 if the health checks of the backend say that it is up, else 0");
  MetricFamily checks = Family(MetricType::Counter, "trestle_backend_health_checks_total",
                               "Health checks of the backend, by result");
  MetricFamily changes =
      Family(MetricType::Counter, "trestle_backend_health_changes_total",
             "Changes between up and down after the backend's first health check");
  MetricFamily seconds = Family(MetricType::Gauge, "trestle_backend_health_check_seconds",
                                "Duration of the last health check of the backend");
  for (const auto& [key, sums] : all) {
    const Labels labels = LabelsOf(key);
    AddTo(checks, With(labels, "result", "good"), sums.good);
    AddTo(checks, With(labels, "result", "failed"), sums.failed);
    AddTo(changes, labels, sums.changes);
    if (!sums.checked) continue;
    AddTo(up, labels, sums.up ? 1 : 0);
    AddTo(seconds, labels, sums.seconds);
  }
  return {std::move(up), std::move(checks), std::move(changes), std::move(seconds)};
}

}  // namespace trestle
