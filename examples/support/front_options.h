// The flags about what a front leg negotiates: --tls_preset, --alpn, --alpn_mismatch,
// --certificate_compression, --dynamic_record_sizing, --session_cache,
// --max_key_updates_per_minute, --dangerous_key_log, --dangerous_unread_http2.
#ifndef TRESTLE_EXAMPLES_SUPPORT_FRONT_OPTIONS_H_
#define TRESTLE_EXAMPLES_SUPPORT_FRONT_OPTIONS_H_

#include "absl/status/status.h"
#include "trestle/tls/tls_config.h"

namespace trestle::examples {

/// Tells whether --dangerous_unread_http2 is given, which blocks and HTTP's options need.
bool UnreadHttp2Allowed();

/// Puts what the flags say into `options`.
absl::Status ApplyFrontFlags(ServerTlsOptions& options);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_FRONT_OPTIONS_H_
