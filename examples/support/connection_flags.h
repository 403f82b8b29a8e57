// The flags about single connections that the example proxies share.
#ifndef TRESTLE_EXAMPLES_SUPPORT_CONNECTION_FLAGS_H_
#define TRESTLE_EXAMPLES_SUPPORT_CONNECTION_FLAGS_H_

#include "absl/status/statusor.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle::examples {

/// What the shared flags say: time limits, the PROXY protocol, limits on connections and
/// handshakes.
absl::StatusOr<ConnectionOptions> ConnectionOptionsFromFlags();

/// Tells whether --answer_plain_http is given.
bool AnswerPlainHttp();

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_CONNECTION_FLAGS_H_
