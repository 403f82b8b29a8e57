// Parts of collectors that write their families by hand.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_METRIC_FAMILIES_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_METRIC_FAMILIES_H_

#include <string>
#include <utility>
#include <vector>

#include "prometheus/client_metric.h"
#include "prometheus/metric_family.h"
#include "prometheus/metric_type.h"

namespace trestle {

using MetricLabels = std::vector<::prometheus::ClientMetric::Label>;

/// Returns an empty family.
inline ::prometheus::MetricFamily NewFamily(::prometheus::MetricType type, std::string name,
                                            std::string help) {
  ::prometheus::MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = type;
  return family;
}

/// Adds a sample of a counter or a gauge.
inline void AddSample(::prometheus::MetricFamily& family, MetricLabels labels, double value) {
  ::prometheus::ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  const bool counts = family.type == ::prometheus::MetricType::Counter;
  (counts ? metric.counter.value : metric.gauge.value) = value;
}

/// Returns `labels` with one more.
inline MetricLabels With(MetricLabels labels, std::string name, std::string value) {
  labels.push_back({std::move(name), std::move(value)});
  return labels;
}

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_METRIC_FAMILIES_H_
