// FrontTls: all that clients meet of a proxy that ends their TLS, from the command line's files:
// certificates, whom to ask for theirs, ticket keys. Loaded as a whole, and as a whole again.
#ifndef TRESTLE_EXAMPLES_SUPPORT_FRONT_TLS_H_
#define TRESTLE_EXAMPLES_SUPPORT_FRONT_TLS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "examples/support/proxy_host.h"
#include "examples/support/ticket_keys_redis.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/credential_files.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/tls/thread_pool_signer.h"
#include "trestle/tls/ticket_key_ring.h"
#include "trestle/tls/tls_config.h"

namespace trestle::examples {

class FrontTls {
 public:
  /// Loads what the flags name: --cert, --key, --ocsp_file, --certs_dir, --key_passphrase_file,
  /// --signing_threads, those of front_options.h, --client_ca, --client_auth, --client_crl,
  /// --client_allow, --ticket_keys_file, those of ticket_keys_redis.h, --ech_keys_file,
  /// --acme_tokens_dir. Offers `default_alpn` where --alpn doesn't say anything else.
  static absl::StatusOr<std::unique_ptr<FrontTls>> FromFlags(
      std::vector<std::string> default_alpn = {});

  /// Loads all files again and, only if all are good, uses them for new connections. Open ones, and
  /// sessions as far as today's rules allow them, go on. Returns a line about what was loaded.
  absl::StatusOr<std::string> Reload();

  /// The files to watch for changes.
  std::vector<std::string> files() const;

  /// What has to live on the main loop; null for nothing.
  MainLoopPart* main_loop_part() const { return redis_.get(); }

  /// Never changes: what is loaded again changes inside.
  const std::shared_ptr<const ServerTlsConfig>& config() const { return config_; }

  /// Changes with every reload: what a CertificateMonitor watches.
  const std::shared_ptr<CertificateStore>& certificates() const { return certificates_; }

 private:
  struct Loaded;

  void LogNotes(std::vector<std::string> notes);

  explicit FrontTls(std::unique_ptr<ThreadPoolSigner> signers);
  absl::StatusOr<Loaded> Load();
  absl::Status ReplaceEchKeys(const std::string& pem);

  const std::unique_ptr<ThreadPoolSigner> signers_;  // Null: the loops sign.
  CredentialFiles folder_;
  std::vector<std::string> notes_;  // Of the last load: each is logged once.
  std::shared_ptr<CertificateStore> certificates_;
  std::shared_ptr<ClientAuthentication> clients_;
  std::shared_ptr<TicketKeyRing> ticket_keys_;  // Of a file; null without one.
  std::unique_ptr<TicketKeysRedis> redis_;
  std::shared_ptr<EchKeys> ech_keys_;
  std::shared_ptr<const ServerTlsConfig> config_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_FRONT_TLS_H_
