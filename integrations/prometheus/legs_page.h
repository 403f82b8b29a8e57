// The state of all legs for people and for programs: a page without scripts, and JSON.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_LEGS_PAGE_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_LEGS_PAGE_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "trestle/watch/certificate_monitor.h"

namespace trestle {

/// Writes a HTML page: each leg with the days it has left, its chain, and its last failure; the
/// nearest end first. It loads nothing and runs nothing; what certificates say is escaped.
std::string LegsPage(const std::vector<CertificateStatus>& certificates, absl::Time now);

/// Writes the same as JSON: {"time", "legs": [{"leg", "name", "source", "endpoint", …}]}.
std::string LegsJson(const std::vector<CertificateStatus>& certificates, absl::Time now);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_LEGS_PAGE_H_
