#include "bench/support/measure.h"

#include <algorithm>

namespace trestle::bench {

double Samples::MedianSeconds() const {
  if (seconds_.empty()) return 0;
  std::vector<double> sorted = seconds_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

double Samples::MeanAllocations() const {
  if (seconds_.empty()) return 0;
  return static_cast<double>(allocations_) / static_cast<double>(seconds_.size());
}

}  // namespace trestle::bench
