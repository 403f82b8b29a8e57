#include "examples/http_flags.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "examples/program.h"
#include "integrations/http2/http2_routes.h"

ABSL_FLAG(bool, http, false,
          "reads HTTP/1.1: refuses malformed and misdirected requests, tells the backend who the "
          "client is (X-Forwarded-For, Forwarded); see docs/http.md");
ABSL_FLAG(
    std::string, http_routes, "",
    "HOST/PATH=IP:PORT[+IP:PORT...][@NAME], comma-separated: chooses the backend by the first "
    "request's host and the beginning of its path; NAME is what the backend's certificate "
    "must be for, if not --backend_name; the host \"default\" is any; implies --http");

ABSL_FLAG(bool, http2, false,
          "lets HTTP/2, where it is agreed on, pass unread; a backend must speak it, and "
          "--http_routes go by the name that the client asked for, or its first request's host. "
          "bridging_proxy offers h2 and http/1.1 then, terminating_proxy what --alpn says");

ABSL_FLAG(std::string, http_trusted_proxies, "",
          "IP addresses or CIDR ranges, comma-separated, of HTTP proxies in front: their "
          "X-Forwarded-For and Forwarded are added to, those of all others are taken out");

namespace trestle::examples {

absl::StatusOr<HttpFlags> HttpFromFlags() {
  HttpFlags flags;
  const std::string text = absl::GetFlag(FLAGS_http_routes);
  flags.http2 = absl::GetFlag(FLAGS_http2);
  flags.inspect = absl::GetFlag(FLAGS_http) || !text.empty();
  if (const std::string ranges = absl::GetFlag(FLAGS_http_trusted_proxies); !ranges.empty()) {
    absl::StatusOr<TrustedPeers> trusted = TrustedPeers::Parse(ranges);
    if (!trusted.ok()) {
      return FlagError("http_trusted_proxies",
                       absl::StrCat("is wrong: ", Sentence(trusted.status())));
    }
    flags.trusted_proxies = *std::move(trusted);
  }
  if (text.empty()) return flags;
  absl::StatusOr<std::vector<HttpRoute>> routes = ParseHttpRoutes(text);
  if (routes.ok()) {
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

absl::StatusOr<std::vector<HttpRoute>> BackRoutes(const HttpFlags& flags,
                                                  absl::string_view backend) {
  if (flags.routes == nullptr) {
    Backends backends;
    for (const absl::string_view item : absl::StrSplit(backend, '+')) {
      const absl::StatusOr<Endpoint> endpoint = ServerFromFlag("backend", item);
      if (!endpoint.ok()) return endpoint.status();
      backends.endpoints.push_back(*endpoint);
    }
    return std::vector<HttpRoute>{{"", "/", std::move(backends), ""}};
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
    if (flags.trusted_proxies.ranges().empty()) return absl::OkStatus();
    return FlagError("http_trusted_proxies", "needs --http or --http_routes");
  }
  http.forwarding.append_from = flags.trusted_proxies;
  if (flags.routes != nullptr) {
    KeepToRoutes(flags.routes, http);
    content.new_reader = NewHttpRouteReaderFactory(flags.routes);
    if (flags.http2) {
      content.new_reader =
          NewHttp2RouteReaderFactory(flags.routes, {}, std::move(content.new_reader));
    }
  }
  http.pass_http2 = flags.http2;
  absl::StatusOr<InspectorFactory> factory = NewHttp1InspectorFactory(scheduler, std::move(http));
  if (!factory.ok()) return factory.status();
  new_inspector = *std::move(factory);
  return absl::OkStatus();
}

}  // namespace trestle::examples
