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
#include "trestle/tls/passphrase.h"
#include "trestle/tls/tls_info.h"

typedef struct ssl_credential_st SSL_CREDENTIAL;

namespace trestle {

class ChainCache;
class Signer;
class SignerMaker;
struct SignerKey;

enum class KeyType : unsigned char { kEcdsa, kRsa, kEd25519 };

/// What a credential is shown as. Servers need names in theirs; clients may do with a subject.
enum class CredentialUse : unsigned char { kServer, kClient };

struct CredentialOptions {
  CredentialUse use = CredentialUse::kServer;
  /// Asked where the private key is encrypted; null: such keys are refused.
  PassphraseCallback* passphrases = nullptr;
  std::string key_name = "";  ///< For `passphrases`.
  /// Asked who signs with a private key that was read; null: the loops do, on the spot.
  SignerMaker* signers = nullptr;
  /// An OCSP response about the leaf, in DER, to be stapled to it during its dates (RFC 6066 8);
  /// empty for none. One that doesn't say "good", or isn't signed for the chain's second
  /// certificate, isn't sent: see `Credential::staple_fault`.
  std::string staple = "";
  /// Where credentials made before left certificates to share; null: shares none.
  ChainCache* shared = nullptr;
};

/// Immutable; may be used from several threads.
class Credential {
 public:
  /// Reads a chain (leaf first, then intermediates; a root may be there) and its private key
  /// (PKCS#8, SEC1 EC or PKCS#1 RSA; encrypted ones by a passphrase) from PEM text. Fails with
  /// ErrorCode::kConfiguration, naming the part at fault: no PEM block, a certificate that doesn't
  /// parse, a key that doesn't belong to the leaf, a server's leaf without SAN names, RSA under
  /// 2048 bits, EC keys on curves that TLS has no signatures for, intermediates out of order.
  static absl::StatusOr<std::shared_ptr<const Credential>> FromPem(
      absl::string_view chain_pem, absl::string_view key_pem,
      const CredentialOptions& options = {});

  /// The same for a chain whose private key is elsewhere: RSA, Ed25519, or ECDSA on P-256, P-384
  /// or P-521. Whether the key belongs to the leaf shows at the first signature.
  static absl::StatusOr<std::shared_ptr<const Credential>> FromSigner(
      absl::string_view chain_pem, std::shared_ptr<const Signer> signer,
      const CredentialOptions& options = {});

  ~Credential();
  Credential(const Credential&) = delete;
  Credential& operator=(const Credential&) = delete;

  KeyType key_type() const { return key_type_; }

  /// Describes the chain, leaf first. Never empty.
  const ChainInfo& chain() const { return chain_; }

  /// Tells whether the leaf is within its validity at `now`. The certificates behind it don't
  /// count: clients may know other ways from the leaf to a root that they trust.
  bool ValidAt(absl::Time now) const;

  /// Tells whether the leaf may be shown by a client: its extended key usage has clientAuth, or
  /// there is none (RFC 5280 4.2.1.12). Servers refuse others.
  bool fit_for_clients() const { return fit_for_clients_; }

  /// Until when there is a staple to be sent; InfinitePast without one.
  absl::Time staple_end() const { return staple_end_; }

  /// Why the staple that was given is never sent; empty for a good one, and without one.
  const std::string& staple_fault() const { return staple_fault_; }

  /// The BoringSSL object, without a staple, for the tls floor. Lives as long as this.
  SSL_CREDENTIAL* native() const { return native_; }

  /// The same, with the staple if there is one for `now`.
  SSL_CREDENTIAL* NativeAt(absl::Time now) const;

  /// Tells whether `native` is of this credential.
  bool Owns(const SSL_CREDENTIAL* native) const { return native == native_ || native == stapled_; }

 private:
  struct Material;

  Credential(SSL_CREDENTIAL* native, KeyType key_type, ChainInfo chain,
             std::unique_ptr<SignerKey> signer_key);

  static absl::StatusOr<std::shared_ptr<const Credential>> Make(Material material,
                                                                const CredentialOptions& options);

  std::string AddStaple(const std::string& staple, SSL_CREDENTIAL* stapled,
                        absl::string_view leaf_der, absl::string_view issuer_der);

  SSL_CREDENTIAL* const native_;
  SSL_CREDENTIAL* stapled_ = nullptr;  // The same with a staple, if there is one.
  absl::Time staple_begin_ = absl::InfiniteFuture();
  absl::Time staple_end_ = absl::InfinitePast();
  std::string staple_fault_;
  const KeyType key_type_;
  bool fit_for_clients_ = false;
  const ChainInfo chain_;
  const std::unique_ptr<SignerKey> signer_key_;  // Null where the private key is in `native_`.
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CREDENTIAL_H_
