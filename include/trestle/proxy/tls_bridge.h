// TlsBridge: speaks TLS with the client, may inspect the clear text, and opens a new TLS session to
// the backend. Encrypted all the way, with a certificate on each leg.
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
#include "trestle/tls/tls_config.h"

namespace trestle {

/// Whose connection is being bridged, for those who name the backend by it.
struct BridgedClient {
  absl::string_view server_name;  ///< From the client's SNI, normalised; empty when it sent none.
  absl::string_view alpn;         ///< The protocol agreed on; empty when none was.
  Endpoint peer;                  ///< The client, as far as it is known.
  Endpoint backend;               ///< Where the back leg leads.
};

/// Computes the name that a backend must prove. An empty one, or one that is no name, ends the
/// connection with ErrorCode::kConfiguration: it never means "no check".
using BackendNamer = absl::AnyInvocable<std::string(const BridgedClient&)>;

/// Eager application protocols: the client's hello waits until the backend's handshake is done,
/// with those protocols of the client's that the front speaks, and is answered with what the
/// backend chose. So client and backend always speak the same, and a client of a backend that fails
/// hears of it by an alert, not after a handshake. Backends are dialed for clients that have sent
/// nothing but a hello: that has a budget, and above it connections are made the lazy way. The
/// PROXY header to the backend then tells of the hello, not yet of what TLS agreed on the front
/// leg.
struct EagerAlpnOptions {
  bool enabled = false;
  /// Early dials for one network (IPv4: /24, IPv6: /48) within `window`.
  uint32_t dials_per_network = 64;
  absl::Duration window = absl::Seconds(10);
  /// Networks that are counted at a time; those beyond are dialed for lazily.
  size_t max_networks = 16384;
  /// For so long a backend's choice is believed without asking again. One that has changed its mind
  /// ends one connection with ErrorCode::kAlpnMismatch.
  absl::Duration remember_for = absl::Minutes(10);
  size_t max_remembered = 1024;
};

struct TlsBridgeOptions {
  /// Required: certificates and parameters towards clients.
  std::shared_ptr<const ServerTlsConfig> front_tls;
  /// Required: whom to trust on the back leg.
  std::shared_ptr<const ClientTlsConfig> back_tls;
  /// Required, unless content routing chooses for every connection.
  Backends backend;
  /// The name that the backend's certificate must be for; also sent to it as SNI. Required, unless
  /// the name is copied or computed, see below. The application protocol that the front leg agreed
  /// on is the one offered to the backend, and a backend that doesn't take it up ends the
  /// connection with ErrorCode::kAlpnMismatch.
  std::string backend_name;
  ConnectionOptions connection = {};
  /// Makes each connection's inspector; empty for none.
  InspectorFactory new_inspector = {};
  /// Chooses the backend by what the client sends first, instead of `backend`.
  ContentRouting content = {};
  /// Lets `front_tls` offer `h2` where policies for client certificates differ by server name, or
  /// where PROXY v2 headers tell the backend of client certificates. An HTTP/2 connection carries
  /// requests for any host (RFC 9113 9.1.1), and the block reads none of them. A client that one
  /// name's policy lets in can therefore send requests for another name. False: `Create` fails with
  /// ErrorCode::kConfiguration in these cases.
  bool dangerous_unread_http2 = false;
  /// Back legs resume sessions of earlier ones, with the same endpoint, name, protocol and policy
  /// only. `max_sessions` 0: every back leg makes a full handshake. A backend's TLS 1.3 sessions
  /// come with its first bytes: a client that ends its direction before that brings none.
  ClientSessionCacheOptions back_sessions = {};
  /// Takes the client's server name for the backend's, so that each backend proves the name that
  /// the client asked for. A client without one gets `backend_name`, or, where that is empty, is
  /// refused with ErrorCode::kNoRoute before any backend is dialed.
  bool copy_server_name = false;
  /// Computes the backend's name for each connection; in place of the two above.
  BackendNamer compute_backend_name = {};
  /// What the backend must prove in place of its name, which is then only sent: a DNS name, an IP
  /// address, or a URI such as a SPIFFE ID. Empty: its name.
  std::string backend_verify_name = "";
  /// For some of the backends, what stands in place of `back_tls`: another client certificate,
  /// other CAs, other pins.
  absl::flat_hash_map<Endpoint, std::shared_ptr<const ClientTlsConfig>> back_tls_by_backend = {};
  /// Lets backends choose the application protocol. Needs `front_tls` with protocols.
  EagerAlpnOptions eager_alpn = {};
};

class TlsBridge final : public ProxyBlock {
 public:
  /// Fails with ErrorCode::kConfiguration when a required option is missing or a limit is no limit.
  /// `scheduler`, `dialer` and `observer` (which may be null) must outlive the block.
  static absl::StatusOr<std::unique_ptr<TlsBridge>> Create(Scheduler& scheduler, Dialer& dialer,
                                                           TlsBridgeOptions options,
                                                           ConnectionObserver* observer = nullptr);

  /// Uses `back_tls` for back legs whose handshake begins from now on, except to backends that have
  /// one of their own; open ones stay.
  /// Those that open from now on resume no session of another policy.
  void ReplaceBackTls(std::shared_ptr<const ClientTlsConfig> back_tls);

  /// The same for backends with a config of their own: `by_backend` replaces all of them.
  void ReplaceBackTlsByBackend(
      absl::flat_hash_map<Endpoint, std::shared_ptr<const ClientTlsConfig>> by_backend);

  /// What is remembered of backends, for measuring.
  const ClientSessionCache& back_sessions() const;

 private:
  class Plan;
  TlsBridge(Scheduler& scheduler, Dialer& dialer, const ConnectionOptions& options,
            ConnectionObserver* observer, std::unique_ptr<ConnectionPlan> base_plan, Plan* plan);

  Plan* const plan_;  // Owned by the base.
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_TLS_BRIDGE_H_
