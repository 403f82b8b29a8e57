// What the example proxies that end TLS do with their legs, once FrontTls and back_tls.h have made
// them: load all of it again, and show it to --admin.
#ifndef TRESTLE_EXAMPLES_SUPPORT_TLS_LEGS_H_
#define TRESTLE_EXAMPLES_SUPPORT_TLS_LEGS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "examples/support/admin.h"
#include "examples/support/front_tls.h"
#include "examples/support/proxy_host.h"
#include "integrations/http1/http_routes.h"
#include "integrations/prometheus/legs_page.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle::examples {

/// What a program loads again together with its certificates. Called on the main thread.
struct AlsoReloaded {
  std::vector<std::string> files;
  /// Loads it, and fails where it is bad. Empty: there is nothing.
  absl::AnyInvocable<absl::Status()> load;
  /// Has new connections use what was loaded. Returns some words about it for the log.
  absl::AnyInvocable<std::string()> use;
};

/// Has `host` load the files of `front` again when one of them changes and on SIGHUP, and with them
/// those of back_tls.h, if any of its blocks are bridges: the first `bridges` ones of each thread,
/// and `more`. New connections use them if all are good. Also has it run what `front` needs. Both
/// must outlive `ProxyHost::Run`.
void ServeTls(ProxyHost& host, FrontTls& front, size_t bridges = 0, AlsoReloaded more = {});

/// Adds the certificates and the ticket keys of `front`.
void WatchFront(const FrontTls& front, Watched& watched);

/// `routes` as the page of --admin shows them.
std::vector<RouteLegs> LegsOf(absl::Span<const HttpRoute> routes, ProxyMode mode);

/// The names of a bridge's backends, as in TlsBridgeOptions.
struct BackNames {
  std::string backend_name = {};  ///< Empty: each connection has its own.
  std::string verify_name = {};   ///< Empty: `backend_name`.
};

/// Adds the routes of bridges: as connections meet their backends, and by probes, verified as the
/// flags of back_tls.h say. Routes without a name of their own have the bridge's, `own`; without
/// either they are only shown.
absl::Status WatchBridges(absl::Span<const RouteLegs> routes, ProxyProtocolOut proxy_header,
                          const BackNames& own, Watched& watched);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_TLS_LEGS_H_
