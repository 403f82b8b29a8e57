// SniPassthroughRouter: reads the ClientHello and passes the untouched stream to the backend that
// the server name selects. It never decrypts; the backend owns the certificate.
#ifndef TRESTLE_PROXY_SNI_PASSTHROUGH_ROUTER_H_
#define TRESTLE_PROXY_SNI_PASSTHROUGH_ROUTER_H_

#include <array>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/proxy/route_table.h"
#include "trestle/proxy/unconfirmed_backends.h"
#include "trestle/wire/ech_opener.h"

namespace trestle {

/// Options of a SniPassthroughRouter.
struct SniPassthroughRouterOptions {
  /// Required: the routes. Shared, immutable.
  std::shared_ptr<const RouteTable> routes;
  /// The action for hellos without a server name.
  Unrouted no_name = Unrouted::kDefaultRoute;
  /// The action for hellos with a name that only the default route covers.
  Unrouted unknown_name = Unrouted::kDefaultRoute;
  /// The SHA-256 function for JA4 fingerprints, such as `Sha256` of pki/sha256.h. If set, each
  /// hello's report has its fingerprint. The caller passes it so that a router links no
  /// cryptography.
  std::array<uint8_t, 32> (*ja4_sha256)(ByteView bytes) = nullptr;
  /// True: sends a page with status 400, in clear text, to a client that speaks HTTP/1.1 without
  /// TLS. False: sends nothing. Both reject the client with ErrorCode::kNotTls.
  bool answer_plain_http = false;
  /// Opens encrypted hellos (ECH split mode, RFC 9849), such as an EchKeyOpener
  /// (tls/ech_key_opener.h). Null: hellos are routed by their outer name. An opened hello is routed
  /// by the inner name and protocols, and the backend gets the inner hello. The backend must
  /// confirm inner hellos (RFC 9849 7.2), or the client fails. A hello that can't be opened goes to
  /// the route of its outer name. A TlsTerminator there, with the same EchKeys, sends the client
  /// the new config. Routers on several loops share an opener.
  std::shared_ptr<EchOpener> ech;
  /// Backends that an opened hello must not reach, because they don't confirm inner hellos: their
  /// clients would fail with an error about the public name. A route without other backends fails
  /// with ErrorCode::kNoBackend. Hellos that were not opened are not affected. Null: none.
  std::shared_ptr<const UnconfirmedBackends> unconfirmed;
  ConnectionOptions connection = {};
};

/// Only a complete, valid ClientHello selects a route. All other input is rejected and reaches no
/// backend, not even the default. Links no TLS library, unless the options bring one.
class SniPassthroughRouter final : public ProxyBlock {
 public:
  /// Creates a router. Fails with ErrorCode::kConfiguration if a required option is missing or a
  /// limit is zero or infinite. Also fails if the default route (for all protocols) is unreachable
  /// because both `no_name` and `unknown_name` reject. `scheduler`, `dialer` and `observer` (may be
  /// null) must outlive the router.
  static absl::StatusOr<std::unique_ptr<SniPassthroughRouter>> Create(
      Scheduler& scheduler, Dialer& dialer, SniPassthroughRouterOptions options,
      ConnectionObserver* observer = nullptr);

  /// Uses `routes` for connections whose ClientHello is complete from now on; open connections
  /// survive. Fails as `Create` does, and then keeps the old routes.
  absl::Status ReplaceRoutes(std::shared_ptr<const RouteTable> routes);

 private:
  class Plan;
  SniPassthroughRouter(Scheduler& scheduler, Dialer& dialer, const ConnectionOptions& options,
                       ConnectionObserver* observer, std::unique_ptr<ConnectionPlan> base_plan,
                       Plan* plan);

  Plan* const plan_;  // Owned by the base.
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_SNI_PASSTHROUGH_ROUTER_H_
