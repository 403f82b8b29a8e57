#include "integrations/prometheus/name_metrics.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "integrations/prometheus/metric_families.h"

namespace trestle {
namespace {

using ::prometheus::MetricFamily;
using ::prometheus::MetricType;

constexpr char kOther[] = "other";
constexpr NameCondition kConditions[] = {NameCondition::kAsked, NameCondition::kCurrent,
                                         NameCondition::kKept, NameCondition::kDenied,
                                         NameCondition::kLost};
constexpr size_t kConditionCount = sizeof(kConditions) / sizeof(kConditions[0]);

// The values of one label.
struct Sums {
  std::string label;
  double addresses = 0;
  double conditions[kConditionCount] = {};
  double age_seconds = -1;  // Negative: there is no answer.
  double lookups = 0;
  double failures = 0;
  double changes = 0;
  double refused = 0;

  MetricLabels labels() const { return {{"name", label}}; }

  void Add(const NameStatus& name) {
    addresses += static_cast<double>(name.endpoints.size());
    for (size_t i = 0; i < kConditionCount; ++i) {
      if (name.condition == kConditions[i]) ++conditions[i];
    }
    if (!name.endpoints.empty()) {
      age_seconds = std::max(age_seconds, absl::ToDoubleSeconds(name.answer_age));
    }
    lookups += static_cast<double>(name.lookups);
    failures += static_cast<double>(name.failures);
    changes += static_cast<double>(name.changes);
    refused += static_cast<double>(name.refused);
  }
};

MetricFamily Conditions(const std::vector<Sums>& all) {
  MetricFamily family = NewFamily(MetricType::Gauge, "trestle_backend_name_condition",
                                  "1 for what is known of the name now, else 0");
  for (const Sums& sums : all) {
    for (size_t i = 0; i < kConditionCount; ++i) {
      AddSample(family, With(sums.labels(), "condition", std::string(EnumName(kConditions[i]))),
                sums.conditions[i]);
    }
  }
  return family;
}

MetricFamily Ages(const std::vector<Sums>& all) {
  MetricFamily family = NewFamily(MetricType::Gauge, "trestle_backend_name_answer_age_seconds",
                                  "Seconds since the answer of DNS that is in use");
  for (const Sums& sums : all) {
    if (sums.age_seconds >= 0) AddSample(family, sums.labels(), sums.age_seconds);
  }
  return family;
}

MetricFamily Counts(const std::vector<Sums>& all, std::string name, std::string help,
                    double Sums::*count) {
  MetricFamily family = NewFamily(MetricType::Counter, std::move(name), std::move(help));
  for (const Sums& sums : all) AddSample(family, sums.labels(), sums.*count);
  return family;
}

}  // namespace

void NameMetrics::SetNames(std::vector<NameStatus> names) {
  absl::MutexLock lock(&mutex_);
  names_ = std::move(names);
}

std::vector<MetricFamily> NameMetrics::Collect() const {
  std::vector<Sums> all;
  {
    absl::MutexLock lock(&mutex_);
    for (const NameStatus& name : names_) {
      if (all.size() < kMaxNames) {
        all.push_back({name.target.ToString()});
      } else if (all.size() == kMaxNames) {
        all.push_back({kOther});
      }
      all.back().Add(name);
    }
  }
  if (all.empty()) return {};
  MetricFamily addresses = NewFamily(MetricType::Gauge, "trestle_backend_name_addresses",
                                     "Backends that the name leads to now");
  for (const Sums& sums : all) AddSample(addresses, sums.labels(), sums.addresses);
  return {std::move(addresses),
          Conditions(all),
          Ages(all),
          Counts(all, "trestle_backend_name_lookups_total", "Look-ups of the name", &Sums::lookups),
          Counts(all, "trestle_backend_name_failures_total", "Look-ups without an answer",
                 &Sums::failures),
          Counts(all, "trestle_backend_name_changes_total", "Changes of the name's addresses",
                 &Sums::changes),
          Counts(all, "trestle_backend_name_refused_addresses_total",
                 "Addresses of answers that were left out: not usable, or over the limit",
                 &Sums::refused)};
}

}  // namespace trestle
