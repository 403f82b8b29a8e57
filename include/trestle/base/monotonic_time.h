// MonotonicTime: a moment by a clock that no one sets. Durations and limits are measured with it;
// dates, such as those of certificates, are absl::Time. The two types don't mix.
#ifndef TRESTLE_BASE_MONOTONIC_TIME_H_
#define TRESTLE_BASE_MONOTONIC_TIME_H_

#include "absl/time/time.h"

namespace trestle {

/// A moment of a monotonic clock, which starts anywhere and never goes back. It has no date: only
/// the distance between two moments of one clock means anything. By default infinitely long ago.
class MonotonicTime {
 public:
  constexpr MonotonicTime() = default;

  /// The moment at which the clock shows `since_start`; for implementations of `Scheduler`.
  static constexpr MonotonicTime FromStart(absl::Duration since_start) {
    return MonotonicTime(since_start);
  }

  /// Later than every other moment.
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

  /// Tells how much later `a` is than `b`.
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
