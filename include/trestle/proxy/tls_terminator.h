// TlsTerminator (offload): terminates the client's TLS and sends clear text to the backend, or
// hands it to the host's own code. All certificates are in one place; anyone who can tap the back
// leg can read it.
#ifndef TRESTLE_PROXY_TLS_TERMINATOR_H_
#define TRESTLE_PROXY_TLS_TERMINATOR_H_

#include <memory>

#include "absl/status/statusor.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/connection_handler.h"
#include "trestle/proxy/content_routing.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle {

/// Options of a TlsTerminator.
struct TlsTerminatorOptions {
  /// Required: certificates and parameters for clients.
  std::shared_ptr<const ServerTlsConfig> front_tls;
  /// Required, unless there is a `handler` or content routing selects the target of every
  /// connection: receives the clear text.
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
  /// ErrorCode::kConfiguration in these cases. Set it for a `handler` that checks the host of each
  /// request.
  bool dangerous_unread_http2 = false;
  /// Serves the clear text in this process, instead of `backend`; null for none. It must outlive
  /// the block, and gets each connection once its handshake is done, with `Accepted::tls`.
  ///
  /// The block stays responsible. Until the handler destroys the transport, the connection counts
  /// as open and keeps its place in the limiter. Then the block makes the one report. A time limit
  /// of `connection` can end it: `relay.idle_timeout`, the certificate's expiry, a drain. So can
  /// the block's destruction. The handler's calls fail from then on, and `status()` has the reason.
  ///
  /// To end a connection, call `ShutdownWrite(StreamEnd::kClean)` and destroy the transport. The
  /// block then sends the remaining bytes and gives the client time to read them. A transport that
  /// is destroyed without it looks cut to the client.
  ConnectionHandler* handler = nullptr;
};

/// The block for offload: TLS on the front leg only.
class TlsTerminator final : public ProxyBlock {
 public:
  /// Creates a terminator. Fails with ErrorCode::kConfiguration if a required option is missing, or
  /// a limit is zero or infinite. Also fails if `handler` is set beside an option for backends:
  /// `backend`, `content`, `new_inspector` or a PROXY header. `scheduler`, `dialer` and `observer`
  /// (may be null) must outlive the block.
  static absl::StatusOr<std::unique_ptr<TlsTerminator>> Create(
      Scheduler& scheduler, Dialer& dialer, TlsTerminatorOptions options,
      ConnectionObserver* observer = nullptr);

 private:
  class Plan;
  using ProxyBlock::ProxyBlock;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_TLS_TERMINATOR_H_
