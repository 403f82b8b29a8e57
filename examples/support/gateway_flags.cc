#include "examples/support/gateway_flags.h"

#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/support/forwarding_flags.h"
#include "examples/support/program.h"
#include "trestle/linux/file.h"

ABSL_FLAG(std::string, routes, "",
          "HOST/PATH=SCHEME://IP:PORT[+IP:PORT...][@NAME], comma-separated: selects backends by "
          "host and path prefix of each request. SCHEME is http, https or h2c; NAME is the name in "
          "the certificates of https backends, which those with a HOST:PORT in place of IP:PORT "
          "need not have; the host \"default\" is all others. "
          "redirect:LOCATION in place of the backends leads clients elsewhere");
ABSL_FLAG(std::string, routes_file, "",
          "file with one such route on each line, instead of --routes; options may follow a route "
          "(docs/http.md): balance, tries, weight, method, header, rewrite, sticky_cookie, "
          "verify_name, response_set, response_remove, name, status. # begins a comment");
ABSL_FLAG(absl::Duration, connect_timeout, trestle::HttpTimeouts().connect,
          "time limit for a connection to a backend, all tries together; over it, the client gets "
          "504");
ABSL_FLAG(absl::Duration, backend_timeout, trestle::HttpTimeouts().first_byte,
          "how long a backend may be silent before its response begins; over it, the client gets "
          "504");
ABSL_FLAG(absl::Duration, response_timeout, trestle::HttpTimeouts().response,
          "how long a backend or a client may be silent in the middle of a response");
ABSL_FLAG(absl::Duration, request_timeout, trestle::HttpTimeouts().body,
          "how long a client may be silent in the middle of a body; over it, it gets 408");
ABSL_FLAG(absl::Duration, keepalive_timeout, trestle::HttpTimeouts().idle,
          "how long a client's connection stays open without a request");
ABSL_FLAG(uint64_t, max_body, 0,
          "maximum bytes of a request's body; longer ones get 413. 0: no limit, but 128 KiB with "
          "--waf");
ABSL_FLAG(uint64_t, cache_bytes, 0,
          "bytes of memory for a shared cache of responses (RFC 9111), which the threads divide "
          "among them; at least 64 KiB for each. 0: no cache");
ABSL_FLAG(uint32_t, backend_connections, trestle::BackendPoolLimits().connections,
          "maximum number of connections of a thread to a backend; further requests wait");
ABSL_FLAG(absl::Duration, backend_max_age, trestle::BackendPoolLimits().max_age,
          "age from which a connection to a backend gets no further requests");
ABSL_FLAG(uint64_t, min_body_rate, trestle::MinimumRate().bytes_per_second,
          "bytes per second that a client must send of a body, and read of a response, over 30 "
          "seconds of its own delay; 0: no limit");
ABSL_FLAG(bool, log_requests, false,
          "writes one line of JSON about each request to standard error");
ABSL_FLAG(absl::Duration, hsts, absl::ZeroDuration(),
          "age in Strict-Transport-Security of all responses over TLS; 0: backends' own passes");
ABSL_FLAG(bool, hsts_subdomains, false, "extends --hsts to subdomains");
ABSL_FLAG(std::string, response_remove, "",
          "names, comma-separated, of fields that responses lose, such as server,x-powered-by");
ABSL_FLAG(std::string, via, "",
          "this proxy's name in Via of requests and responses; requests that have it already get "
          "508. Empty: no Via");

namespace trestle::examples {
namespace {

constexpr size_t kMaxRoutesFileBytes = 16 << 20;
constexpr size_t kJudgedBytes = 128 * 1024;
constexpr uint64_t kMinCacheBytes = 64 * 1024;

absl::StatusOr<std::shared_ptr<const GatewayRoutes>> RoutesOf(
    absl::StatusOr<std::vector<GatewayRoute>> list, absl::string_view where,
    BackendChecks& checks) {
  if (list.ok()) {
    for (GatewayRoute& route : *list) {
      CheckedLeg leg;
      if (route.scheme == BackendScheme::kHttps) {
        leg = {ProxyMode::kBridge, route.backend_name, route.verify_name};
      }
      leg.http2 = route.scheme == BackendScheme::kH2c;
      absl::Status followed = checks.Follow(route.backends, leg);
      if (!followed.ok()) return followed;
    }
    absl::StatusOr<std::shared_ptr<const GatewayRoutes>> routes =
        GatewayRoutes::Create(*std::move(list));
    if (routes.ok()) return routes;
    list = routes.status();
  }
  return absl::InvalidArgumentError(absl::StrCat(where, " is wrong: ", Sentence(list.status())));
}

}  // namespace

absl::StatusOr<GatewayFlags> GatewayFromFlags(int threads) {
  GatewayFlags flags;
  HttpGatewayOptions& options = flags.options;
  const uint64_t cache_bytes = absl::GetFlag(FLAGS_cache_bytes);
  options.cache_bytes = cache_bytes / static_cast<uint64_t>(threads);
  if (cache_bytes > 0 && options.cache_bytes < kMinCacheBytes) {
    return FlagError("cache_bytes", "must be 0, or at least 65536 for each of --threads");
  }
  options.pool.max_age = absl::GetFlag(FLAGS_backend_max_age);
  options.body_rate.bytes_per_second = absl::GetFlag(FLAGS_min_body_rate);
  options.hsts.max_age = absl::GetFlag(FLAGS_hsts);
  options.hsts.subdomains = absl::GetFlag(FLAGS_hsts_subdomains);
  if (absl::Status bad = CheckHsts(options.hsts); !bad.ok()) {
    return FlagError("hsts", absl::StrCat("is wrong: ", Sentence(bad)));
  }
  options.response_fields.remove = ListOf(absl::GetFlag(FLAGS_response_remove));
  if (absl::Status bad = CheckResponseFields(options.response_fields); !bad.ok()) {
    return FlagError("response_remove", Sentence(bad));
  }
  options.via = absl::GetFlag(FLAGS_via);
  options.timeouts.connect = absl::GetFlag(FLAGS_connect_timeout);
  options.timeouts.first_byte = absl::GetFlag(FLAGS_backend_timeout);
  options.timeouts.response = absl::GetFlag(FLAGS_response_timeout);
  options.timeouts.body = absl::GetFlag(FLAGS_request_timeout);
  options.timeouts.idle = absl::GetFlag(FLAGS_keepalive_timeout);
  const uint64_t max_body = absl::GetFlag(FLAGS_max_body);
  if (max_body > 0) options.body_bytes = max_body;
  flags.judged_bytes = max_body > 0 ? max_body : kJudgedBytes;
  options.pool.connections = absl::GetFlag(FLAGS_backend_connections);
  if (options.pool.connections == 0) {
    return FlagError("backend_connections", "must be at least 1");
  }
  options.pool.open_timeout = options.timeouts.connect;
  options.upgrades = UpgradesFromFlags();
  flags.log_requests = absl::GetFlag(FLAGS_log_requests);
  absl::StatusOr<ForwardingOptions> forwarding = ForwardingFromFlags();
  if (!forwarding.ok()) return forwarding.status();
  options.forwarding = *std::move(forwarding);
  return flags;
}

absl::StatusOr<std::shared_ptr<const GatewayRoutes>> GatewayRoutesFromFlags(BackendChecks& checks) {
  const std::string list = absl::GetFlag(FLAGS_routes);
  const std::string file = absl::GetFlag(FLAGS_routes_file);
  if (list.empty() == file.empty()) {
    return absl::InvalidArgumentError("give one of --routes and --routes_file");
  }
  if (file.empty()) return RoutesOf(ParseGatewayRoutes(list), "--routes", checks);
  absl::StatusOr<std::string> text = ReadFile(file, kMaxRoutesFileBytes);
  if (!text.ok()) return text.status();
  return RoutesOf(ParseGatewayRoutesFile(*text), file, checks);
}

std::vector<std::string> RoutesFiles() {
  const std::string file = absl::GetFlag(FLAGS_routes_file);
  if (file.empty()) return {};
  return {file};
}

}  // namespace trestle::examples
