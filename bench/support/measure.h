// Stopwatch and Samples: the cost of one piece of work, in time and allocations. A busy machine
// affects some samples but not the median.
#ifndef TRESTLE_BENCH_SUPPORT_MEASURE_H_
#define TRESTLE_BENCH_SUPPORT_MEASURE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/support/allocation_counter.h"

namespace trestle::bench {

/// Adds up time intervals and the allocations made in them.
class Stopwatch final {
 public:
  void Start() {
    allocations_begin_ = AllocationsSoFar();
    begin_ = std::chrono::steady_clock::now();
  }
  void Stop() {
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    allocations_ += AllocationsSoFar() - allocations_begin_;
  }

  double seconds() const { return seconds_; }
  uint64_t allocations() const { return allocations_; }

 private:
  std::chrono::steady_clock::time_point begin_;
  uint64_t allocations_begin_ = 0;
  double seconds_ = 0;
  uint64_t allocations_ = 0;
};

/// Measurements of the same work.
class Samples final {
 public:
  void Add(const Stopwatch& watch) {
    seconds_.push_back(watch.seconds());
    allocations_ += watch.allocations();
  }

  /// 0 without samples.
  double MedianSeconds() const;
  double MeanAllocations() const;

 private:
  std::vector<double> seconds_;
  uint64_t allocations_ = 0;
};

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_SUPPORT_MEASURE_H_
