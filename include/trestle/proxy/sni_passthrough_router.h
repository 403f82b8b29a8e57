// SniPassthroughRouter: reads the ClientHello, never decrypts, and passes the untouched stream to
// the backend that the server name selects. The backend owns the certificate.
#ifndef TRESTLE_PROXY_SNI_PASSTHROUGH_ROUTER_H_
#define TRESTLE_PROXY_SNI_PASSTHROUGH_ROUTER_H_

#include <array>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/proxy/route_table.h"

namespace trestle {

/// What becomes of a connection for whose server name there is no route of its own.
enum class Unrouted : uint8_t {
  kDefaultRoute,  ///< Takes the default route; where there is none, as kAlert.
  kAlert,         ///< Refused with the alert unrecognized_name (RFC 6066 3).
  kClose,         ///< Closed without a word.
};

struct SniPassthroughRouterOptions {
  /// Required.
  std::shared_ptr<const RouteTable> routes;
  /// For hellos without a server name.
  Unrouted no_name = Unrouted::kDefaultRoute;
  /// For hellos with a name that no route but the default covers.
  Unrouted unknown_name = Unrouted::kDefaultRoute;
  /// Puts the JA4 fingerprint of each hello into its report. The digest is the caller's, so that a
  /// router links no cryptography: `Sha256` of tls/sha256.h is one.
  std::array<uint8_t, 32> (*ja4_sha256)(ByteView bytes) = nullptr;
  /// Answers a client that speaks HTTP/1.1 without TLS with a page of status 400, in clear text.
  /// False: it gets no byte. It is refused with ErrorCode::kNotTls in both cases.
  bool answer_plain_http = false;
  ConnectionOptions connection = {};
};

/// Only a complete, valid ClientHello selects a route; anything else is refused and reaches no
/// backend, not even the default. Links no TLS library.
class SniPassthroughRouter final : public ProxyBlock {
 public:
  /// Fails with ErrorCode::kConfiguration when a required option is missing, a limit is no limit,
  /// or nothing can reach the default route (of no protocol) because no name and unknown names are
  /// both refused.
  /// `scheduler`, `dialer` and `observer` (which may be null) must outlive the router.
  static absl::StatusOr<std::unique_ptr<SniPassthroughRouter>> Create(
      Scheduler& scheduler, Dialer& dialer, SniPassthroughRouterOptions options,
      ConnectionObserver* observer = nullptr);

  /// Uses `routes` for connections whose ClientHello is complete from now on; open ones stay. Fails
  /// as `Create` does, and then goes on with the old ones.
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
