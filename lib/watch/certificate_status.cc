// The state of one chain, and the names of what happens to it.
#include "trestle/watch/certificate_monitor.h"

namespace trestle {

Severity SeverityOf(const CertificateStatus& status, absl::Time now) {
  if (!status.status.ok() || status.critical_time <= now) return Severity::kCritical;
  const bool overdue = status.renewal.has_value() && status.renewal->end <= now;
  const Severity worst = WorstOf(status.findings);
  if (worst >= Severity::kWarning) return worst;
  return overdue || status.warning_time <= now ? Severity::kWarning : Severity::kFine;
}

absl::string_view EnumName(CertificateSource source) {
  switch (source) {
    case CertificateSource::kOwn:
      return "own";
    case CertificateSource::kSeen:
      return "seen";
    case CertificateSource::kProbe:
      return "probe";
  }
  return "probe";
}

absl::string_view CertificateEventName(CertificateEvent::Kind kind) {
  switch (kind) {
    case CertificateEvent::Kind::kWillFail:
      return "will_fail";
    case CertificateEvent::Kind::kExpired:
      return "expired";
    case CertificateEvent::Kind::kRenewed:
      return "renewed";
    case CertificateEvent::Kind::kRenewedLate:
      return "renewed_late";
    case CertificateEvent::Kind::kRenewalAdvised:
      return "renewal_advised";
    case CertificateEvent::Kind::kRenewalOverdue:
      return "renewal_overdue";
    case CertificateEvent::Kind::kFinding:
      return "finding";
    case CertificateEvent::Kind::kIssuerChanged:
      return "issuer_changed";
    case CertificateEvent::Kind::kKeyChanged:
      return "key_changed";
    case CertificateEvent::Kind::kFailing:
      return "failing";
    case CertificateEvent::Kind::kRecovered:
      return "recovered";
  }
  return "failing";
}

}  // namespace trestle
