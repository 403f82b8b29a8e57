// What a route makes of a request's target: the path with another prefix, or the location of a
// redirect.
#ifndef TRESTLE_INTEGRATIONS_HTTP_ROUTE_TARGET_H_
#define TRESTLE_INTEGRATIONS_HTTP_ROUTE_TARGET_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace trestle {

/// Returns whether `path` begins with "/" and has nothing that readers interpret differently.
bool IsPlainPrefix(absl::string_view path);

/// Returns what follows the route's path `prefix` in `target`: empty, or text that begins with "/"
/// or "?". Percent-encoded bytes of the prefix count as what they encode. Empty optional if
/// `target` isn't below `prefix`.
std::optional<std::string> RestOf(absl::string_view target, absl::string_view prefix);

/// Replaces `prefix` in `target` by `with`; both are prefixes in whole segments. Empty if `target`
/// isn't below `prefix`, or has a path that readers could interpret differently: it could leave
/// `with`.
std::optional<std::string> ReplacePrefix(absl::string_view target, absl::string_view prefix,
                                         absl::string_view with);

/// Checks the location of a redirect: "http://", "https://" with a host, or a path of the same
/// host. `{host}` is the request's host without port, `{target}` its path and query, and `{rest}`
/// what follows the route's path. No request can choose the host, other than by `{host}`. Fails
/// with ErrorCode::kConfiguration.
absl::Status CheckLocation(absl::string_view location);

/// Fills in a location that `CheckLocation` accepts. Empty if it needs what the request lacks.
std::optional<std::string> FillLocation(absl::string_view location, absl::string_view host,
                                        absl::string_view target, absl::string_view prefix);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_ROUTE_TARGET_H_
