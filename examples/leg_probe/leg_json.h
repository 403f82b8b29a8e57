// Writes leg_probe's JSON, which docs/leg_probe.schema.json describes.
#ifndef TRESTLE_EXAMPLES_LEG_PROBE_LEG_JSON_H_
#define TRESTLE_EXAMPLES_LEG_PROBE_LEG_JSON_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "examples/leg_probe/legs.h"
#include "trestle/watch/leg_probe.h"
#include "trestle/watch/probe_findings.h"

namespace trestle::examples {

/// One leg and its result.
struct ProbedLeg {
  std::string route;
  Leg leg = Leg::kBack;
  std::string name;  ///< That led to the address: "api.internal:443"; empty for an address.
  ProbeReport report;
  std::vector<Finding> findings;
};

/// Returns one round's results as a JSON document, on one line or indented.
std::string LegsAsJson(const std::vector<ProbedLeg>& legs, absl::Time now, bool one_line);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_LEG_PROBE_LEG_JSON_H_
