#include "trestle/watch/expiry_alarms.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

// An infinite duration stays infinite for every part.
absl::Duration PartOf(absl::Duration lifetime, double part) {
  return lifetime == absl::InfiniteDuration() ? lifetime : lifetime * part;
}

bool IsPart(double part) { return part >= 0 && part <= 1; }

}  // namespace

absl::Duration ExpiryAlarms::WarningTime(absl::Duration lifetime) const {
  return std::min(warn_within, PartOf(lifetime, warn_part));
}

absl::Duration ExpiryAlarms::CriticalTime(absl::Duration lifetime) const {
  return std::min({critical_within, PartOf(lifetime, critical_part), WarningTime(lifetime)});
}

Severity ExpiryAlarms::At(absl::Duration left, absl::Duration lifetime) const {
  if (left <= CriticalTime(lifetime)) return Severity::kCritical;
  return left <= WarningTime(lifetime) ? Severity::kWarning : Severity::kFine;
}

absl::Status ExpiryAlarms::Check() const {
  if (warn_within < absl::ZeroDuration() || critical_within < absl::ZeroDuration()) {
    return ConfigurationError("the time of an expiry alarm must not be negative");
  }
  if (!IsPart(warn_part) || !IsPart(critical_part)) {
    return ConfigurationError("the part of a lifetime for an expiry alarm must be from 0 to 1");
  }
  return absl::OkStatus();
}

absl::Duration LifetimeOf(const FutureFailure& failure, absl::Span<const CertificateInfo> chain) {
  // Verification fails in the second after the end.
  constexpr absl::Duration kSecond = absl::Seconds(1);
  for (const CertificateInfo& certificate : chain) {
    const bool ends = certificate.subject == failure.subject &&
                      failure.when >= certificate.not_after &&
                      failure.when <= certificate.not_after + kSecond;
    if (ends) return certificate.not_after - certificate.not_before;
  }
  return absl::InfiniteDuration();
}

std::string TimeLeftText(absl::Time when, absl::Time now) {
  const bool past = when < now;
  const absl::Duration duration = past ? now - when : when - now;
  const auto count = [past](int64_t number, absl::string_view unit) {
    return absl::StrCat(number, " ", unit, number == 1 ? "" : "s", past ? " ago" : "");
  };
  if (duration >= absl::Hours(48)) return count(duration / absl::Hours(24), "day");
  if (duration >= absl::Hours(1)) return count(duration / absl::Hours(1), "hour");
  return count(duration / absl::Minutes(1), "minute");
}

}  // namespace trestle
