// Reads routes from text: the command-line form, and the routes file.
#ifndef TRESTLE_PROXY_ROUTE_TEXT_H_
#define TRESTLE_PROXY_ROUTE_TEXT_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/route_table.h"

namespace trestle {

/// Reads "IP:PORT", "unix:PATH", "HOST:PORT" or a service ("_https._tcp.api.internal"; see
/// NamedTarget), or several joined by "+", which are used in turn. Names need
/// `ResolvedBackends::Follow` before the backends can be used. Fails with
/// ErrorCode::kConfiguration, quoting the invalid address.
absl::StatusOr<Backends> ParseBackends(absl::string_view text);

/// Reads the value of the option balance=, and of tries= (1 to 255), into `backends`. Return false,
/// and change nothing, for another value.
bool ParseBalance(absl::string_view text, Backends& backends);
bool ParseTries(absl::string_view text, Backends& backends);

/// Reads "NAME=BACKENDS,NAME=BACKENDS,…", where BACKENDS is as for `ParseBackends`. The name
/// "default", in any case, is the default route, here and in files. Fails with
/// ErrorCode::kConfiguration, quoting the invalid item.
absl::StatusOr<std::vector<Route>> ParseRouteList(absl::string_view text);

/// Reads a routes file: one route per line; "#" begins a comment.
///
///     # name           backends                      options
///     app.example      192.0.2.1:443
///     *.apps.example   192.0.2.2:443+192.0.2.3:443   balance=least_connections tries=2
///     api.example      api.internal:443              tries=2
///     default          192.0.2.4:443                 alpn=acme-tls/1
///
/// Options: balance=round_robin|least_connections|client_address, tries=1…255, alpn=PROTOCOL. Fails
/// with ErrorCode::kConfiguration, naming the line.
absl::StatusOr<std::vector<Route>> ParseRoutesFile(absl::string_view text);

}  // namespace trestle

#endif  // TRESTLE_PROXY_ROUTE_TEXT_H_
