#include "examples/support/expiry_flags.h"

#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "examples/support/program.h"

ABSL_FLAG(int, warn_days, 30,
          "warns of certificates that end within so many days, and within --warn_part of their "
          "lifetime");
ABSL_FLAG(
    std::string, warn_part, "1/3",
    "the part of a certificate's lifetime within which it warns, for certificates of few days");
ABSL_FLAG(
    int, critical_days, 7,
    "certificates that end within so many days, and within --critical_part of their lifetime, "
    "are critical");
ABSL_FLAG(std::string, critical_part, "1/10",
          "the part of a certificate's lifetime within which its end is critical");

namespace trestle::examples {
namespace {

absl::StatusOr<absl::Duration> TimeFrom(absl::string_view flag, int days) {
  if (days < 0) return FlagError(flag, "must not be negative");
  return days * absl::Hours(24);
}

// Reads "1/3" or "0.1".
absl::StatusOr<double> PartFrom(absl::string_view flag, const std::string& text) {
  const std::vector<std::string> numbers = absl::StrSplit(text, '/');
  double value = 0;
  double divisor = 1;
  const bool good = numbers.size() <= 2 && absl::SimpleAtod(numbers.front(), &value) &&
                    (numbers.size() < 2 || absl::SimpleAtod(numbers[1], &divisor)) && divisor > 0 &&
                    value >= 0 && value <= divisor;
  if (!good) {
    return FlagError(flag, absl::StrCat("has \"", text, "\"; write a part from 0 to 1, as in 1/3"));
  }
  return value / divisor;
}

}  // namespace

absl::StatusOr<ExpiryAlarms> ExpiryAlarmsFromFlags() {
  const auto warn_within = TimeFrom("warn_days", absl::GetFlag(FLAGS_warn_days));
  if (!warn_within.ok()) return warn_within.status();
  const auto warn_part = PartFrom("warn_part", absl::GetFlag(FLAGS_warn_part));
  if (!warn_part.ok()) return warn_part.status();
  const auto critical_within = TimeFrom("critical_days", absl::GetFlag(FLAGS_critical_days));
  if (!critical_within.ok()) return critical_within.status();
  const auto critical_part = PartFrom("critical_part", absl::GetFlag(FLAGS_critical_part));
  if (!critical_part.ok()) return critical_part.status();
  const ExpiryAlarms alarms{*warn_within, *warn_part, *critical_within, *critical_part};
  if (absl::Status checked = alarms.Check(); !checked.ok()) return checked;
  return alarms;
}

}  // namespace trestle::examples
