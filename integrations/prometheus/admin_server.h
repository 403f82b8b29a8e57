// AdminServer: /metrics, /healthz, /legs and a page at /, over HTTP on an address of its own, by
// civetweb in threads of its own: nothing of it runs on the proxy's loops.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_ADMIN_SERVER_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_ADMIN_SERVER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "integrations/prometheus/legs_page.h"
#include "integrations/prometheus/proxy_metrics.h"
#include "trestle/base/endpoint.h"

struct mg_context;
struct mg_connection;

namespace trestle {

/// Answers GET and HEAD; anything else is refused. It has no passwords: listen where only those
/// reach it who may know.
class AdminServer {
 public:
  /// Starts to serve; port 0 picks a free one. `metrics` must outlive the server. Fails with
  /// ErrorCode::kConfiguration where the address can't be had.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(const Endpoint& listen,
                                                            const ProxyMetrics& metrics);

  /// Waits for the answers that are under way.
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  /// From here on /healthz answers 503: load balancers stop sending connections. Thread-safe.
  void SetDraining() { draining_ = true; }

  /// Replaces what the page and /legs tell of routes. Thread-safe.
  void SetRoutes(std::vector<RouteLegs> routes) ABSL_LOCKS_EXCLUDED(mutex_);

  uint16_t port() const { return port_; }

 private:
  explicit AdminServer(const ProxyMetrics& metrics) : metrics_(metrics) {}

  static int OnRequest(mg_connection* connection, void* server);
  int Answer(mg_connection* connection) const;
  LegsView View() const ABSL_LOCKS_EXCLUDED(mutex_);

  const ProxyMetrics& metrics_;
  mutable absl::Mutex mutex_;
  std::vector<RouteLegs> routes_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> draining_ = false;
  mg_context* context_ = nullptr;
  uint16_t port_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_ADMIN_SERVER_H_
