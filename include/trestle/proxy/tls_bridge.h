// TlsBridge: terminates the client's TLS, optionally inspects the clear text, and opens a new TLS
// session to the backend. Both legs are encrypted, each with its own certificate.
#ifndef TRESTLE_PROXY_TLS_BRIDGE_H_
#define TRESTLE_PROXY_TLS_BRIDGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/content_routing.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/tls/client_session_cache.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle {

/// The connection for which `BackendNamer` computes a name. Views are valid during the call only.
struct BridgedClient {
  absl::string_view server_name;  ///< From the client's SNI, normalised; empty without one.
  absl::string_view alpn;         ///< The negotiated application protocol; empty without one.
  Endpoint peer;                  ///< The client's address, if known.
  Endpoint backend;               ///< The address to dial.
  /// The name of a backend that was configured by name (NamedTarget::certificate_name); else empty.
  absl::string_view backend_host = {};
};

/// Computes the name that the backend must prove. An empty or invalid name ends the connection with
/// ErrorCode::kConfiguration; it never disables verification. Called on the loop's thread.
using BackendNamer = absl::AnyInvocable<std::string(const BridgedClient&)>;

/// Eager application protocols: the bridge completes the backend's handshake before it answers the
/// client's hello. It offers the backend the client's protocols that the front leg supports, and
/// answers the client with the backend's choice. So client and backend always speak the same
/// protocol. If the backend fails, the client gets an alert during the handshake.
///
/// The bridge dials backends for clients that have sent only a hello. These early dials have a
/// budget; over it, the bridge answers the client first. The PROXY header of an early dial
/// describes the hello, because the front handshake has not finished.
struct EagerAlpnOptions {
  bool enabled = false;
  /// Early dials for one network (IPv4: /24, IPv6: /48): so many at once, and as many again over
  /// each `window`.
  uint32_t dials_per_network = 64;
  absl::Duration window = absl::Seconds(10);
  /// Maximum number of counted networks. Clients of further networks get no early dial.
  size_t max_networks = 16384;
  /// How long to reuse a backend's choice without asking again. If the backend's choice has
  /// changed, one connection fails with ErrorCode::kAlpnMismatch.
  absl::Duration remember_for = absl::Minutes(10);
  size_t max_remembered = 1024;
};

/// Options of a TlsBridge.
struct TlsBridgeOptions {
  /// Required: certificates and parameters for clients.
  std::shared_ptr<const ServerTlsConfig> front_tls;
  /// Required: trust anchors and parameters for the back leg.
  std::shared_ptr<const ClientTlsConfig> back_tls;
  /// Required, unless content routing selects the target of every connection.
  Backends backend;
  /// The name to send as SNI, which the backend's certificate must match. Required, even with
  /// content routing, unless the name is copied or computed, or all of `backend` are names. An IP
  /// address is verified but not sent (RFC 6066 3). This table gives the order of precedence; the
  /// first row that applies wins:
  ///
  ///     Source                              Sent as SNI       Certificate must match
  ///     1. ContentTarget::backend_name,     backend_name of   the same name; ignores
  ///        if not empty                     the target        backend_verify_name
  ///     2. compute_backend_name, if set     computed name     backend_verify_name,
  ///                                                           else the computed name
  ///     3. copy_server_name, if the client  client's name     backend_verify_name,
  ///        sent a name                                        else the client's name
  ///     4. backend_name, if not empty       backend_name      backend_verify_name,
  ///                                                           else backend_name
  ///     5. the name of the backend          certificate_name  backend_verify_name,
  ///        itself, if configured by name    of NamedTarget    else the name sent
  ///
  /// With ClientTlsOptions::peer_uris in `back_tls`, the certificate must have one of these
  /// instead, in all rows. The name is then only sent, and may be empty.
  ///
  /// `compute_backend_name` excludes 3 and 4. LegProbeTarget::expected_name() of a probe is the
  /// third column: its `verify_name`, else its `server_name`, else the address.
  ///
  /// The bridge offers the backend the application protocol of the front leg. If the backend does
  /// not select it, the connection ends with ErrorCode::kAlpnMismatch. A backend without ALPN is
  /// accepted for "http/1.1", which servers without ALPN speak.
  std::string backend_name;
  ConnectionOptions connection = {};
  /// Creates each connection's inspector; empty for none.
  InspectorFactory new_inspector = {};
  /// Selects the backend by the client's first bytes, instead of `backend`.
  ContentRouting content = {};
  /// Allows `front_tls` to offer `h2` if policies for client certificates differ by server name, or
  /// if PROXY v2 headers report client certificates to the backend. An HTTP/2 connection carries
  /// requests for any host (RFC 9113 9.1.1), and the block reads none of them. A client that one
  /// name's policy accepts can therefore send requests for another name. False: `Create` fails with
  /// ErrorCode::kConfiguration in these cases.
  bool dangerous_unread_http2 = false;
  /// Session resumption on back legs. A session is offered only for the same endpoint, name,
  /// protocol and policy. If the backend is configured by name, its endpoint does not matter.
  /// `max_sessions` 0 disables resumption. A backend's TLS 1.3 sessions arrive with its first
  /// bytes: no session is stored if the client ends its stream before that.
  ClientSessionCacheOptions back_sessions = {};
  /// Uses the client's server name as the backend's name. A client without one gets `backend_name`.
  /// If that is empty, the client is rejected with ErrorCode::kNoRoute before any dial.
  bool copy_server_name = false;
  /// Computes the backend's name for each connection. Excludes `backend_name` and
  /// `copy_server_name`.
  BackendNamer compute_backend_name = {};
  /// The name that the backend's certificate must match, if it is not the name to send. It is a DNS
  /// name, an IP address, or a URI such as a SPIFFE ID. Empty: the name sent. Not used where
  /// content routing sets a name.
  std::string backend_verify_name = "";
  /// Replaces `back_tls` for single backends, with another client certificate, other trust anchors
  /// or other pins. Not for addresses that a name resolved to. No value may be null.
  absl::flat_hash_map<Endpoint, std::shared_ptr<const ClientTlsConfig>> back_tls_by_backend = {};
  /// Lets backends select the application protocol. Requires `front_tls` with protocols, and
  /// excludes content routing.
  EagerAlpnOptions eager_alpn = {};
};

/// The block for bridging: a TLS session on each leg.
class TlsBridge final : public ProxyBlock {
 public:
  /// Creates a bridge. Fails with ErrorCode::kConfiguration if a required option is missing or
  /// invalid, or if a limit is zero or infinite. `scheduler`, `dialer` and `observer` (may be null)
  /// must outlive the block.
  static absl::StatusOr<std::unique_ptr<TlsBridge>> Create(Scheduler& scheduler, Dialer& dialer,
                                                           TlsBridgeOptions options,
                                                           ConnectionObserver* observer = nullptr);

  /// Uses `back_tls` for back legs whose handshake begins from now on, except for backends in
  /// `back_tls_by_backend`. Open connections survive. New back legs resume no session of another
  /// policy. Ignores null.
  void ReplaceBackTls(std::shared_ptr<const ClientTlsConfig> back_tls);

  /// Replaces all of `back_tls_by_backend`, in the same way, and drops all stored sessions. Does
  /// nothing if a value is null.
  void ReplaceBackTlsByBackend(
      absl::flat_hash_map<Endpoint, std::shared_ptr<const ClientTlsConfig>> by_backend);

  /// Returns the stored sessions of backends, for metrics.
  const ClientSessionCache& back_sessions() const;

 private:
  class Plan;
  TlsBridge(Scheduler& scheduler, Dialer& dialer, const ConnectionOptions& options,
            ConnectionObserver* observer, std::unique_ptr<ConnectionPlan> base_plan, Plan* plan);

  Plan* const plan_;  // Owned by the base.
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_TLS_BRIDGE_H_
