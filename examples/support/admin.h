// Admin: the features of --admin=IP:PORT: metrics, health, and a monitor of both legs' certificates
// with a page. Runs on the main loop, beside the workers.
#ifndef TRESTLE_EXAMPLES_SUPPORT_ADMIN_H_
#define TRESTLE_EXAMPLES_SUPPORT_ADMIN_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "examples/support/backend_checks.h"
#include "examples/support/backend_names.h"
#include "examples/support/backends_gate.h"
#include "examples/support/proxy_host.h"
#include "examples/support/renewal_info_dir.h"
#include "examples/support/spiffe_agent.h"
#include "integrations/prometheus/admin_server.h"
#include "integrations/prometheus/health_metrics.h"
#include "integrations/prometheus/legs_page.h"
#include "integrations/prometheus/name_metrics.h"
#include "integrations/prometheus/proxy_metrics.h"
#include "integrations/prometheus/spiffe_metrics.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/pki/finding.h"
#include "trestle/pki/trust_store.h"
#include "trestle/proxy/route_table.h"
#include "trestle/proxy/unconfirmed_backends.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/ech_key_opener.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/tls/ticket_key_ring.h"
#include "trestle/watch/certificate_monitor.h"
#include "trestle/watch/leg_probe.h"

namespace trestle::examples {

/// Creates a probe configuration from a PEM file, or a directory of PEM files, with the CAs to
/// trust.
absl::StatusOr<std::shared_ptr<const LegProbeConfig>> LoadProbeConfig(const std::string& ca_path);

/// Creates one from a block's back leg: its CAs, revocation lists, URIs and client certificate.
absl::StatusOr<std::shared_ptr<const LegProbeConfig>> ProbeConfigFor(const ClientTlsConfig& tls);

/// Adds a probe for each backend of the `routes` with a single name; a wildcard is not a name to
/// request. Skips routes to other blocks, and all beyond 10,000. With `ech` (may be null), the
/// probes also check whether backends of hidden names confirm inner hellos.
void AddProbes(absl::Span<const Route> routes, const std::shared_ptr<const LegProbeConfig>& config,
               ProxyProtocolOut proxy_header, const EchKeys* ech, MonitorTargets& targets);

/// The certificates to watch, and the routes for the page.
struct Watched {
  MonitorTargets targets;
  std::vector<RouteLegs> routes;
  std::vector<Finding> findings;               ///< About no single certificate.
  std::shared_ptr<TicketKeyRing> ticket_keys;  ///< Of the front leg; null without one.
  std::function<bool()> has_ticket_keys;       ///< On the main thread; empty: they are there.
  std::shared_ptr<const EchKeyOpener> ech;     ///< Of the routers; null without one.
  std::shared_ptr<UnconfirmedBackends>
      unconfirmed;                               ///< Of the routers; probes fill it. May be null.
  std::shared_ptr<const TrustStore> client_cas;  ///< For --check; null without --client_ca.
  std::shared_ptr<const ClientTlsConfig> back_tls;  ///< For --check; null without bridges.
  std::vector<NameStatus> names;                    ///< For --check: names of backends.
  SpiffeAgent* spiffe = nullptr;                    ///< Null without one. Outlives the watching.
};

/// Returns a route of the page to all of `backends`.
RouteLegs LegsTo(std::string name, ProxyMode mode, const Backends& backends, std::string back_name);

/// Adds `routes`, which lead directly to backends, to the page.
void AddRoutes(absl::Span<const Route> routes, ProxyMode mode, Watched& watched);

class Admin final : public ProxyHostWatcher, private CertificateListener {
 public:
  /// Returns the targets to watch; called at the start, after each reload, and when a name of
  /// backends changed.
  using Source = absl::AnyInvocable<absl::StatusOr<Watched>()>;

  /// Creates it from the flags --admin and --probe_interval; null without --admin. Shows `names`
  /// and `checks`, which must outlive it.
  static absl::StatusOr<std::unique_ptr<Admin>> FromFlags(Source source, const BackendNames& names,
                                                          const BackendChecks& checks);

  /// Shows more metrics, and pools. `pools` is called on the main thread. Call it before `Start`.
  void Add(std::shared_ptr<::prometheus::Collectable> metrics,
           absl::AnyInvocable<std::vector<PoolLegs>()> pools);

  absl::Status Start(EpollLoop& main_loop) override;
  std::unique_ptr<ConnectionObserver> NewObserver(ConnectionObserver* next) override;
  void OnServing() override;
  void OnReloaded(bool good) override;
  void OnAcceptFailed() override;
  void OnDraining() override;
  void Stop() override;

 private:
  Admin(const Endpoint& listen, CertificateMonitorOptions options, WantedBackends wanted,
        std::unique_ptr<RenewalInfoDir> renewal_info, Source source, const BackendNames& names,
        const BackendChecks& checks);

  void OnCertificateEvent(const CertificateEvent& event) override;
  void OnProbe(const ProbeReport& report) override;
  absl::Status WatchTargets();
  void WatchAgain();
  void FollowBackends();
  void FollowSpiffe();
  void Refresh();
  std::string WaitsFor() const;
  void CheckReady();

  const Endpoint listen_;
  const CertificateMonitorOptions options_;
  const WantedBackends wanted_;
  const std::unique_ptr<RenewalInfoDir> renewal_info_;  // Null without --renewal_info_dir.
  Source source_;
  const BackendNames& names_;
  const BackendChecks& checks_;
  uint64_t seen_changes_ = 0;  // Of the names.
  const std::shared_ptr<NameMetrics> name_metrics_ = std::make_shared<NameMetrics>();
  const std::shared_ptr<HealthMetrics> health_metrics_ = std::make_shared<HealthMetrics>();
  const std::shared_ptr<SpiffeMetrics> spiffe_metrics_ = std::make_shared<SpiffeMetrics>();
  SpiffeAgent* spiffe_ = nullptr;  // Null without one.
  std::vector<RouteLegs> routes_;
  std::vector<Finding> findings_;
  std::vector<std::shared_ptr<const CertificateStore>> stores_;
  std::function<bool()> has_ticket_keys_;
  std::shared_ptr<UnconfirmedBackends> unconfirmed_;
  ProxyMetrics metrics_;
  absl::AnyInvocable<std::vector<PoolLegs>()> pools_;  // Empty: none.
  EpollLoop* main_loop_ = nullptr;
  std::unique_ptr<TcpDialer> dialer_;
  std::unique_ptr<CertificateMonitor> monitor_;
  std::unique_ptr<AdminServer> server_;
  bool ready_ = false;
  absl::Time serving_since_ = absl::InfiniteFuture();
  std::unique_ptr<BackendsGate> gate_;  // While the start waits for backends.
  Timer refresh_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_ADMIN_H_
