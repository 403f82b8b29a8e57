// ExpiryAlarms: how long before the end of a certificate to warn, and when the end is critical.
#ifndef TRESTLE_WATCH_EXPIRY_ALARMS_H_
#define TRESTLE_WATCH_EXPIRY_ALARMS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "trestle/pki/certificate_info.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/pki/finding.h"

namespace trestle {

/// Each alarm has a time and a part of the certificate's lifetime; the shorter one counts. With the
/// defaults, a certificate for 398 days warns 30 days before its end and is critical after 23 more.
/// One for 47 days warns 15.7 days before, and is critical at 4.7 days. One for six days warns two
/// days before, and is critical at 14.4 hours. Without a known lifetime, the times count alone.
struct ExpiryAlarms {
  absl::Duration warn_within = absl::Hours(24 * 30);
  double warn_part = 1.0 / 3;
  absl::Duration critical_within = absl::Hours(24 * 7);
  double critical_part = 1.0 / 10;

  /// Returns how long before its end a certificate with this lifetime warns.
  absl::Duration WarningTime(absl::Duration lifetime) const;

  /// Returns how long before its end a certificate with this lifetime is critical: at most the
  /// `WarningTime`.
  absl::Duration CriticalTime(absl::Duration lifetime) const;

  /// Judges a certificate with this lifetime of which `left` is left: kFine, kWarning or kCritical.
  Severity At(absl::Duration left, absl::Duration lifetime) const;

  /// Fails with ErrorCode::kConfiguration for a negative time, and a part that is not between 0 and
  /// 1. An alarm with a time or part of 0 comes at the end itself.
  absl::Status Check() const;
};

/// Returns the lifetime of the certificate of `chain` that expires at `failure`. Infinite if it is
/// unknown, or if something else expires.
absl::Duration LifetimeOf(const FutureFailure& failure, absl::Span<const CertificateInfo> chain);

/// Returns the time until `when`, or since, as text: "9 days", "3 hours", "12 days ago".
std::string TimeLeftText(absl::Time when, absl::Time now);

}  // namespace trestle

#endif  // TRESTLE_WATCH_EXPIRY_ALARMS_H_
