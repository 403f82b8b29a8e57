// The flags about a proxy's process that the example proxies share.
#ifndef TRESTLE_EXAMPLES_SUPPORT_PROXY_FLAGS_H_
#define TRESTLE_EXAMPLES_SUPPORT_PROXY_FLAGS_H_

#include "absl/status/statusor.h"
#include "examples/support/proxy_host.h"

namespace trestle::examples {

/// What the shared flags say: --listen, --join, --threads, --drain_timeout, --drain_on_reload,
/// --log_connections.
absl::StatusOr<ProxyHostOptions> HostOptionsFromFlags();

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_PROXY_FLAGS_H_
