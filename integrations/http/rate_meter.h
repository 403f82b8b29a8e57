// RateMeter: finds peers that send or read a body more slowly than a minimum rate.
#ifndef TRESTLE_INTEGRATIONS_HTTP_RATE_METER_H_
#define TRESTLE_INTEGRATIONS_HTTP_RATE_METER_H_

#include <cstdint>

#include "absl/time/time.h"
#include "trestle/base/monotonic_time.h"

namespace trestle {

/// The least that a client must send of a body, or read of one, while nobody else holds it up.
struct MinimumRate {
  uint64_t bytes_per_second = 64;  ///< 0: no limit.
  /// The time of the client's own delay over which the rate is measured. More than zero.
  absl::Duration window = absl::Seconds(30);
};

/// Measures one direction. Only time during which the peer owes something counts.
class RateMeter {
 public:
  /// Takes `bytes` that the peer has just sent or read. From now on it owes more, or it doesn't.
  /// Returns whether it was below the rate in a whole window of its own delay.
  bool IsTooSlow(const MinimumRate& rate, MonotonicTime now, uint64_t bytes, bool owes) {
    if (owes_) delay_ = delay_ + (now - since_);
    since_ = now;
    owes_ = owes;
    bytes_ += bytes;
    if (rate.bytes_per_second == 0 || delay_ < rate.window) return false;
    const double wanted =
        static_cast<double>(rate.bytes_per_second) * absl::ToDoubleSeconds(delay_);
    const bool slow = static_cast<double>(bytes_) < wanted;
    delay_ = absl::ZeroDuration();
    bytes_ = 0;
    return slow;
  }

 private:
  absl::Duration delay_;  // Of the peer, in the current window.
  uint64_t bytes_ = 0;    // In the current window.
  MonotonicTime since_;   // The last call.
  bool owes_ = false;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_RATE_METER_H_
