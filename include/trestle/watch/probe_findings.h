// Findings: explains a probe's report to operators, with advice.
#ifndef TRESTLE_WATCH_PROBE_FINDINGS_H_
#define TRESTLE_WATCH_PROBE_FINDINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/tls/tls_info.h"
#include "trestle/watch/leg_probe.h"

namespace trestle {

enum class Severity : uint8_t {
  kFine,
  kNote,      ///< Informative; causes no failure.
  kWarning,   ///< Will fail soon, or already fails for some clients.
  kCritical,  ///< A connection fails.
};

/// Returns the name of a severity in lower case: "warning".
absl::string_view EnumName(Severity severity);

/// One thing that a probe shows and an operator should know.
struct Finding {
  Severity severity = Severity::kNote;
  /// A stable name for programs: an ErrorCode's ("certificate_expired"), or one of
  /// "verification_will_fail", "statement_will_expire", "intermediate_not_sent",
  /// "certificate_not_needed", "root_sent", "out_of_order", "staple_revoked", "staple_bad",
  /// "staple_missing", "not_post_quantum", "ech_not_confirmed".
  std::string code;
  std::string text;    ///< The finding: a sentence without a full stop.
  std::string advice;  ///< The action to take; may be empty.
};

/// Thresholds of findings.
struct FindingOptions {
  /// Warns of certificates that expire within this time, but at most a third of their lifetime.
  absl::Duration warn_within = absl::Hours(24 * 30);
  /// The same for revocation lists and staples, which are renewed every few days.
  absl::Duration warn_statements_within = absl::Hours(24);
};

/// Returns the findings of `report` at `now`, the most severe first. Empty if there are none.
std::vector<Finding> FindingsOf(const ProbeReport& report, absl::Time now,
                                const FindingOptions& options = {});

/// Returns the highest severity; kFine if `findings` is empty.
Severity WorstOf(const std::vector<Finding>& findings);

/// Returns the lifetime of the certificate of `chain` that expires at `failure`. Infinite if it is
/// unknown, or if something else expires.
absl::Duration LifetimeOf(const FutureFailure& failure, absl::Span<const CertificateInfo> chain);

/// Returns how long before its expiry to warn of a certificate with this lifetime: `wanted`, but at
/// most a third of the lifetime. A six-day certificate is renewed later than a one-year one.
absl::Duration WithinLifetime(absl::Duration wanted, absl::Duration lifetime);

/// Returns the time until `when`, or since, as text: "9 days", "3 hours", "12 days ago".
std::string TimeLeftText(absl::Time when, absl::Time now);

}  // namespace trestle

#endif  // TRESTLE_WATCH_PROBE_FINDINGS_H_
