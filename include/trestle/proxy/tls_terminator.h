// TlsTerminator (offload): speaks TLS with the client and hands clear text to the backend. One
// place for certificates; the back leg is readable for whoever can tap it.
#ifndef TRESTLE_PROXY_TLS_TERMINATOR_H_
#define TRESTLE_PROXY_TLS_TERMINATOR_H_

#include <memory>

#include "absl/status/statusor.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/content_routing.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/tls/tls_config.h"

namespace trestle {

struct TlsTerminatorOptions {
  /// Required: certificates and parameters towards clients.
  std::shared_ptr<const ServerTlsConfig> front_tls;
  /// Required, unless content routing chooses for every connection: gets the clear text.
  Backends backend;
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
};

class TlsTerminator final : public ProxyBlock {
 public:
  /// Fails with ErrorCode::kConfiguration when a required option is missing or a limit is no limit.
  /// `scheduler`, `dialer` and `observer` (which may be null) must outlive the block.
  static absl::StatusOr<std::unique_ptr<TlsTerminator>> Create(
      Scheduler& scheduler, Dialer& dialer, TlsTerminatorOptions options,
      ConnectionObserver* observer = nullptr);

 private:
  class Plan;
  using ProxyBlock::ProxyBlock;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_TLS_TERMINATOR_H_
