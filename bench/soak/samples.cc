#include "bench/soak/samples.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace trestle::bench {

void Samples::Take(const Process& process, double minutes) {
  samples_.push_back({minutes, process.PssKib(), static_cast<double>(process.Descriptors()),
                      static_cast<double>(process.Threads())});
}

std::string Samples::ToString() const {
  if (samples_.empty()) return "no sample";
  const Sample& first = samples_.front();
  const Sample& last = samples_.back();
  return absl::StrFormat(
      "memory %.0f to %.0f KiB (%+.1f KiB/min), descriptors %.0f to %.0f (%+.2f/min), threads "
      "%.0f to %.0f",
      first.memory_kib, last.memory_kib, Slope(&Sample::memory_kib), first.descriptors,
      last.descriptors, Slope(&Sample::descriptors), first.threads, last.threads);
}

std::string Samples::Growth(const SoakBounds& bounds) const {
  std::string grown;
  const auto check = [&](const char* what, double growth, double bound) {
    if (growth > bound) {
      absl::StrAppend(&grown,
                      absl::StrFormat(" %s grew by %.0f (bound %.0f).", what, growth, bound));
    }
  };
  check("memory (KiB)", Growth(&Sample::memory_kib), bounds.memory_kib);
  check("descriptors", Growth(&Sample::descriptors), bounds.descriptors);
  check("threads", Growth(&Sample::threads), bounds.threads);
  return grown;
}

double Samples::Median(double Sample::*value, size_t begin, size_t end) const {
  std::vector<double> values;
  for (size_t i = begin; i < std::max(end, begin + 1); ++i) values.push_back(samples_[i].*value);
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

double Samples::Growth(double Sample::*value) const {
  const size_t count = samples_.size();
  if (count < 2) return 0;
  return Median(value, count - std::max<size_t>(count / 4, 1), count) -
         Median(value, count / 4, count / 2);
}

double Samples::Slope(double Sample::*value) const {
  const size_t begin = samples_.size() / 4;
  const double count = static_cast<double>(samples_.size() - begin);
  double x = 0, y = 0, xx = 0, xy = 0;
  for (size_t i = begin; i < samples_.size(); ++i) {
    const double at = samples_[i].minutes;
    x += at;
    y += samples_[i].*value;
    xx += at * at;
    xy += at * samples_[i].*value;
  }
  const double divisor = count * xx - x * x;
  return divisor <= 0 ? 0 : (count * xy - x * y) / divisor;
}

}  // namespace trestle::bench
