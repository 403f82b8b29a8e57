// Pkcs11Key: a private key in a token, such as an HSM or a smart card, by its URI (RFC 7512). The
// key never leaves the token.
#ifndef TRESTLE_INTEGRATIONS_PKCS11_PKCS11_KEY_H_
#define TRESTLE_INTEGRATIONS_PKCS11_PKCS11_KEY_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "integrations/pkcs11/pkcs11_uri.h"
#include "trestle/base/bytes.h"
#include "trestle/pki/private_key.h"

namespace trestle {

class Pkcs11Token;

/// All functions except `Create` and `name` wait for the token: call them on a thread that may
/// wait. `ThreadPoolSigner::SignerFor` does so, with a bounded queue and a deadline;
/// `FailoverSigner` adds pauses while the token is away, and a second token. Thread-safe: each
/// signature has a session of its own, and sessions are kept.
///
/// A token that was removed, or whose module lost its sessions, is opened again at the next
/// signature. The PIN is read from its file each time. One that the token has refused is not
/// sent twice, because tokens lock themselves after a few wrong ones.
class Pkcs11Key final : public PrivateKey {
 public:
  /// Takes the URI of one private key, as Pkcs11Uri::Parse does. Doesn't open the token yet.
  static absl::StatusOr<std::shared_ptr<const Pkcs11Key>> Create(const std::string& uri);

  ~Pkcs11Key() override;
  Pkcs11Key(const Pkcs11Key&) = delete;
  Pkcs11Key& operator=(const Pkcs11Key&) = delete;

  /// Opens the token and finds the key, unless that is done. Fails with ErrorCode::kTransport if no
  /// such token is present or if it fails. Fails with kConfiguration if the module can't be loaded,
  /// the PIN is missing or refused, or not exactly one private key of the URI signs.
  absl::Status Open() const;

  /// Opens the token if necessary, and signs. RSA signs by PKCS #1 v1.5 and PSS (CKM_RSA_PKCS,
  /// CKM_RSA_PKCS_PSS), EC keys by ECDSA (CKM_ECDSA), Ed25519 by CKM_EDDSA; digests are made here.
  /// Fails as `Open` does, or with ErrorCode::kInternal if the key or token lacks the scheme.
  absl::StatusOr<std::string> Sign(SignatureScheme scheme, ByteView input) const override;

  /// False also while the token is not open.
  bool is_rsa() const override;

  /// Empty: the key can't be exported.
  std::string Pkcs8Der() const override { return ""; }

  /// Returns the URI without its queries, for logs.
  const std::string& name() const { return uri_.name(); }

 private:
  explicit Pkcs11Key(Pkcs11Uri uri) : uri_(std::move(uri)) {}

  absl::StatusOr<std::shared_ptr<Pkcs11Token>> OpenToken(bool& is_new) const;
  void Drop(const std::shared_ptr<Pkcs11Token>& token) const;

  const Pkcs11Uri uri_;
  mutable absl::Mutex opening_;  // Held while a thread opens the token.
  mutable std::string refused_pin_ ABSL_GUARDED_BY(opening_);
  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(opening_);
  mutable std::shared_ptr<Pkcs11Token> token_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PKCS11_PKCS11_KEY_H_
