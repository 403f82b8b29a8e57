// TlsBridge: speaks TLS with the client, may inspect the clear text, and opens a new TLS session to
// the backend. Encrypted all the way, with a certificate on each leg.
#ifndef TRESTLE_PROXY_TLS_BRIDGE_H_
#define TRESTLE_PROXY_TLS_BRIDGE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/content_routing.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/tls/client_session_cache.h"
#include "trestle/tls/tls_config.h"

namespace trestle {

struct TlsBridgeOptions {
  /// Required: certificates and parameters towards clients.
  std::shared_ptr<const ServerTlsConfig> front_tls;
  /// Required: whom to trust on the back leg.
  std::shared_ptr<const ClientTlsConfig> back_tls;
  /// Required, unless content routing chooses for every connection.
  Backends backend;
  /// Required: the name that the backend's certificate must be for; also sent to it as SNI. The
  /// application protocol that the front leg agreed on is the one offered to the backend, and a
  /// backend that doesn't take it up ends the connection with ErrorCode::kAlpnMismatch.
  std::string backend_name;
  ConnectionOptions connection = {};
  /// Makes each connection's inspector; empty for none.
  InspectorFactory new_inspector = {};
  /// Chooses the backend by what the client sends first, instead of `backend`.
  ContentRouting content = {};
  /// Back legs resume sessions of earlier ones, with the same endpoint, name, protocol and policy
  /// only. `max_sessions` 0: every back leg makes a full handshake. A backend's TLS 1.3 sessions
  /// come with its first bytes: a client that ends its direction before that brings none.
  ClientSessionCacheOptions back_sessions = {};
};

class TlsBridge final : public ProxyBlock {
 public:
  /// Fails with ErrorCode::kConfiguration when a required option is missing or a limit is no limit.
  /// `scheduler`, `dialer` and `observer` (which may be null) must outlive the block.
  static absl::StatusOr<std::unique_ptr<TlsBridge>> Create(Scheduler& scheduler, Dialer& dialer,
                                                           TlsBridgeOptions options,
                                                           ConnectionObserver* observer = nullptr);

  /// Uses `back_tls` for back legs whose handshake begins from now on; open ones stay.
  /// Those that open from now on resume no session of another policy.
  void ReplaceBackTls(std::shared_ptr<const ClientTlsConfig> back_tls);

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
