// The example proxies' common flags for connections.
#ifndef TRESTLE_EXAMPLES_SUPPORT_CONNECTION_FLAGS_H_
#define TRESTLE_EXAMPLES_SUPPORT_CONNECTION_FLAGS_H_

#include "absl/status/statusor.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle::examples {

/// Returns the options of the shared flags: time limits, the PROXY protocol, limits on connections
/// and handshakes.
absl::StatusOr<ConnectionOptions> ConnectionOptionsFromFlags();

/// Returns whether --answer_plain_http is set.
bool AnswerPlainHttp();

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_CONNECTION_FLAGS_H_
