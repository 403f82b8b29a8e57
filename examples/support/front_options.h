// The flags for the negotiation on a front leg: --tls_preset, --alpn, --alpn_mismatch,
// --certificate_compression, --dynamic_record_sizing, --session_cache,
// --max_key_updates_per_minute, --dangerous_key_log, --dangerous_unread_http2.
#ifndef TRESTLE_EXAMPLES_SUPPORT_FRONT_OPTIONS_H_
#define TRESTLE_EXAMPLES_SUPPORT_FRONT_OPTIONS_H_

#include "absl/status/status.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle::examples {

/// Returns whether --dangerous_unread_http2 is set, for blocks.
bool UnreadHttp2Allowed();

/// Sets `options` from the flags.
absl::Status ApplyFrontFlags(ServerTlsOptions& options);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_FRONT_OPTIONS_H_
