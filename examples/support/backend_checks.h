// BackendChecks: what a program does with its backends: it follows their names, and checks their
// health by the flags --health_….
#ifndef TRESTLE_EXAMPLES_SUPPORT_BACKEND_CHECKS_H_
#define TRESTLE_EXAMPLES_SUPPORT_BACKEND_CHECKS_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "examples/support/backend_names.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/file_watcher.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/proxy/route_table.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/watch/health_check.h"
#include "trestle/watch/health_checker.h"

namespace trestle::examples {

/// What is spoken to the backends of a list.
struct CheckedLeg {
  ProxyMode mode = ProxyMode::kOffload;
  /// With TLS: the name in the certificates. Empty: those of backends by name.
  std::string name = {};
  std::string verify_name = {};  ///< That certificates must have instead; may be empty.
  /// No check fits, so that TCP is checked: HTTP/2 in clear text, or names that depend on clients.
  bool tcp_only = false;
};

/// Runs on the main loop, whose thread makes all calls. Logs one line for each change.
class BackendChecks final : private HealthObserver {
 public:
  /// Returns the TLS config of now; null if there is none.
  using TlsSource = std::function<std::shared_ptr<const ClientTlsConfig>()>;

  /// Reads --health_check, --drain_file and the other flags of its file; fails if one is wrong.
  /// Without these two, and with --check, it checks nothing. Both references must outlive it.
  static absl::StatusOr<std::unique_ptr<BackendChecks>> FromFlags(EpollLoop& loop,
                                                                  BackendNames& names,
                                                                  ProxyProtocolOut proxy_header);

  BackendChecks(const BackendChecks&) = delete;
  BackendChecks& operator=(const BackendChecks&) = delete;

  /// Sets the TLS of bridges' backends. Call it before the loop runs.
  void UseBridgeTls(TlsSource tls) { bridge_tls_ = std::move(tls); }

  /// Sets the CAs of backends that connections pass to: a PEM file, or a directory of them. Without
  /// any, and for routes without a single name, TCP is checked. Call it before `Follow`.
  absl::Status UsePassCas(const std::string& ca_path);

  /// Reads `value` of `flag` as `BackendNames::Parse` does, and follows it.
  absl::StatusOr<Backends> Parse(absl::string_view flag, absl::string_view value,
                                 const CheckedLeg& leg);

  /// Makes `backends.group` follow the names in `backends`, and leave out backends that are down.
  absl::Status Follow(Backends& backends, const CheckedLeg& leg);

  /// The same for the backends of all `routes`, whose certificates have the routes' names.
  absl::Status Follow(absl::Span<Route> routes, ProxyMode mode);

  /// Returns all backends of a list that `Follow` had, also those that are down.
  std::vector<GroupedBackend> AllOf(const Backends& backends) const;

  /// Returns the checked backends, sorted.
  std::vector<HealthStatus> backends() const;

 private:
  BackendChecks(EpollLoop& loop, BackendNames& names, HealthCheck wanted);

  void OnHealthChanged(const HealthChange& change) override;
  absl::Status WatchDrainFile(EpollLoop& loop, const std::string& path);
  void ReadDrainFile(const std::string& path);
  std::shared_ptr<const HealthCheck> CheckFor(const CheckedLeg& leg);

  BackendNames& names_;
  TcpDialer dialer_;
  const HealthCheck wanted_;  // Without TLS and names.
  TlsSource bridge_tls_;
  std::shared_ptr<const ClientTlsConfig> pass_tls_;                   // May be null.
  std::map<std::string, std::shared_ptr<const HealthCheck>> checks_;  // By what they do.
  std::unique_ptr<HealthChecker> checker_;   // Null if nothing is checked or drained.
  std::unique_ptr<FileWatcher> drain_file_;  // Null without --drain_file.
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_BACKEND_CHECKS_H_
