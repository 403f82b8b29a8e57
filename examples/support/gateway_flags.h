// The flags of an HTTP gateway: routes, limits, and fields for backends.
#ifndef TRESTLE_EXAMPLES_SUPPORT_GATEWAY_FLAGS_H_
#define TRESTLE_EXAMPLES_SUPPORT_GATEWAY_FLAGS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "examples/support/backend_checks.h"
#include "integrations/http/gateway_routes.h"
#include "integrations/http/http_gateway.h"

namespace trestle::examples {

struct GatewayFlags {
  HttpGatewayOptions options;  ///< Without routes and TLS.
  bool log_requests = false;
  size_t judged_bytes = 0;  ///< Maximum bytes of a body that --waf judges.
};

/// Reads the flags for limits, time limits, fields for backends and --log_requests.
absl::StatusOr<GatewayFlags> GatewayFromFlags(int threads);

/// Reads the routes of --routes or --routes_file, whose backends `checks` follows. Fails if both or
/// neither are given.
absl::StatusOr<std::shared_ptr<const GatewayRoutes>> GatewayRoutesFromFlags(BackendChecks& checks);

/// Returns the file of --routes_file, for reloads; empty without it.
std::vector<std::string> RoutesFiles();

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_GATEWAY_FLAGS_H_
