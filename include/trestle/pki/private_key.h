// PrivateKey: a private key that signs where the caller chooses.
#ifndef TRESTLE_PKI_PRIVATE_KEY_H_
#define TRESTLE_PKI_PRIVATE_KEY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/pki/passphrase.h"
#include "trestle/pki/signer.h"

typedef struct evp_pkey_st EVP_PKEY;

namespace trestle {

/// Immutable and thread-safe.
class PrivateKey {
 public:
  /// Reads the private key of `pem` (PKCS#8, SEC1 EC or PKCS#1 RSA). For an encrypted key it calls
  /// `passphrases` with `name`; null refuses encrypted keys. Fails with ErrorCode::kConfiguration,
  /// also if there are two keys.
  static absl::StatusOr<std::shared_ptr<const PrivateKey>> FromPem(
      absl::string_view pem, PassphraseCallback* passphrases = nullptr,
      absl::string_view name = "");

  ~PrivateKey();
  PrivateKey(const PrivateKey&) = delete;
  PrivateKey& operator=(const PrivateKey&) = delete;

  /// Signs on the calling thread; RSA takes about a millisecond. Fails with ErrorCode::kInternal if
  /// the key does not support `scheme`.
  absl::StatusOr<std::string> Sign(SignatureScheme scheme, ByteView input) const;

  bool is_rsa() const;

 private:
  friend class Credential;

  // Makes a key that takes a reference to `native`.
  static std::shared_ptr<const PrivateKey> Share(EVP_PKEY* native);

  explicit PrivateKey(EVP_PKEY* native);

  EVP_PKEY* const native_;
};

/// Makes signers for private keys that are read from files.
class SignerMaker {
 public:
  virtual ~SignerMaker() = default;

  /// Makes a signer for `key`. Null: the loops sign with it.
  virtual std::shared_ptr<const Signer> MakeSigner(std::shared_ptr<const PrivateKey> key) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_PKI_PRIVATE_KEY_H_
