// Credential: a certificate chain with its private key, checked once, shared by all connections.
#ifndef TRESTLE_TLS_CREDENTIAL_H_
#define TRESTLE_TLS_CREDENTIAL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/pki/passphrase.h"
#include "trestle/tls/tls_info.h"

typedef struct crypto_buffer_st CRYPTO_BUFFER;
typedef struct ssl_credential_st SSL_CREDENTIAL;

namespace trestle {

class ChainCache;
class Signer;
class SignerMaker;
struct SignerKey;

enum class KeyType : unsigned char { kEcdsa, kRsa, kEd25519 };

/// The role of a credential. A server's needs SAN names; a client's may have only a subject.
enum class CredentialUse : unsigned char { kServer, kClient };

/// Options of `Credential::FromPem` and `FromSigner`.
struct CredentialOptions {
  CredentialUse use = CredentialUse::kServer;
  /// Supplies the passphrase of an encrypted private key; null: encrypted keys are refused. Used
  /// during the call only.
  PassphraseCallback* passphrases = nullptr;
  std::string key_name = "";  ///< For `passphrases`.
  /// Makes the signer for a private key that was read; null: the loops sign. Used during the call
  /// only.
  SignerMaker* signers = nullptr;
  /// An OCSP response for the leaf, in DER, to staple between its dates (RFC 6066 8); empty for
  /// none. One that doesn't say "good", or isn't signed for the chain's second certificate, is not
  /// sent: see `Credential::staple_fault`.
  std::string staple = "";
};

/// Immutable; may be used from several threads.
class Credential {
 public:
  /// Makes a credential from PEM text. The chain has the leaf first, then intermediates, and
  /// optionally the root. The private key is PKCS#8, SEC1 EC or PKCS#1 RSA, plain or encrypted.
  /// Fails with ErrorCode::kConfiguration and the faulty part:
  ///   - no PEM block, or a certificate that doesn't parse;
  ///   - a key that doesn't match the leaf, or intermediates out of order;
  ///   - a server's leaf without SAN names;
  ///   - RSA under `kMinRsaBits`, or an EC curve without TLS signatures.
  static absl::StatusOr<std::shared_ptr<const Credential>> FromPem(
      absl::string_view chain_pem, absl::string_view key_pem,
      const CredentialOptions& options = {});

  /// Makes a credential whose private key is elsewhere: RSA, Ed25519, or ECDSA on P-256, P-384 or
  /// P-521. The first signature shows whether the key matches the leaf.
  static absl::StatusOr<std::shared_ptr<const Credential>> FromSigner(
      absl::string_view chain_pem, std::shared_ptr<const Signer> signer,
      const CredentialOptions& options = {});

  ~Credential();
  Credential(const Credential&) = delete;
  Credential& operator=(const Credential&) = delete;

  KeyType key_type() const { return key_type_; }

  /// Returns the description of the chain, leaf first. Never empty.
  const ChainInfo& chain() const { return chain_; }

  /// Returns a copy of the chain as handshakes send it, without a staple: for a ChainChecker, which
  /// tells whether clients can verify it.
  ServedChain served() const;

  /// Returns whether the leaf is valid at `now`. Intermediates don't count: clients may know other
  /// paths to a root that they trust.
  bool ValidAt(absl::Time now) const;

  /// Returns whether a client may present the leaf: its extended key usage has clientAuth or is
  /// absent (RFC 5280 4.2.1.12). Servers refuse others.
  bool fit_for_clients() const { return fit_for_clients_; }

  /// Returns the time until which the staple is sent; InfinitePast without one.
  absl::Time staple_end() const { return staple_end_; }

  /// Returns why the given staple is never sent; empty for a good one, and without one.
  const std::string& staple_fault() const { return staple_fault_; }

 private:
  friend class CredentialFiles;
  friend class TlsInternals;
  struct Material;

  // Does the same, and shares equal certificates with earlier credentials by `shared`, unless null.
  static absl::StatusOr<std::shared_ptr<const Credential>> FromPem(absl::string_view chain_pem,
                                                                   absl::string_view key_pem,
                                                                   const CredentialOptions& options,
                                                                   ChainCache* shared);

  // Takes over the references of `ders`, the certificates of `chain`.
  Credential(SSL_CREDENTIAL* native, KeyType key_type, ChainInfo chain,
             std::vector<CRYPTO_BUFFER*> ders, std::unique_ptr<SignerKey> signer_key);

  static absl::StatusOr<std::shared_ptr<const Credential>> Make(Material material,
                                                                const CredentialOptions& options);

  std::string AddStaple(const std::string& staple, SSL_CREDENTIAL* stapled,
                        absl::string_view leaf_der, absl::string_view issuer_der);

  // Returns the object without a staple.
  SSL_CREDENTIAL* native() const { return native_; }

  // Returns the object with the staple, if there is one for `now`; else the one without.
  SSL_CREDENTIAL* NativeAt(absl::Time now) const;

  // Returns whether `native` is one of the two.
  bool Owns(const SSL_CREDENTIAL* native) const { return native == native_ || native == stapled_; }

  SSL_CREDENTIAL* const native_;
  SSL_CREDENTIAL* stapled_ = nullptr;  // The same with a staple, if there is one.
  absl::Time staple_begin_ = absl::InfiniteFuture();
  absl::Time staple_end_ = absl::InfinitePast();
  std::string staple_fault_;
  const KeyType key_type_;
  bool fit_for_clients_ = false;
  const ChainInfo chain_;
  const std::vector<CRYPTO_BUFFER*> ders_;       // Shared with `native_`.
  const std::unique_ptr<SignerKey> signer_key_;  // Null where the private key is in `native_`.
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CREDENTIAL_H_
