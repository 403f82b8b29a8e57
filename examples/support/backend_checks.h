// BackendChecks: what a program does with its backends: it follows their names, keeps their states,
// and checks their health by the flags --health_….
#ifndef TRESTLE_EXAMPLES_SUPPORT_BACKEND_CHECKS_H_
#define TRESTLE_EXAMPLES_SUPPORT_BACKEND_CHECKS_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "examples/support/backend_names.h"
#include "examples/support/drain_calls.h"
#include "examples/support/proxy_host.h"
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
  bool by_client = false;        ///< The name depends on the client.
  bool http2 = false;            ///< HTTP/2 in clear text.
};

/// Runs on the main loop, whose thread makes all calls. Logs one line for each change.
class BackendChecks final : private HealthObserver {
 public:
  /// Returns the TLS config of now; null if there is none.
  using TlsSource = std::function<std::shared_ptr<const ClientTlsConfig>()>;

  /// Reads --health_check, --drain_file, --admin_calls and the other flags; fails if one is wrong.
  /// With --check, it keeps no states. Both references must outlive it.
  static absl::StatusOr<std::unique_ptr<BackendChecks>> FromFlags(EpollLoop& loop,
                                                                  BackendNames& names,
                                                                  ProxyProtocolOut proxy_header);

  BackendChecks(const BackendChecks&) = delete;
  BackendChecks& operator=(const BackendChecks&) = delete;

  /// Sets the TLS of bridges' backends. Call it before the loop runs.
  void UseBridgeTls(TlsSource tls) { bridge_tls_ = std::move(tls); }

  /// Sets the CAs of backends that connections pass to: a PEM file, or a directory of them. Without
  /// any, TCP is checked, with a warning. Call it before `Follow`.
  absl::Status UsePassCas(const std::string& ca_path);

  /// Reads `value` of `flag` as `BackendNames::Parse` does, and follows it.
  absl::StatusOr<Backends> Parse(absl::string_view flag, absl::string_view value,
                                 const CheckedLeg& leg);

  /// Makes `backends.group` follow the names in `backends`, and have the states of all. Backends
  /// beyond the first 10,000 have none if nothing is checked or drained: it would show no more.
  absl::Status Follow(Backends& backends, const CheckedLeg& leg);

  /// The same for the backends of all `routes`, whose certificates have the routes' names.
  absl::Status Follow(absl::Span<Route> routes, ProxyMode mode);

  /// Returns what takes calls of --admin_calls, for the main loop; null without it.
  MainLoopPart* calls() const { return calls_.get(); }

  /// Returns the backends with states, at most 10,000, sorted.
  std::vector<HealthStatus> backends() const;

 private:
  BackendChecks(EpollLoop& loop, BackendNames& names, HealthCheck wanted, AllDown all_down);

  void OnHealthChanged(const HealthChange& change) override;
  absl::Status WatchDrainFile(EpollLoop& loop);
  void ReadDrainFile(const std::string& path);
  std::shared_ptr<const HealthCheck> CheckFor(const CheckedLeg& leg);
  std::string NameFor(const CheckedLeg& leg) const;
  bool ChecksTls(const CheckedLeg& leg, const std::string& name);
  void WarnOnce(const std::string& what);

  BackendNames& names_;
  TcpDialer dialer_;
  const HealthCheck wanted_;  // Without TLS and names.
  const AllDown all_down_;
  std::map<std::string, std::string> health_names_;  // By patterns of routes.
  std::set<std::string> warnings_;
  TlsSource bridge_tls_;
  std::shared_ptr<const ClientTlsConfig> pass_tls_;                   // May be null.
  std::map<std::string, std::shared_ptr<const HealthCheck>> checks_;  // By what they do.
  std::unique_ptr<HealthChecker> checker_;                            // Null with --check.
  std::unique_ptr<FileWatcher> drain_file_;                           // Null without --drain_file.
  std::unique_ptr<DrainCalls> calls_;                                 // Null without --admin_calls.
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_BACKEND_CHECKS_H_
