// FrontTls: the client side of a proxy that terminates TLS, from the command line's files:
// certificates, client authentication, ticket keys. Loads and reloads all of it together.
#ifndef TRESTLE_EXAMPLES_SUPPORT_FRONT_TLS_H_
#define TRESTLE_EXAMPLES_SUPPORT_FRONT_TLS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "examples/support/backend_names.h"
#include "examples/support/ech_keys_file.h"
#include "examples/support/proxy_host.h"
#include "examples/support/spiffe_agent.h"
#include "examples/support/ticket_keys_redis.h"
#include "trestle/pki/finding.h"
#include "trestle/pki/private_key.h"
#include "trestle/pki/trust_store.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/credential_files.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/tls/ticket_key_ring.h"
#include "trestle/tls/tls_reload.h"

namespace trestle::examples {

class FrontTls {
 public:
  /// Loads the files and settings of the flags of front_tls.cc, front_options.h,
  /// ticket_keys_redis.h, ech_keys_file.h and acme_tokens_dir.h. Offers `default_alpn` unless
  /// --alpn is set. `names` follows the names of Redis servers. `spiffe` (may be null) must outlive
  /// it.
  static absl::StatusOr<std::unique_ptr<FrontTls>> FromFlags(
      BackendNames& names, SpiffeAgent* spiffe, std::vector<std::string> default_alpn = {});

  /// Reads all files again, for a reload.
  absl::StatusOr<ReloadSources> Read();

  /// Returns the parts that a reload replaces.
  ReloadTargets targets() const;

  /// Returns the options of reloads: --refuse_lost_names.
  static TlsReloadOptions reload_options();

  /// Takes the sources of the last `Read` as those in use. Logs their notes and findings, and the
  /// ECH configs to publish in DNS, each once.
  void LogNews();

  /// Returns the files to watch for changes.
  std::vector<std::string> files() const;

  /// Returns the part that must run on the main loop; null for none.
  MainLoopPart* main_loop_part() const { return redis_.get(); }

  /// Returns whether the ticket keys of the fleet are there; true without --ticket_keys_redis.
  bool has_ticket_keys() const { return redis_ == nullptr || redis_->has_had_keys(); }

  /// Returns the config. It stays the same object; a reload changes its contents.
  const std::shared_ptr<const ServerTlsConfig>& config() const { return config_; }

  /// Returns the store for a CertificateMonitor; each reload changes its contents.
  const std::shared_ptr<CertificateStore>& certificates() const { return certificates_; }

  /// Returns the CAs of --client_ca; null without it.
  const std::shared_ptr<const TrustStore>& client_cas() const { return client_cas_; }

  /// Returns findings about these CAs.
  std::vector<Finding> Findings() const;

  /// Returns the agent of --spiffe_agent; null without one.
  SpiffeAgent* spiffe() const { return spiffe_; }

  /// Returns the keys of --ech_keys_file; null without one. A reload changes their contents.
  const std::shared_ptr<EchKeys>& ech_keys() const { return ech_keys_; }

 private:
  FrontTls(std::unique_ptr<SignerMaker> signers, SpiffeAgent* spiffe);
  absl::Status MakeParts(ReloadSources sources);
  void LogNotes();

  const std::unique_ptr<SignerMaker> signers_;  // Null if the loops sign with BoringSSL.
  SpiffeAgent* const spiffe_;                   // Null without one.
  CredentialFiles folder_;
  std::vector<std::string> notes_;  // Of the last `Read`.
  std::vector<std::string> logged_notes_;
  std::shared_ptr<CertificateStore> certificates_;
  std::shared_ptr<ClientAuthentication> clients_;
  std::shared_ptr<const TrustStore> client_cas_;
  std::shared_ptr<const TrustStore> read_client_cas_;  // Of the last `Read`.
  std::shared_ptr<TicketKeyRing> ticket_keys_;         // Of a file; null without one.
  std::unique_ptr<TicketKeysRedis> redis_;
  std::shared_ptr<EchKeys> ech_keys_;
  EchConfigsLog ech_configs_;
  std::shared_ptr<const ServerTlsConfig> config_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_FRONT_TLS_H_
