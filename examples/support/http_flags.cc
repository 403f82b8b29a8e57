#include "examples/support/http_flags.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "examples/support/forwarding_flags.h"
#include "examples/support/front_options.h"
#include "examples/support/program.h"
#include "integrations/http2/http2_routes.h"

ABSL_FLAG(bool, http, false,
          "reads HTTP/1.1: rejects malformed and misdirected requests, and reports the client's "
          "address to the backend (X-Forwarded-For, Forwarded); see docs/http.md");
ABSL_FLAG(std::string, http_routes, "",
          "HOST/PATH=IP:PORT[+IP:PORT...][@NAME], comma-separated: selects the backend by host "
          "and path prefix of the first request. NAME is the backend's certificate name, if not "
          "--backend_name; HOST:PORT and services are as in --backend. The host \"default\" is all "
          "others. Implies --http");
ABSL_FLAG(bool, http2, false,
          "offers HTTP/2, which passes unread, to clients. bridging_proxy then offers h2 and "
          "http/1.1; terminating_proxy needs h2 in --alpn. A backend must support it. "
          "--http_routes then use the client's server name, or the first request's host. Needs "
          "--dangerous_unread_http2 with --http and --http_routes");

namespace trestle::examples {
namespace {

// Returns the flags that have no effect because HTTP is not read; empty for none.
absl::string_view FlagWithoutHttp(const HttpFlags& flags) {
  const ForwardingOptions& forwarding = flags.forwarding;
  if (!forwarding.append_from.ToString().empty()) return "http_trusted_proxies";
  if (flags.upgrades != Http1Options().upgrades) return "http_upgrades";
  if (forwarding.client_cert) return "http_client_cert";
  if (forwarding.xfcc_certificate) return "http_xfcc_cert";
  return forwarding.dangerous_keep.empty() ? "" : "dangerous_http_keep";
}

}  // namespace

absl::StatusOr<HttpFlags> HttpFromFlags(BackendChecks& checks, const CheckedLeg& leg) {
  HttpFlags flags;
  const std::string text = absl::GetFlag(FLAGS_http_routes);
  flags.http2 = absl::GetFlag(FLAGS_http2);
  flags.unread_http2 = UnreadHttp2Allowed();
  flags.inspect = absl::GetFlag(FLAGS_http) || !text.empty();
  flags.upgrades = UpgradesFromFlags();
  absl::StatusOr<ForwardingOptions> forwarding = ForwardingFromFlags();
  if (!forwarding.ok()) return forwarding.status();
  flags.forwarding = *std::move(forwarding);
  if (text.empty()) return flags;
  absl::StatusOr<std::vector<HttpRoute>> routes = ParseHttpRoutes(text);
  if (routes.ok()) {
    for (HttpRoute& route : *routes) {
      CheckedLeg own = leg;
      if (!route.backend_name.empty()) own = {leg.mode, route.backend_name};
      absl::Status followed = checks.Follow(route.backends, own);
      if (!followed.ok()) return followed;
    }
    absl::StatusOr<std::shared_ptr<const HttpRoutes>> table = HttpRoutes::Create(*routes);
    if (table.ok()) {
      flags.routes = *std::move(table);
      return flags;
    }
    routes = table.status();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--http_routes is wrong: ", Sentence(routes.status())));
}

std::vector<std::string> FrontProtocols(const HttpFlags& flags) {
  if (!flags.http2) return {};
  return {"h2", "http/1.1"};
}

absl::Status CheckHttp2(const HttpFlags& flags, const ServerTlsOptions& front) {
  const bool offered = absl::c_linear_search(front.alpn, "h2");
  if (flags.http2 && !offered) return FlagError("http2", "has no effect without h2 in --alpn");
  if (!offered || !flags.inspect || flags.unread_http2) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "h2 is offered to clients and would pass unread beside --http or --http_routes: clients "
      "could forge X-Forwarded-For, and send requests for other names; leave out h2, or accept "
      "that with "
      "--dangerous_unread_http2");
}

absl::StatusOr<std::vector<HttpRoute>> BackRoutes(const HttpFlags& flags, absl::string_view backend,
                                                  BackendChecks& checks, const CheckedLeg& leg) {
  if (flags.routes == nullptr) {
    absl::StatusOr<Backends> backends = checks.Parse("backend", backend, leg);
    if (!backends.ok()) return backends.status();
    return std::vector<HttpRoute>{{"", "/", *std::move(backends), ""}};
  }
  if (!backend.empty()) {
    return absl::InvalidArgumentError(
        "--backend and --http_routes exclude each other; the route default=IP:PORT is for all "
        "else");
  }
  return flags.routes->routes();
}

bool LeadsTo(const std::vector<HttpRoute>& routes, const Endpoint& listener) {
  return std::any_of(routes.begin(), routes.end(), [&](const HttpRoute& route) {
    return trestle::LeadsTo(route.backends, listener);
  });
}

absl::Status ApplyHttp(const HttpFlags& flags, Scheduler& scheduler,
                       InspectorFactory& new_inspector, ContentRouting& content,
                       Http1Options http) {
  if (!flags.inspect) {
    const absl::string_view flag = FlagWithoutHttp(flags);
    return flag.empty() ? absl::OkStatus() : FlagError(flag, "needs --http or --http_routes");
  }
  http.upgrades = flags.upgrades;
  http.forwarding = flags.forwarding;
  if (flags.routes != nullptr) {
    KeepToRoutes(flags.routes, http);
    content.new_reader = NewHttpRouteReaderFactory(flags.routes);
    if (flags.unread_http2) {
      Http2RouteOptions options;
      options.dangerous_unread_http2 = true;
      absl::StatusOr<ContentReaderFactory> reader =
          NewHttp2RouteReaderFactory(flags.routes, options, std::move(content.new_reader));
      if (!reader.ok()) return reader.status();
      content.new_reader = *std::move(reader);
    }
  }
  http.dangerous_unread_http2 = flags.unread_http2;
  absl::StatusOr<InspectorFactory> factory = NewHttp1InspectorFactory(scheduler, std::move(http));
  if (!factory.ok()) return factory.status();
  new_inspector = *std::move(factory);
  return absl::OkStatus();
}

}  // namespace trestle::examples
