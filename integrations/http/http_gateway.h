// HttpGateway: serves HTTP/1.1 and HTTP/2 clients behind the TLS of a terminator, or in clear text.
// It reads every request, routes it by host and path, and sends it to a backend on a kept
// connection. Backends get clear text or TLS, HTTP/1.1 or HTTP/2.
//
//     auto gateway = HttpGateway::Create(loop, dialer, std::move(options));
//     TlsTerminatorOptions terminator;
//     terminator.front_tls = front_tls;         // Offers h2 and http/1.1.
//     terminator.handler = gateway->get();
//     terminator.dangerous_unread_http2 = true;  // The gateway reads it.
#ifndef TRESTLE_INTEGRATIONS_HTTP_HTTP_GATEWAY_H_
#define TRESTLE_INTEGRATIONS_HTTP_HTTP_GATEWAY_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "integrations/http/backend_pool.h"
#include "integrations/http/gateway_routes.h"
#include "integrations/http/http_exchange.h"
#include "integrations/http/http_observer.h"
#include "integrations/http/rate_meter.h"
#include "integrations/http/request_judge.h"
#include "integrations/http/response_fields.h"
#include "integrations/http1/forwarded_fields.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/connection_handler.h"
#include "trestle/tls/client_tls_config.h"

namespace trestle {

struct GatewayCore;

/// Time limits of a request, by phase. None may be zero.
struct HttpTimeouts {
  /// From a head's first byte to its last. Status 408.
  absl::Duration head = absl::Seconds(10);
  /// Silence of a client that owes a part of a body. Status 408.
  absl::Duration body = absl::Seconds(30);
  /// Until a connection to a backend is open, all tries together. Status 504.
  absl::Duration connect = absl::Seconds(10);
  /// Silence of a backend that owes the head of a response. Status 504.
  absl::Duration first_byte = absl::Seconds(30);
  /// Silence of a backend in the middle of a response, and of a client that reads none of it. Also
  /// silence of a backend after the client has ended a WebSocket. The response is cut.
  absl::Duration response = absl::Seconds(60);
  /// A connection of a client without a request.
  absl::Duration idle = absl::Seconds(75);
  /// Silence of a WebSocket in both directions.
  absl::Duration tunnel = absl::Hours(1);
  /// For the verdict on a request. Status 503.
  absl::Duration judging = absl::Seconds(5);
  /// How long a client that expects "100 Continue" waits for the backend's, before it gets one of
  /// the gateway.
  absl::Duration continuation = absl::Seconds(1);
};

/// The hosts that a client may ask for. Others get 421 (RFC 9110 15.5.20).
enum class GatewayHosts : uint8_t {
  /// The server name of the ClientHello. Without one: IP addresses only. For policies for client
  /// certificates that differ by server name.
  kServerName,
  /// All names in the certificate that the client got. Browsers send requests for any of them on
  /// one HTTP/2 connection (RFC 9113 9.1.1).
  kCertificate,
  kAny,
};

struct HttpGatewayOptions {
  std::shared_ptr<const GatewayRoutes> routes;  ///< Required.
  /// Required if any route has https backends: how they are verified.
  std::shared_ptr<const ClientTlsConfig> back_tls;
  GatewayHosts hosts = GatewayHosts::kCertificate;
  HttpLimits limits;
  HttpTimeouts timeouts;
  BackendPoolLimits pool;
  /// When a backend is tried last. Failures to open a connection count.
  EjectionOptions ejection;
  /// For bodies that a client sends before its response begins (status 408), and that it reads (the
  /// response is cut). Streams of small messages, as of gRPC, may need 0.
  MinimumRate body_rate;
  /// Maximum bytes of a request's body. Status 413.
  uint64_t body_bytes = std::numeric_limits<uint64_t>::max();
  /// The fields that tell backends of the client; also what is removed from requests.
  ForwardingOptions forwarding;
  /// Changes to the fields of all final responses, the gateway's own too. Those of a route come
  /// after them.
  ResponseFieldRules response_fields;
  HstsOptions hsts;
  /// This gateway's name in Via, of requests and of backends' responses; a token. A request that
  /// has passed this name before gets 508. Empty: no Via. Some servers don't compress for proxies
  /// that name themselves.
  std::string via;
  /// Judges each request before a backend sees any of it; null for none. It belongs to this
  /// gateway's loop, and must outlive the gateway.
  RequestJudge* judge = nullptr;
  /// Bytes of memory for a shared cache of responses (http_cache.h); 0: no cache. New routes empty
  /// it. Requests of clients with a certificate pass it by.
  size_t cache_bytes = 0;
  /// Protocols that an HTTP/1.1 request may change to; extended CONNECT of HTTP/2 too. Protocols
  /// that carry HTTP (`h2c`, `HTTP/…`, `TLS/…`) are not allowed, because their requests would pass
  /// unread.
  std::vector<std::string> upgrades = {"websocket"};
};

class HttpGateway final : public ConnectionHandler {
 public:
  /// Creates a gateway on one loop. Fails with ErrorCode::kConfiguration if a required option is
  /// missing, or a limit is zero. `scheduler`, `dialer` and `observer` (may be null) must outlive
  /// it.
  static absl::StatusOr<std::unique_ptr<HttpGateway>> Create(Scheduler& scheduler, Dialer& dialer,
                                                             HttpGatewayOptions options,
                                                             HttpObserver* observer = nullptr);
  /// Cuts all connections.
  ~HttpGateway() override;

  /// Serves a client. Speaks HTTP/2 if its TLS agreed on `h2`, else HTTP/1.1.
  void Serve(Accepted connection) override;
  using ConnectionHandler::Serve;

  /// Replaces the routes for requests that begin from now on. `routes` must not need TLS if the
  /// gateway has no `back_tls`.
  absl::Status UseRoutes(std::shared_ptr<const GatewayRoutes> routes);

  /// Replaces the verification of backends for new connections; kept ones of another policy are
  /// not used any more.
  void UseBackTls(std::shared_ptr<const ClientTlsConfig> back_tls);

  /// Lets requests in progress finish, and takes no further ones on open connections. HTTP/2
  /// clients get GOAWAY with the last stream, HTTP/1.1 clients `Connection: close`.
  void BeginDrain();

  /// Returns the number of open client connections.
  size_t open_connections() const;

  /// Returns the number of requests in progress.
  size_t open_requests() const;

  BackendPoolStats pool_stats() const;
  std::vector<BackendTargetStats> pool_targets() const;

 private:
  explicit HttpGateway(std::unique_ptr<GatewayCore> core);

  const std::unique_ptr<GatewayCore> core_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_HTTP_GATEWAY_H_
