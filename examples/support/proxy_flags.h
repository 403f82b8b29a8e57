// The example proxies' common flags for the process.
#ifndef TRESTLE_EXAMPLES_SUPPORT_PROXY_FLAGS_H_
#define TRESTLE_EXAMPLES_SUPPORT_PROXY_FLAGS_H_

#include "absl/status/statusor.h"
#include "examples/support/proxy_host.h"

namespace trestle::examples {

/// Returns the options of the shared flags: --listen, --join, --threads, --drain_timeout,
/// --drain_on_reload, --log_connections, --check.
absl::StatusOr<ProxyHostOptions> HostOptionsFromFlags();

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_PROXY_FLAGS_H_
