// Writes leg_probe's text output: both legs of a route side by side, or one line per leg.
#ifndef TRESTLE_EXAMPLES_LEG_PROBE_LEG_TABLE_H_
#define TRESTLE_EXAMPLES_LEG_PROBE_LEG_TABLE_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "examples/leg_probe/leg_json.h"

namespace trestle::examples {

/// Returns each route as a table, front left and back right, with its findings below.
std::string LegsAsTables(const std::vector<ProbedLeg>& legs, absl::Time now, bool colours);

/// Returns one line per leg, with its findings below.
std::string LegsAsLines(const std::vector<ProbedLeg>& legs, absl::Time now, bool colours);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_LEG_PROBE_LEG_TABLE_H_
