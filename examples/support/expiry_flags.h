// Flags of the alarms before certificates end.
#ifndef TRESTLE_EXAMPLES_SUPPORT_EXPIRY_FLAGS_H_
#define TRESTLE_EXAMPLES_SUPPORT_EXPIRY_FLAGS_H_

#include "absl/status/statusor.h"
#include "trestle/watch/expiry_alarms.h"

namespace trestle::examples {

/// Reads --warn_days, --warn_part, --critical_days and --critical_part.
absl::StatusOr<ExpiryAlarms> ExpiryAlarmsFromFlags();

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_EXPIRY_FLAGS_H_
