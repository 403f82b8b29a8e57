// Findings: what a probe's report means, for people who have to do something about it.
#ifndef TRESTLE_WATCH_PROBE_FINDINGS_H_
#define TRESTLE_WATCH_PROBE_FINDINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "trestle/tls/chain_checker.h"
#include "trestle/tls/tls_info.h"
#include "trestle/watch/leg_probe.h"

namespace trestle {

enum class Severity : uint8_t {
  kFine,
  kNote,      ///< Worth knowing; nothing fails because of it.
  kWarning,   ///< Will fail before long, or fails for others already.
  kCritical,  ///< A connection fails.
};

/// Names a severity in lower case: "warning".
absl::string_view SeverityName(Severity severity);

struct Finding {
  Severity severity = Severity::kNote;
  /// A name that programs can rely on: an ErrorCode's ("certificate_expired"), or one of
  /// "verification_will_fail", "statement_will_expire", "intermediate_not_sent",
  /// "certificate_not_needed", "root_sent", "out_of_order", "staple_revoked", "staple_bad",
  /// "staple_missing", "not_post_quantum".
  std::string code;
  std::string text;    ///< What is so: a sentence without a full stop.
  std::string advice;  ///< What to do; may be empty.
};

struct FindingOptions {
  /// Certificates that end within so long, but at most a third of their lifetime, are a warning.
  absl::Duration warn_within = absl::Hours(24 * 30);
  /// The same for what is made anew every few days: revocation lists and staples.
  absl::Duration warn_statements_within = absl::Hours(24);
};

/// Judges a report at `now`; the worst first. Empty where there is nothing to say.
std::vector<Finding> FindingsOf(const ProbeReport& report, absl::Time now,
                                const FindingOptions& options = {});

/// The severity of the worst of them; kFine without any.
Severity WorstOf(const std::vector<Finding>& findings);

/// Returns the lifetime of the certificate of `chain` that ends with `failure`; infinite where that
/// isn't known, or where something else ends.
absl::Duration LifetimeOf(const FutureFailure& failure, absl::Span<const CertificateInfo> chain);

/// Returns how long before the end of a certificate of this lifetime something is to be told of it:
/// `wanted`, but at most a third of the lifetime. A certificate for six days is renewed later than
/// one for a year.
absl::Duration WithinLifetime(absl::Duration wanted, absl::Duration lifetime);

/// Writes how long it is until `when`, or was since: "9 days", "3 hours", "12 days ago".
std::string TimeLeftText(absl::Time when, absl::Time now);

}  // namespace trestle

#endif  // TRESTLE_WATCH_PROBE_FINDINGS_H_
