// FrontTls: the client side of a proxy that terminates TLS, from the command line's files:
// certificates, client authentication, ticket keys. Loads and reloads all of it together.
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
  /// Loads the files and settings of the flags: --cert, --key, --ocsp_file, --certs_dir,
  /// --key_passphrase_file, --signing_threads, those of front_options.h, --client_ca,
  /// --client_auth, --client_crl, --client_allow, --ticket_keys_file, those of ticket_keys_redis.h,
  /// --ech_keys_file, --acme_tokens_dir. Offers `default_alpn` unless --alpn is set.
  static absl::StatusOr<std::unique_ptr<FrontTls>> FromFlags(
      std::vector<std::string> default_alpn = {});

  /// Loads all files again. Only if all are valid, new connections use them. Open connections
  /// survive, and so do sessions that the new rules allow. Returns a line about the loaded files.
  absl::StatusOr<std::string> Reload();

  /// Returns the files to watch for changes.
  std::vector<std::string> files() const;

  /// Returns the part that must run on the main loop; null for none.
  MainLoopPart* main_loop_part() const { return redis_.get(); }

  /// Returns the config. It stays the same object; a reload changes its contents.
  const std::shared_ptr<const ServerTlsConfig>& config() const { return config_; }

  /// Returns the store for a CertificateMonitor; each reload changes its contents.
  const std::shared_ptr<CertificateStore>& certificates() const { return certificates_; }

 private:
  struct Loaded;

  void LogNotes(std::vector<std::string> notes);

  explicit FrontTls(std::unique_ptr<ThreadPoolSigner> signers);
  absl::StatusOr<Loaded> Load();
  absl::Status ReplaceEchKeys(const std::string& pem);

  const std::unique_ptr<ThreadPoolSigner> signers_;  // Null if the loops sign.
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
