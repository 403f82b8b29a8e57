// TlsTerminator (offload): terminates the client's TLS and sends clear text to the backend. All
// certificates are in one place; anyone who can tap the back leg can read it.
#ifndef TRESTLE_PROXY_TLS_TERMINATOR_H_
#define TRESTLE_PROXY_TLS_TERMINATOR_H_

#include <memory>

#include "absl/status/statusor.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/content_routing.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle {

struct TlsTerminatorOptions {
  /// Required: certificates and parameters for clients.
  std::shared_ptr<const ServerTlsConfig> front_tls;
  /// Required, unless content routing selects the target of every connection: receives the clear
  /// text.
  Backends backend;
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
};

class TlsTerminator final : public ProxyBlock {
 public:
  /// Creates a terminator. Fails with ErrorCode::kConfiguration if a required option is missing or
  /// a limit is zero or infinite. `scheduler`, `dialer` and `observer` (may be null) must outlive
  /// the block.
  static absl::StatusOr<std::unique_ptr<TlsTerminator>> Create(
      Scheduler& scheduler, Dialer& dialer, TlsTerminatorOptions options,
      ConnectionObserver* observer = nullptr);

 private:
  class Plan;
  using ProxyBlock::ProxyBlock;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_TLS_TERMINATOR_H_
