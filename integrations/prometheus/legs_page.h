// The state of all legs for people and for programs: a page without scripts, and JSON.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_LEGS_PAGE_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_LEGS_PAGE_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/proxy/observer.h"
#include "trestle/watch/certificate_monitor.h"

namespace trestle {

/// A route as people think of it: what clients ask for, and where it leads.
struct RouteLegs {
  std::string name;  ///< A pattern of server names; empty: any.
  ProxyMode mode = ProxyMode::kOffload;
  std::vector<Endpoint> backends;
  std::string back_name;  ///< By which the backends' certificates are watched; may be empty.
};

struct LegsView {
  std::vector<RouteLegs> routes;
  std::vector<CertificateStatus> certificates;
};

/// Writes a HTML page: each route with its two legs side by side, the days that they have left,
/// their chains and last failures; the nearest end first. Certificates of no route follow in the
/// same way. It loads nothing and runs nothing; what certificates say is escaped.
std::string LegsPage(const LegsView& view, absl::Time now);

/// Writes the same as JSON: {"time", "routes": [{"name", "mode", "front", "back", …}], "legs":
/// [{"leg", "name", "source", "endpoint", …}]}; "front" and "back" are places in "legs".
std::string LegsJson(const LegsView& view, absl::Time now);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_LEGS_PAGE_H_
