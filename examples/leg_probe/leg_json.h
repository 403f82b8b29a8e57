// The JSON that leg_probe prints; docs/leg_probe.schema.json describes it.
#ifndef TRESTLE_EXAMPLES_LEG_PROBE_LEG_JSON_H_
#define TRESTLE_EXAMPLES_LEG_PROBE_LEG_JSON_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "examples/leg_probe/legs.h"
#include "trestle/watch/leg_probe.h"
#include "trestle/watch/probe_findings.h"

namespace trestle::examples {

/// One leg, looked at.
struct ProbedLeg {
  std::string route;
  Leg leg = Leg::kBack;
  ProbeReport report;
  std::vector<Finding> findings;
};

/// Writes one round's results as a JSON document; on one line, or indented for people.
std::string LegsAsJson(const std::vector<ProbedLeg>& legs, absl::Time now, bool one_line);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_LEG_PROBE_LEG_JSON_H_
