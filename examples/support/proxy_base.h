// ProxyBase: what every proxy begins with: its main loop, its host, and its backends.
#ifndef TRESTLE_EXAMPLES_SUPPORT_PROXY_BASE_H_
#define TRESTLE_EXAMPLES_SUPPORT_PROXY_BASE_H_

#include <memory>

#include "examples/support/backend_checks.h"
#include "examples/support/backend_names.h"
#include "examples/support/proxy_host.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle::examples {

/// The members are destroyed in the reverse order.
struct ProxyBase {
  /// Reads the flags of all parts; ends the program if one is wrong. Addresses of the proxy itself
  /// are no backends.
  ProxyBase();

  const ProxyHostOptions host_options;
  const std::unique_ptr<EpollLoop> loop;
  ProxyHost host;
  const ConnectionOptions connection;
  const std::unique_ptr<BackendNames> names;
  const std::unique_ptr<BackendChecks> checks;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_PROXY_BASE_H_
