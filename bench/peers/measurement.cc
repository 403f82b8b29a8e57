#include "bench/peers/measurement.h"

#include <algorithm>
#include <cstddef>

namespace trestle::bench {
namespace {

double MedianOf(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

}  // namespace

const char* MetricName(Metric metric) {
  switch (metric) {
    case Metric::kFull:
      return "full_handshake";
    case Metric::kFullX25519:
      return "full_x25519";
    case Metric::kResumed:
      return "resumed_handshake";
    case Metric::kKept:
      return "kept_request";
    case Metric::kDown:
      return "bulk_down";
    case Metric::kUp:
      return "bulk_up";
    case Metric::kIdle:
      return "idle_connection";
  }
  return "";
}

const char* MetricUnit(Metric metric) {
  switch (metric) {
    case Metric::kFull:
    case Metric::kFullX25519:
    case Metric::kResumed:
    case Metric::kKept:
      return "us";
    case Metric::kDown:
    case Metric::kUp:
      return "s/GB";
    case Metric::kIdle:
      return "KiB";
  }
  return "";
}

bool IsHandshake(Metric metric) {
  return metric == Metric::kFull || metric == Metric::kFullX25519 || metric == Metric::kResumed;
}

double Figure::Median() const { return failure.empty() ? MedianOf(samples) : 0; }

double MedianRatio(const Figure& ours, const Figure& other) {
  if (!ours.failure.empty() || !other.failure.empty()) return 0;
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(ours.samples.size(), other.samples.size()); ++i) {
    if (other.samples[i] > 0) ratios.push_back(ours.samples[i] / other.samples[i]);
  }
  return MedianOf(std::move(ratios));
}

}  // namespace trestle::bench
