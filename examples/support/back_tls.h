// The flags for a bridge's back leg, its trust anchors and client certificate, and the config that
// they and their files define. Errors name the flag or the file.
#ifndef TRESTLE_EXAMPLES_SUPPORT_BACK_TLS_H_
#define TRESTLE_EXAMPLES_SUPPORT_BACK_TLS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trestle/tls/tls_config.h"
#include "trestle/tls/tls_reload.h"

namespace trestle::examples {

/// Creates a config from --backend_ca, --backend_crl, --backend_pins, --backend_cert and
/// --backend_key.
absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> BackTlsFromFlags();

/// Reads the same into `sources`, for a reload.
absl::Status ReadBackTls(ReloadSources& sources);

/// Returns a warning about a --backend_cert that backends may reject; empty for none.
std::string BackTlsWarning();

/// Returns the files to watch for a reload. A directory of CAs is included, with a final "/"; the
/// targets of its symlinks are not.
std::vector<std::string> BackTlsFiles();

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_BACK_TLS_H_
