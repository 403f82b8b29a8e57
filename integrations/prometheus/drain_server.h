// DrainServer: takes calls that drain backends, over HTTP on an address of its own.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_DRAIN_SERVER_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_DRAIN_SERVER_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "integrations/prometheus/page_server.h"
#include "trestle/base/endpoint.h"

namespace trestle {

/// A call of an operator.
struct DrainCall {
  bool drain = true;  ///< False: ends the drain that an earlier call began.
  Endpoint backend;
};

/// Answers POST /drain?backend=192.0.2.1:443 and POST /undrain?backend=…, with the field
/// "Trestle-Call: yes". In the query, bytes may be written as %XX. `PageServer::Call` says how
/// calls of web sites are refused.
///
/// No authentication. So it listens on a Unix-domain socket, whose folder decides which users may
/// call, or on a loopback address, for this machine's users.
class DrainServer {
 public:
  /// Called on the server's thread.
  using Handler = absl::AnyInvocable<void(DrainCall call, PageReply reply)>;

  /// Starts the server; port 0 selects a free port. Fails with ErrorCode::kConfiguration if
  /// `listen` is neither a loopback address nor a Unix-domain socket, or is unavailable.
  static absl::StatusOr<std::unique_ptr<DrainServer>> Start(const Endpoint& listen, Handler handler,
                                                            PageServerOptions options = {});

  const Endpoint& endpoint() const { return pages_->endpoint(); }

 private:
  explicit DrainServer(std::unique_ptr<PageServer> pages) : pages_(std::move(pages)) {}

  const std::unique_ptr<PageServer> pages_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_DRAIN_SERVER_H_
