// The common code of example proxies that terminate TLS. It reloads the legs of FrontTls and
// BackTls, and shows them on --admin.
#ifndef TRESTLE_EXAMPLES_SUPPORT_TLS_LEGS_H_
#define TRESTLE_EXAMPLES_SUPPORT_TLS_LEGS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "examples/support/admin.h"
#include "examples/support/back_tls.h"
#include "examples/support/backend_checks.h"
#include "examples/support/front_tls.h"
#include "examples/support/proxy_host.h"
#include "integrations/prometheus/legs_page.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle::examples {

/// Additional settings to reload with the certificates. Called on the main thread.
struct AlsoReloaded {
  std::vector<std::string> files;
  /// Loads the settings; fails if they are invalid. Empty: none.
  absl::AnyInvocable<absl::Status()> load;
  /// Comes before a reload: see `ProxyHost::BeforeReload`. Empty: nothing.
  absl::AnyInvocable<void(absl::AnyInvocable<void()> go)> prepare;
  /// Makes new connections use the loaded settings. Returns text for the log.
  absl::AnyInvocable<std::string()> use;
};

/// Makes `host` reload the files of `front`, `back` and `more` when one of them changes and on
/// SIGHUP. New connections use them if all are valid. `back` is null without bridges; else the
/// first `bridges` blocks of each thread are bridges. Also runs the main loop part of `front`. All
/// must outlive `ProxyHost::Run`.
void ServeTls(ProxyHost& host, FrontTls& front, BackTls* back = nullptr, size_t bridges = 0,
              AlsoReloaded more = {});

/// Adds the certificates and the ticket keys of `front`, which must outlive `watched`.
void WatchFront(const FrontTls& front, Watched& watched);

/// The backends of a bridge or a terminator.
struct BackRoute {
  std::string host = {};  ///< The pattern of server names that leads here; empty: all.
  Backends backends;
  std::string backend_name = {};  ///< Of a bridge: the name in the backends' certificates.
  std::string verify_name = {};   ///< That they must have instead; may be empty.
};

/// Returns `routes` in the form of the --admin page.
std::vector<RouteLegs> LegsOf(absl::Span<const BackRoute> routes, ProxyMode mode);

/// The names of a bridge's backends, as in TlsBridgeOptions.
struct BackNames {
  std::string backend_name = {};  ///< Empty: each backend's own, if it is configured by name.
  std::string verify_name = {};   ///< Empty: the name that is sent.
  bool by_client = false;         ///< Without `backend_name`, the name depends on the client.
};

/// Returns an error if a bridge doesn't know the name of a backend's certificate: `routes` have a
/// backend with an address, and neither the route nor `flag_value` (--backend_name) has a name.
/// With --spiffe_backends, no name is needed.
absl::Status CheckBackNames(absl::Span<const BackRoute> routes, absl::string_view flag_value);

/// Shows and watches the backends of bridges' routes, by connections and by probes, with the
/// verification settings of `back`. Routes without a name use `own`, the bridge's, or else the
/// names of their backends: then the route is shown once for each. A backend without any name is
/// shown only.
absl::Status WatchBridges(absl::Span<const BackRoute> routes, ProxyProtocolOut proxy_header,
                          const BackNames& own, const BackTls& back, Watched& watched);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_TLS_LEGS_H_
