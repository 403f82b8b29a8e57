// EchKeys: decrypts encrypted ClientHellos (RFC 9849), which hide the server name from the network.
// The server serves both the public names and the hidden names.
#ifndef TRESTLE_TLS_ECH_KEYS_H_
#define TRESTLE_TLS_ECH_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "trestle/tls/certificate_store.h"

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_ech_keys_st SSL_ECH_KEYS;

namespace trestle {

struct EchKeySet;

/// Thread-safe. May serve several configs.
class EchKeys {
 public:
  static constexpr size_t kMaxKeys = 16;

  /// Reads pairs of a private key and its ECHConfigList from PEM text (RFC 9934). Each pair is an
  /// X25519 key in a PRIVATE KEY block, then an ECHCONFIG block. The server decrypts hellos for all
  /// pairs. It sends the configs of the first pair to clients with an outdated one: publish that
  /// pair. Fails with ErrorCode::kConfiguration for no pair, or more than `kMaxKeys`. Also fails
  /// for a block without its other half, a key that does not match the config, or two configs with
  /// one config id.
  static absl::StatusOr<std::shared_ptr<EchKeys>> FromPem(absl::string_view pem);

  ~EchKeys();
  EchKeys(const EchKeys&) = delete;
  EchKeys& operator=(const EchKeys&) = delete;

  /// Uses the keys of `pem` for hellos from now on: all or nothing. May be called at any time; open
  /// connections survive. To rotate: add a new pair in second place on all servers. Then publish
  /// its config and put it first. Remove the old pair when it has expired from all caches.
  absl::Status Replace(absl::string_view pem);

  /// Returns the ECHConfigList to publish in DNS, in base64: `ech` of an HTTPS record (RFC 9848).
  std::string PublishedConfigs() const;

  /// What everyone may know of a config.
  struct Config {
    uint8_t config_id = 0;
    std::string public_name;
  };

  /// Returns the configs in use, in the order of their pairs.
  std::vector<Config> Configs() const;

  /// Checks that `certificates` has a certificate for each public name. Clients with an outdated
  /// config verify it before they accept a new one. Fails with ErrorCode::kConfiguration and the
  /// missing name. ServerTlsConfig::Create checks; check again after either is replaced.
  absl::Status CheckPublicNames(const CertificateSet& certificates) const;

 private:
  friend class PreparedReload;
  friend class ServerTlsConfig;
  friend class TlsInternals;
  friend class TlsReload;

  explicit EchKeys(std::shared_ptr<const EchKeySet> keys);

  std::shared_ptr<const EchKeySet> current() const;

  // The second half of `Replace`, which can't fail.
  void Use(std::shared_ptr<const EchKeySet> keys);

  static absl::Status CheckPublicNamesOf(const EchKeySet& keys, const CertificateSet& certificates);

  // Updates `context` with each `Replace` until `Detach`. Takes no reference to it.
  absl::Status Attach(SSL_CTX* context);
  void Detach(SSL_CTX* context);

  mutable absl::Mutex mutex_;
  std::shared_ptr<const EchKeySet> keys_ ABSL_GUARDED_BY(mutex_);
  std::vector<SSL_CTX*> contexts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_TLS_ECH_KEYS_H_
