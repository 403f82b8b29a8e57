// MonotonicTime: a moment of a clock that is never set. Durations and limits are measured with it.
// Dates, such as those of certificates, are absl::Time. The two types don't mix.
#ifndef TRESTLE_BASE_MONOTONIC_TIME_H_
#define TRESTLE_BASE_MONOTONIC_TIME_H_

#include "absl/time/time.h"

namespace trestle {

/// A moment of a monotonic clock, which starts at any value and never goes back. It has no date:
/// only the difference between two moments of one clock has a meaning. The default is infinitely
/// long ago.
class MonotonicTime {
 public:
  constexpr MonotonicTime() = default;

  /// Returns the moment at which the clock shows `since_start`; for implementations of `Scheduler`.
  static constexpr MonotonicTime FromStart(absl::Duration since_start) {
    return MonotonicTime(since_start);
  }

  /// Returns a moment that is later than every other.
  static constexpr MonotonicTime InfiniteFuture() {
    return MonotonicTime(absl::InfiniteDuration());
  }

  constexpr absl::Duration since_start() const { return since_start_; }

  MonotonicTime& operator+=(absl::Duration duration) {
    since_start_ += duration;
    return *this;
  }

  friend MonotonicTime operator+(MonotonicTime time, absl::Duration duration) {
    return MonotonicTime(time.since_start_ + duration);
  }
  friend MonotonicTime operator-(MonotonicTime time, absl::Duration duration) {
    return MonotonicTime(time.since_start_ - duration);
  }

  /// Returns how much later `a` is than `b`.
  friend absl::Duration operator-(MonotonicTime a, MonotonicTime b) {
    return a.since_start_ - b.since_start_;
  }

  friend constexpr bool operator==(MonotonicTime a, MonotonicTime b) {
    return a.since_start_ == b.since_start_;
  }
  friend constexpr bool operator!=(MonotonicTime a, MonotonicTime b) { return !(a == b); }
  friend constexpr bool operator<(MonotonicTime a, MonotonicTime b) {
    return a.since_start_ < b.since_start_;
  }
  friend constexpr bool operator>(MonotonicTime a, MonotonicTime b) { return b < a; }
  friend constexpr bool operator<=(MonotonicTime a, MonotonicTime b) { return !(b < a); }
  friend constexpr bool operator>=(MonotonicTime a, MonotonicTime b) { return !(a < b); }

 private:
  constexpr explicit MonotonicTime(absl::Duration since_start) : since_start_(since_start) {}

  absl::Duration since_start_ = -absl::InfiniteDuration();
};

}  // namespace trestle

#endif  // TRESTLE_BASE_MONOTONIC_TIME_H_
