// AdminServer: serves /metrics, /healthz, /readyz, /legs and a page at / over HTTP, on its own
// address and its own thread, not on the proxy's loops.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_ADMIN_SERVER_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_ADMIN_SERVER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "integrations/prometheus/legs_page.h"
#include "integrations/prometheus/page_server.h"
#include "integrations/prometheus/proxy_metrics.h"
#include "integrations/spiffe/spiffe_status.h"
#include "trestle/base/endpoint.h"
#include "trestle/pki/finding.h"
#include "trestle/proxy/resolved_backends.h"
#include "trestle/watch/health_checker.h"

namespace trestle {

/// Answers GET and HEAD, and rejects other methods. Answers /healthz and /readyz before all other
/// requests. No authentication: bind to a private address.
///
/// /healthz is for what restarts a process: it answers 200 unless the process drains. /readyz is
/// for what sends it connections: it answers 503 until `SetReady`, and while the process drains.
class AdminServer {
 public:
  /// Starts the server; port 0 selects a free port. `metrics` must outlive the server. Fails with
  /// ErrorCode::kConfiguration if the address is unavailable. Sets `urgent_paths` of `options`.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(const Endpoint& listen,
                                                            const ProxyMetrics& metrics,
                                                            PageServerOptions options = {});

  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  /// Makes /healthz and /readyz answer 503 from now on, so that load balancers stop sending
  /// connections. Thread-safe.
  void SetDraining() { draining_ = true; }

  /// Makes /readyz answer 200, unless the process drains. Thread-safe.
  void SetReady() ABSL_LOCKS_EXCLUDED(mutex_) { SetNotReady(""); }

  /// Makes /readyz answer 503 with `why`, one line about what is missing. Thread-safe.
  void SetNotReady(std::string why) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Replaces the routes on the page and in /legs. Thread-safe.
  void SetRoutes(std::vector<RouteLegs> routes) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Replaces the pools on the page and in /legs. Thread-safe.
  void SetPools(std::vector<PoolLegs> pools) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Replaces the findings that are about no single certificate, on the page and in /legs.
  /// Thread-safe.
  void SetFindings(std::vector<Finding> findings) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Replaces the names of backends on the page and in /legs. Thread-safe.
  void SetNames(std::vector<NameStatus> names) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Replaces the health of backends on the page and in /legs. Thread-safe.
  void SetHealth(std::vector<HealthStatus> backends) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Replaces what the page and /legs say of the SPIFFE agent. Thread-safe.
  void SetSpiffe(SpiffeStatus status) ABSL_LOCKS_EXCLUDED(mutex_);

  const Endpoint& endpoint() const { return pages_->endpoint(); }

 private:
  explicit AdminServer(const ProxyMetrics& metrics) : metrics_(metrics) {}

  static constexpr char kHealthPath[] = "/healthz";
  static constexpr char kReadyPath[] = "/readyz";

  Page PageAt(absl::string_view path) const;
  Page ReadyPage() const ABSL_LOCKS_EXCLUDED(mutex_);
  LegsView View() const ABSL_LOCKS_EXCLUDED(mutex_);

  const ProxyMetrics& metrics_;
  mutable absl::Mutex mutex_;
  std::vector<RouteLegs> routes_ ABSL_GUARDED_BY(mutex_);
  std::vector<PoolLegs> pools_ ABSL_GUARDED_BY(mutex_);
  std::vector<Finding> findings_ ABSL_GUARDED_BY(mutex_);
  std::vector<HealthStatus> health_ ABSL_GUARDED_BY(mutex_);
  std::vector<NameStatus> names_ ABSL_GUARDED_BY(mutex_);
  std::optional<SpiffeStatus> spiffe_ ABSL_GUARDED_BY(mutex_);  // Empty without an agent.
  std::string not_ready_ ABSL_GUARDED_BY(mutex_) = "starting";  // Empty: ready.
  std::atomic<bool> draining_ = false;
  std::unique_ptr<PageServer> pages_;  // Last: its thread uses the others.
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_ADMIN_SERVER_H_
