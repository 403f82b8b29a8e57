// The flags that say whom a bridge trusts on the back leg, and as whom it comes there; and the
// config that they and the files they name make. What fails names the flag or the file.
#ifndef TRESTLE_EXAMPLES_SUPPORT_BACK_TLS_H_
#define TRESTLE_EXAMPLES_SUPPORT_BACK_TLS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "trestle/tls/tls_config.h"

namespace trestle::examples {

/// Makes a config of --backend_ca, --backend_crl, --backend_pins, --backend_cert and --backend_key.
/// To be called again for a reload: files are read each time.
absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> BackTlsFromFlags();

/// The files that a change of is worth a reload. A folder of CAs is among them, with a "/" at the
/// end; what links in it lead to elsewhere is not.
std::vector<std::string> BackTlsFiles();

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_BACK_TLS_H_
