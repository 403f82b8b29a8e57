// EchKeys: what opens encrypted ClientHellos (RFC 9849), so that the name a client asks for can't
// be read on its way here. The server then serves both the public names and the hidden ones.
#ifndef TRESTLE_TLS_ECH_KEYS_H_
#define TRESTLE_TLS_ECH_KEYS_H_

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

/// Thread-safe. May serve several configs.
class EchKeys {
 public:
  static constexpr size_t kMaxKeys = 16;

  /// Reads pairs of a private key and its ECHConfigList from PEM text, as RFC 9934 has them: an
  /// X25519 key in a PRIVATE KEY block, then an ECHCONFIG block; several pairs may follow each
  /// other. Hellos for all of them are opened. Clients with an outdated config are told those of
  /// the first pair, which is the one to publish. Fails with ErrorCode::kConfiguration: no pair,
  /// more than `kMaxKeys`, a block without its other half, a key that isn't the config's.
  static absl::StatusOr<std::shared_ptr<EchKeys>> FromPem(absl::string_view pem);

  ~EchKeys();
  EchKeys(const EchKeys&) = delete;
  EchKeys& operator=(const EchKeys&) = delete;

  /// Uses the keys of `pem` for hellos from now on, all or nothing. To rotate, put a new pair in
  /// second place everywhere; then publish its config and put it first; take the old one out when
  /// it has left all caches.
  absl::Status Replace(absl::string_view pem);

  /// The ECHConfigList to publish in DNS, `ech` of an HTTPS record (RFC 9848), in base64.
  std::string PublishedConfigs() const;

  /// Checks that `certificates` has one for each public name: clients with outdated configs are
  /// shown it, and believe nothing else. Fails with ErrorCode::kConfiguration, naming what is
  /// missing. Configs are checked when they are made; check again when either is replaced.
  absl::Status CheckPublicNames(const CertificateSet& certificates) const;

  /// For the tls floor: keeps `context`, which takes a reference to nothing here, in step.
  absl::Status Attach(SSL_CTX* context);
  void Detach(SSL_CTX* context);

 private:
  struct Keys;

  explicit EchKeys(std::unique_ptr<Keys> keys);

  mutable absl::Mutex mutex_;
  std::unique_ptr<Keys> keys_ ABSL_GUARDED_BY(mutex_);
  std::vector<SSL_CTX*> contexts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_TLS_ECH_KEYS_H_
