// Admin: what --admin=IP:PORT adds to an example proxy: metrics, health, and a watch over the
// certificates of both legs, with a page that shows them. Runs beside the workers, on the main
// loop.
#ifndef TRESTLE_EXAMPLES_SUPPORT_ADMIN_H_
#define TRESTLE_EXAMPLES_SUPPORT_ADMIN_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "examples/support/proxy_host.h"
#include "integrations/prometheus/admin_server.h"
#include "integrations/prometheus/legs_page.h"
#include "integrations/prometheus/proxy_metrics.h"
#include "trestle/posix/tcp_dialer.h"
#include "trestle/proxy/route_table.h"
#include "trestle/tls/ticket_key_ring.h"
#include "trestle/tls/tls_config.h"
#include "trestle/watch/certificate_monitor.h"
#include "trestle/watch/leg_probe.h"

namespace trestle::examples {

/// Makes what probes need of a PEM file, or a folder of them, with the CAs to trust.
absl::StatusOr<std::shared_ptr<const LegProbeConfig>> LoadProbeConfig(const std::string& ca_path);

/// The same for a block's back leg: its CAs, its revocation lists and its own certificate.
absl::StatusOr<std::shared_ptr<const LegProbeConfig>> ProbeConfigFor(const ClientTlsOptions& tls);

/// Adds a probe for each backend of each of `routes` that has a name of its own: a wildcard is none
/// to ask for. Routes that lead to other blocks are passed over, and so is what is beyond 10,000.
void AddProbes(absl::Span<const Route> routes, const std::shared_ptr<const LegProbeConfig>& config,
               ProxyProtocolOut proxy_header, MonitorTargets& targets);

/// What an example proxy has an eye on: for the monitor, and as routes for the page.
struct Watched {
  MonitorTargets targets;
  std::vector<RouteLegs> routes;
  std::shared_ptr<TicketKeyRing> ticket_keys;  ///< Of the front leg; null without one.
};

/// Adds `routes`, which lead straight to backends, to what the page shows.
void AddRoutes(absl::Span<const Route> routes, ProxyMode mode, Watched& watched);

class Admin final : public ProxyHostWatcher, private CertificateListener {
 public:
  /// Says what is to be watched; asked at the start and after each reload.
  using Source = absl::AnyInvocable<absl::StatusOr<Watched>()>;

  /// Makes what the flags --admin and --probe_interval ask for; null without --admin.
  static absl::StatusOr<std::unique_ptr<Admin>> FromFlags(Source source);

  absl::Status Start(EpollLoop& main_loop) override;
  std::unique_ptr<ConnectionObserver> NewObserver(ConnectionObserver* next) override;
  void OnReloaded(bool good) override;
  void OnDraining() override;
  void Stop() override;

 private:
  Admin(const Endpoint& listen, CertificateMonitorOptions options, Source source);

  void OnCertificateEvent(const CertificateEvent& event) override;
  absl::Status WatchTargets();
  void Refresh();

  const Endpoint listen_;
  const CertificateMonitorOptions options_;
  Source source_;
  std::vector<RouteLegs> routes_;
  ProxyMetrics metrics_;
  EpollLoop* main_loop_ = nullptr;
  std::unique_ptr<TcpDialer> dialer_;
  std::unique_ptr<CertificateMonitor> monitor_;
  std::unique_ptr<AdminServer> server_;
  Timer refresh_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_ADMIN_H_
