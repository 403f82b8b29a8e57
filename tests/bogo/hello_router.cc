#include "tests/bogo/hello_router.h"

#include <utility>

#include "absl/time/time.h"
#include "trestle/proxy/route_table.h"

namespace trestle::bogo {

absl::StatusOr<Accepted> HelloRouter::PassThrough(std::unique_ptr<Transport> connection) {
  SniPassthroughRouterOptions options;
  Route route;
  route.target = RouteTarget(static_cast<ConnectionHandler*>(this));
  auto routes = RouteTable::Create({route});
  if (!routes.ok()) return routes.status();
  options.routes = *std::move(routes);
  auto router = SniPassthroughRouter::Create(loop_, dialer_, std::move(options), this);
  if (!router.ok()) return router.status();
  router_ = *std::move(router);
  router_->Serve(std::move(connection));
  while (!routed_.has_value() && !refusal_.has_value()) loop_.RunTurn(absl::Minutes(1));
  if (refusal_.has_value()) return MakeError(*refusal_);
  return *std::move(routed_);
}

void HelloRouter::OnClosed(const ConnectionReport& report) {
  if (!report.handed_over && report.error.has_value()) refusal_ = report.error;
}

}  // namespace trestle::bogo
