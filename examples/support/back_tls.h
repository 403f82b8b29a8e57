// The flags for a bridge's back leg, its trust anchors and client certificate, and the config that
// they and their files define. Errors name the flag or the file.
#ifndef TRESTLE_EXAMPLES_SUPPORT_BACK_TLS_H_
#define TRESTLE_EXAMPLES_SUPPORT_BACK_TLS_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "examples/support/spiffe_agent.h"
#include "trestle/pki/finding.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/tls_reload.h"

namespace trestle::examples {

/// Returns whether --backend_ca or --spiffe_backends is set, which TLS towards backends needs.
bool HasBackTls();

/// TLS towards backends as --backend_ca, --backend_crl, --backend_pins, --backend_cert and
/// --backend_key set it, or --spiffe_backends. For the main thread.
class BackTls {
 public:
  /// Loads the files of the flags. With --spiffe_backends, `spiffe` has the certificate and the
  /// CAs, and must outlive this; else it may be null.
  static absl::StatusOr<std::unique_ptr<BackTls>> FromFlags(SpiffeAgent* spiffe);

  /// Returns --backend_resumption: whether connections to backends resume TLS sessions.
  static bool Resumes();

  /// Reads all files again into `sources`, for a reload.
  absl::Status Read(ReloadSources& sources) const { return Read(spiffe_, sources); }

  /// Returns what backends may refuse in --backend_cert, now or after its renewal.
  std::vector<Finding> Findings() const;

  /// Returns the files to watch for a reload. A directory of CAs is included, with a final "/";
  /// the targets of its symlinks are not.
  static std::vector<std::string> files();

  /// Returns the config of the start or of the last reload. Never null.
  const std::shared_ptr<const ClientTlsConfig>& config() const { return config_; }

  /// Keeps the config that a reload committed.
  void Use(std::shared_ptr<const ClientTlsConfig> config) { config_ = std::move(config); }

 private:
  BackTls(SpiffeAgent* spiffe, std::shared_ptr<const ClientTlsConfig> config)
      : spiffe_(spiffe), config_(std::move(config)) {}

  static absl::Status Read(SpiffeAgent* spiffe, ReloadSources& sources);

  SpiffeAgent* const spiffe_;
  std::shared_ptr<const ClientTlsConfig> config_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_BACK_TLS_H_
