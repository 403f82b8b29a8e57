// Findings: explains a probe's report to operators, with advice.
#ifndef TRESTLE_WATCH_PROBE_FINDINGS_H_
#define TRESTLE_WATCH_PROBE_FINDINGS_H_

#include <vector>

#include "absl/time/time.h"
#include "trestle/pki/finding.h"
#include "trestle/watch/expiry_alarms.h"
#include "trestle/watch/leg_probe.h"

namespace trestle {

/// Limits of findings.
struct FindingOptions {
  /// How long before the end of a certificate the finding "verification_will_fail" comes.
  ExpiryAlarms alarms;
  /// Warns of revocation lists and staples that end within this time. They are renewed every few
  /// days.
  absl::Duration warn_statements_within = absl::Hours(24);
};

/// Returns the findings of `report` at `now`, the most severe first. Empty if there are none. Their
/// codes are an ErrorCode's ("certificate_expired"), or one of "verification_will_fail",
/// "statement_will_expire", "intermediate_not_sent", "certificate_not_needed", "root_sent",
/// "out_of_order", "staple_revoked", "staple_bad", "staple_missing", "not_post_quantum",
/// "ech_not_confirmed". The codes of `FindingsOfChain` also come.
std::vector<Finding> FindingsOf(const ProbeReport& report, absl::Time now,
                                const FindingOptions& options = {});

/// Returns those of them that are neither about the verdict nor about dates: what the server sends,
/// and how it was issued.
std::vector<Finding> StandingFindingsOf(const ChainReport& chain);

}  // namespace trestle

#endif  // TRESTLE_WATCH_PROBE_FINDINGS_H_
