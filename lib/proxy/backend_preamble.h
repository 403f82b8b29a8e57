// Writes the PROXY protocol header, which tells a backend the client's address before all other
// bytes.
#ifndef TRESTLE_LIB_PROXY_BACKEND_PREAMBLE_H_
#define TRESTLE_LIB_PROXY_BACKEND_PREAMBLE_H_

#include <string>

#include "absl/status/statusor.h"
#include "lib/proxy/connection_plan.h"
#include "trestle/proxy/accepted.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle {

/// Returns the header for a connection from `origin`. Empty for kNone.
absl::StatusOr<std::string> BackendPreamble(ProxyProtocolOut kind, const ConnectionOrigin& origin,
                                            const ConnectionReport& report);

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_BACKEND_PREAMBLE_H_
