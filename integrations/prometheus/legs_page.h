// Writes the state of all legs as an HTML page without scripts, and as JSON.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_LEGS_PAGE_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_LEGS_PAGE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "integrations/spiffe/spiffe_status.h"
#include "trestle/base/endpoint.h"
#include "trestle/pki/finding.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/resolved_backends.h"
#include "trestle/tls/ech_key_opener.h"
#include "trestle/watch/certificate_monitor.h"
#include "trestle/watch/health_checker.h"

namespace trestle {

/// One route: the name that clients request, and its backends.
struct RouteLegs {
  std::string name;  ///< A pattern of server names; empty for any.
  ProxyMode mode = ProxyMode::kOffload;
  std::vector<Endpoint> backends;  ///< As they are now, those of names included.
  std::string
      back_name;  ///< The name under which the backends' certificates are watched; may be empty.
  std::vector<std::string> names = {};  ///< Configured names of backends: "api.internal:443".
};

/// The kept connections to one backend, of all threads.
struct PoolLegs {
  std::string scheme;  ///< "http", "https", "h2c".
  std::string backend;
  std::string name;  ///< In the backend's certificate; empty without TLS.
  size_t connections = 0;
  size_t idle = 0;     ///< Of these.
  size_t waiting = 0;  ///< Requests that wait for one.
};

struct LegsView {
  std::vector<RouteLegs> routes;
  std::vector<CertificateStatus> certificates;
  std::optional<EchCounts> ech = {};        ///< Empty if routers open no encrypted hellos.
  std::vector<PoolLegs> pools = {};         ///< Of an HTTP gateway.
  std::vector<Finding> findings = {};       ///< About no single certificate.
  std::vector<HealthStatus> health = {};    ///< Health checks of backends.
  std::vector<NameStatus> names = {};       ///< Names of backends, and what DNS says of them.
  std::optional<SpiffeStatus> spiffe = {};  ///< Empty without a SPIFFE agent.
};

/// Returns an HTML page. It shows each route with its two legs side by side, their remaining days,
/// their chains, findings and last failures, the earliest expiry first. Certificates without a
/// route follow in the same form. Then come the SPIFFE agent, the health and the names of backends,
/// the counts of encrypted hellos, and the pools. The page loads nothing and runs nothing; text
/// from certificates is escaped.
std::string LegsPage(const LegsView& view, absl::Time now);

/// Returns the same as JSON, in this form:
///
///     {"time", "routes": [{"name", "mode", "front", "back", …}],
///      "legs": [{"leg", "name", "source", "endpoint", …}],
///      "ech": {"configs": [{"config_id", …}], "no_key", …},
///      "pools": [{"scheme", "backend", "name", "connections", "idle", "waiting"}],
///      "findings": [{"severity", "code", "text", "advice"}],
///      "names": [{"name", "condition", "addresses", …}],
///      "health": [{"backend", "state", …}],
///      "spiffe": {"agent", "connected", "id", …}}
///
/// "front" and "back" are indexes into "legs". "ech" is missing where routers open no hellos,
/// "pools", "names", "health" and "spiffe" without any.
std::string LegsJson(const LegsView& view, absl::Time now);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_LEGS_PAGE_H_
