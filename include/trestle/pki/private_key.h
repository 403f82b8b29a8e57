// PrivateKey: a private key that signs where the caller chooses, and with the library of its class.
#ifndef TRESTLE_PKI_PRIVATE_KEY_H_
#define TRESTLE_PKI_PRIVATE_KEY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/pki/passphrase.h"
#include "trestle/pki/signer.h"

namespace trestle {

/// Immutable and thread-safe. A key of another library, such as integrations/openssl_signer,
/// derives from it.
class PrivateKey {
 public:
  /// Reads the private key of `pem` (PKCS#8, SEC1 EC or PKCS#1 RSA). For an encrypted key it calls
  /// `passphrases` with `name`; null refuses encrypted keys. Fails with ErrorCode::kConfiguration,
  /// also if there are two keys.
  static absl::StatusOr<std::shared_ptr<const PrivateKey>> FromPem(
      absl::string_view pem, PassphraseCallback* passphrases = nullptr,
      absl::string_view name = "");

  virtual ~PrivateKey() = default;

  /// Signs on the calling thread; RSA takes about a millisecond. Fails with ErrorCode::kInternal if
  /// the key does not support `scheme`.
  virtual absl::StatusOr<std::string> Sign(SignatureScheme scheme, ByteView input) const = 0;

  virtual bool is_rsa() const = 0;

  /// Returns the key in PKCS#8 (DER), for a library that signs in place of this one. It is secret:
  /// overwrite it after use. Empty if the key can't be exported.
  virtual std::string Pkcs8Der() const = 0;
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
