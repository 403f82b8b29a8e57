// What a soak measures of one proxy when no client is connected, and whether it stays flat.
#ifndef TRESTLE_BENCH_SOAK_SAMPLES_H_
#define TRESTLE_BENCH_SOAK_SAMPLES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "bench/peers/process.h"

namespace trestle::bench {

/// The bounds for what a proxy may gain after the warm-up, the first quarter of a soak. Growth is
/// the difference of the medians of the last quarter and the one after the warm-up.
struct SoakBounds {
  double memory_kib = 2048;
  int descriptors = 16;  ///< A loop keeps some pipes for splicing, as many as it once needed.
  int threads = 0;
};

class Samples final {
 public:
  /// Takes a sample `minutes` after the start.
  void Take(const Process& process, double minutes);

  /// Returns one line: first and last values, slopes by least squares after the warm-up.
  std::string ToString() const;

  /// Returns what grew beyond its bound; empty for nothing.
  std::string Growth(const SoakBounds& bounds) const;

 private:
  struct Sample {
    double minutes;
    double memory_kib;
    double descriptors;
    double threads;
  };

  double Median(double Sample::*value, size_t begin, size_t end) const;
  double Growth(double Sample::*value) const;
  double Slope(double Sample::*value) const;

  std::vector<Sample> samples_;
};

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_SOAK_SAMPLES_H_
