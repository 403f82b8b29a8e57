// BackendPool: the connections of one loop to backends, kept for later requests: one request at a
// time on HTTP/1.1, many on HTTP/2.
#ifndef TRESTLE_INTEGRATIONS_HTTP_BACKEND_POOL_H_
#define TRESTLE_INTEGRATIONS_HTTP_BACKEND_POOL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "integrations/http/http_exchange.h"
#include "integrations/http/turn_queue.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/tls/client_session_cache.h"
#include "trestle/tls/client_tls_config.h"

namespace trestle {

/// The protocol and transport of a backend.
enum class BackendScheme : uint8_t {
  kHttp,   ///< HTTP/1.1 in clear text.
  kHttps,  ///< HTTP/2 or HTTP/1.1 over TLS, by ALPN.
  kH2c,    ///< HTTP/2 in clear text, with prior knowledge (RFC 9113 3.3).
};

/// Returns the scheme's text in routes: "https".
absl::string_view EnumName(BackendScheme scheme);

/// A kind of connection. A request uses only connections with equal targets, so a connection never
/// serves two server names, credentials or verification policies.
struct BackendTarget {
  Endpoint endpoint;
  BackendScheme scheme = BackendScheme::kHttp;
  std::string server_name;       ///< With kHttps: sent as SNI, and must be in the certificate.
  std::string host = "";         ///< As ClientTlsTarget::host.
  std::string verify_name = "";  ///< As ClientTlsTarget::verify_name.
  /// Offers HTTP/1.1 only, for requests that change the protocol.
  bool http1_only = false;
  /// With kHttps: its `policy()` covers trust, verification and credential.
  std::shared_ptr<const ClientTlsConfig> tls;
};

/// Limits of a pool, for each target.
struct BackendPoolLimits {
  size_t connections = 64;  ///< Open and opening ones. Further requests wait.
  size_t waiting = 1024;    ///< Requests that wait for a connection.
  /// How long a connection is kept without a request. A backend's `Keep-Alive: timeout` shortens
  /// it.
  absl::Duration idle_time = absl::Seconds(30);
  /// The age from which a connection gets no further requests; those in progress finish. Bounds how
  /// long an earlier address of a name, or an earlier certificate, stays in use.
  absl::Duration max_age = absl::Hours(1);
  /// For connecting, and again for the TLS handshake.
  absl::Duration open_timeout = absl::Seconds(5);
  /// How long a backend may accept no byte of what a connection has to send. The connection is cut
  /// then, with its requests.
  absl::Duration stalled_time = absl::Seconds(30);
  /// The TLS sessions that new connections resume.
  ClientSessionCacheOptions sessions = {};
};

/// One connection to a backend.
class BackendConnection {
 public:
  /// Begins a request.
  virtual BackStream& Start(HttpExchange& exchange, const HttpRequest& request) = 0;
  virtual HttpVersion version() const = 0;
  /// Returns whether it has carried an earlier request.
  virtual bool reused() const = 0;

 protected:
  ~BackendConnection() = default;
};

/// Waits for a connection.
class BackendWaiter {
 public:
  /// The connection has room for one request, which begins within this call or never.
  virtual void OnConnection(BackendConnection& connection) = 0;
  virtual void OnNoConnection(const absl::Status& why) = 0;

 protected:
  ~BackendWaiter() = default;
};

/// Numbers of a pool, for metrics.
struct BackendPoolStats {
  size_t connections = 0;
  size_t waiting = 0;
  uint64_t opened = 0;
  uint64_t reused = 0;
};

/// The same for one kind of connection.
struct BackendTargetStats {
  BackendScheme scheme = BackendScheme::kHttp;
  Endpoint endpoint;
  std::string server_name;
  size_t connections = 0;  ///< Open and opening ones.
  size_t idle = 0;         ///< Of these, open ones without a request.
  size_t waiting = 0;      ///< Requests.
};

/// Connections with unsolicited bytes, or whose peer has ended them, are never used.
class BackendPool {
 public:
  /// All must outlive the pool.
  BackendPool(Scheduler& scheduler, Dialer& dialer, TurnQueue& turns, const HttpLimits& limits,
              const BackendPoolLimits& pool_limits);
  ~BackendPool();
  BackendPool(const BackendPool&) = delete;
  BackendPool& operator=(const BackendPool&) = delete;

  /// Finds or opens a connection. Calls `waiter` once, perhaps within this call, unless `Forget`
  /// comes before. Within a turn only.
  void Get(const BackendTarget& target, BackendWaiter& waiter);

  /// Cancels a `Get`.
  void Forget(BackendWaiter& waiter);

  BackendPoolStats stats() const;

  /// Returns the numbers of each target that has connections or waiting requests.
  std::vector<BackendTargetStats> targets() const;

 private:
  class Connection;
  class Group;

  void Sweep();
  void ArmSweep();

  Scheduler& scheduler_;
  Dialer& dialer_;
  TurnQueue& turns_;
  const HttpLimits& limits_;
  const BackendPoolLimits pool_limits_;
  ClientSessionCache sessions_;
  absl::flat_hash_map<std::string, std::unique_ptr<Group>> groups_;
  Timer sweep_;
  uint64_t opened_ = 0;
  uint64_t reused_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_BACKEND_POOL_H_
