// What a RequestExchange does by its route: the choice, a redirect, the target for the backend, and
// the sticky cookie.

#include <utility>
#include <vector>

#include "integrations/http/front_connection.h"
#include "integrations/http/gateway_core.h"
#include "integrations/http/request_exchange.h"
#include "integrations/http/route_target.h"
#include "integrations/http/sticky_cookie.h"

namespace trestle {
namespace {

// Returns the backends that a cookie may stand for: none, if the route has no cookie.
std::vector<Endpoint> StickyBackends(const GatewayRoute& route) {
  return route.sticky_cookie.empty() ? std::vector<Endpoint>() : EndpointsNow(route.backends);
}

}  // namespace

// Sets `route_`, its backends, and what the backend gets as target.
std::optional<HttpRefusal> RequestExchange::ChooseRoute(const HttpRequest& request) {
  // An extended CONNECT stands for the GET of an Upgrade.
  const absl::string_view method =
      request.protocol.empty() ? absl::string_view(request.method) : "GET";
  const RouteQuery query = {request.host,   request.path(), method,
                            request.fields, core_.random(), connection_->peer()};
  HttpRefusal refusal;
  route_ = core_.options.routes->Find(query, refusal);
  if (route_ == nullptr) return refusal;
  report_.route = route_->name();
  if (core_.observer != nullptr) core_.observer->OnRouted(report_);
  if (route_->redirect.has_value()) return std::nullopt;
  if (route_->rewrite.has_value()) {
    back_target_ = ReplacePrefix(request.target, route_->path, *route_->rewrite);
    if (!back_target_.has_value()) {
      return HttpRefusal{400, "a path that the route's rewrite and backends may read differently"};
    }
  }
  const Backends& backends = route_->backends;
  const std::vector<Endpoint> known = StickyBackends(*route_);
  const Endpoint* const earlier = FindSticky(known, route_->sticky_cookie, request.fields);
  candidates_ = core_.chooser.Order(backends, connection_->peer(), {}, began_, earlier);
  return std::nullopt;
}

void RequestExchange::Redirect(const HttpRequest& request) {
  const std::optional<std::string> location =
      FillLocation(route_->redirect->location, request.host, request.target, route_->path);
  if (!location.has_value()) {
    return Refuse({400, "a request for a redirect without a host or a path"});
  }
  report_.reason = HttpReason::kRedirected;
  HttpResponse response;
  response.status = route_->redirect->status;
  response.fields.Add("location", *location);
  SendPage(std::move(response));
}

// Tells the client of its backend, unless it knows.
void RequestExchange::AddStickyCookie(HttpResponse& response) const {
  const std::string& name = route_->sticky_cookie;
  if (name.empty()) return;
  const std::vector<Endpoint> backends = StickyBackends(*route_);
  const Endpoint* const known = FindSticky(backends, name, request_.fields);
  if (known != nullptr && *known == report_.backend) return;
  const bool secure = connection_->report().front.tls != nullptr;
  response.fields.Add("set-cookie", StickyCookie(name, report_.backend, route_->path, secure));
}

}  // namespace trestle
