// The flags for the fields that describe a client to HTTP backends, and for protocol changes.
#ifndef TRESTLE_EXAMPLES_SUPPORT_FORWARDING_FLAGS_H_
#define TRESTLE_EXAMPLES_SUPPORT_FORWARDING_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "integrations/http1/forwarded_fields.h"

namespace trestle::examples {

/// Reads --http_trusted_proxies, --http_client_cert, --http_xfcc_cert and --dangerous_http_keep.
absl::StatusOr<ForwardingOptions> ForwardingFromFlags();

/// Reads --http_upgrades: protocols in lower case.
std::vector<std::string> UpgradesFromFlags();

/// Splits a list of names at its commas, and folds them to lower case.
std::vector<std::string> ListOf(absl::string_view text);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_FORWARDING_FLAGS_H_
