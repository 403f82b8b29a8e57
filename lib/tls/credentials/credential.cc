#include "trestle/tls/credential.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/pki/chain_cache.h"
#include "lib/pki/native_key.h"
#include "lib/pki/ocsp_staple.h"
#include "lib/pki/pem.h"
#include "lib/pki/signature.h"
#include "lib/pki/x509_certificate.h"
#include "lib/tls/credentials/signer_key.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/pki/private_key.h"

namespace trestle {
namespace {

using Buffers = std::vector<bssl::UniquePtr<CRYPTO_BUFFER>>;

absl::StatusOr<KeyType> ReadKeyType(const EVP_PKEY* key) {
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_EC:
      if (!SchemesOf(key).empty()) return KeyType::kEcdsa;
      return ConfigurationError(absl::StrCat("the key is ", KeyText(key),
                                             "; TLS has signatures for P-256, P-384 and P-521"));
    case EVP_PKEY_ED25519:
      return KeyType::kEd25519;
    case EVP_PKEY_RSA:
      if (EVP_PKEY_bits(key) >= kMinRsaBits) return KeyType::kRsa;
      return ConfigurationError(
          absl::StrCat("the RSA key has ", EVP_PKEY_bits(key), " bits, fewer than ", kMinRsaBits));
    default:
      return ConfigurationError("the private key is neither ECDSA, Ed25519 nor RSA");
  }
}

// Returns the index in the chain of the certificate that `key` matches, or -1.
int FindOwner(const CertificateChain& chain, const EVP_PKEY* key) {
  for (size_t i = 0; i < chain.size(); ++i) {
    bssl::UniquePtr<EVP_PKEY> public_key(X509_get_pubkey(chain[i].get()));
    if (public_key != nullptr && EVP_PKEY_eq(public_key.get(), key) == 1)
      return static_cast<int>(i);
  }
  return -1;
}

absl::Status CheckKeyOwner(const CertificateChain& chain, const EVP_PKEY* key) {
  const int owner = FindOwner(chain, key);
  ERR_clear_error();
  if (owner == 0) return absl::OkStatus();
  const std::string leaf = NameText(X509_get_subject_name(chain.front().get()));
  if (owner > 0) {
    return ConfigurationError(absl::StrCat("the private key belongs to certificate ", owner + 1,
                                           " of the chain, not to the first one, \"", leaf,
                                           "\": the leaf must come first"));
  }
  return ConfigurationError(
      absl::StrCat("the private key doesn't belong to the certificate \"", leaf, "\""));
}

// Each certificate must have issued one before it (RFC 8446 4.4.2). An issuer may appear twice, as
// a cross-signed pair does.
absl::Status CheckOrder(const CertificateChain& chain) {
  for (size_t i = 1; i < chain.size(); ++i) {
    const X509_NAME* subject = X509_get_subject_name(chain[i].get());
    const bool issued_earlier_one =
        std::any_of(chain.begin(), chain.begin() + static_cast<std::ptrdiff_t>(i),
                    [subject](const bssl::UniquePtr<X509>& earlier) {
                      return X509_NAME_cmp(X509_get_issuer_name(earlier.get()), subject) == 0;
                    });
    if (issued_earlier_one) continue;
    const X509_NAME* wanted = X509_get_issuer_name(chain[i - 1].get());
    return ConfigurationError(absl::StrCat(
        "the chain is out of order: certificate ", i, " was issued by \"", NameText(wanted),
        "\", but certificate ", i + 1, " is \"", NameText(subject), "\""));
  }
  return absl::OkStatus();
}

absl::Status CheckNames(const CertificateInfo& leaf) {
  if (!NamesOf(leaf).empty()) return absl::OkStatus();
  return ConfigurationError(
      absl::StrCat("the certificate \"", leaf.subject,
                   "\" has no subject alternative names, so that no client would accept it"));
}

// Makes a credential that signs with `key`, or by `signer` if there is one.
bssl::UniquePtr<SSL_CREDENTIAL> MakeNative(const Buffers& chain, EVP_PKEY* key, SignerKey* signer) {
  std::vector<CRYPTO_BUFFER*> certificates;
  for (const bssl::UniquePtr<CRYPTO_BUFFER>& buffer : chain) certificates.push_back(buffer.get());
  bssl::UniquePtr<SSL_CREDENTIAL> native(SSL_CREDENTIAL_new_x509());
  // BoringSSL would sign with SHA-1 for a TLS 1.2 peer that offers nothing else (RFC 9155).
  std::vector<uint16_t> schemes;
  for (SignatureScheme scheme : SchemesOf(key)) schemes.push_back(static_cast<uint16_t>(scheme));
  if (native == nullptr ||
      !SSL_CREDENTIAL_set1_cert_chain(native.get(), certificates.data(), certificates.size()) ||
      !(signer != nullptr ? signer->AttachTo(native.get())
                          : SSL_CREDENTIAL_set1_private_key(native.get(), key) == 1) ||
      !SSL_CREDENTIAL_set1_signing_algorithm_prefs(native.get(), schemes.data(), schemes.size())) {
    ERR_clear_error();
    return nullptr;
  }
  return native;
}

absl::string_view DerOf(const CRYPTO_BUFFER* certificate) {
  return AsText(ByteView(CRYPTO_BUFFER_data(certificate), CRYPTO_BUFFER_len(certificate)));
}

void DropDuplicates(PemCertificates& certificates) {
  PemCertificates different;
  for (size_t i = 0; i < certificates.ders.size(); ++i) {
    const absl::string_view der = DerOf(certificates.ders[i].get());
    const bool known = std::any_of(
        different.ders.begin(), different.ders.end(),
        [der](const bssl::UniquePtr<CRYPTO_BUFFER>& other) { return DerOf(other.get()) == der; });
    if (known) continue;
    different.ders.push_back(std::move(certificates.ders[i]));
    different.chain.push_back(std::move(certificates.chain[i]));
  }
  certificates = std::move(different);
}

absl::StatusOr<PemCertificates> ReadChainPem(absl::string_view chain_pem, ChainCache* shared) {
  absl::StatusOr<PemCertificates> certificates =
      ReadCertificatesPem(chain_pem, "the certificate chain");
  if (!certificates.ok()) return certificates;
  DropDuplicates(*certificates);
  // Shares intermediates only: leaves differ.
  for (size_t i = 1; shared != nullptr && i < certificates->ders.size(); ++i) {
    certificates->ders[i] = shared->Share(std::move(certificates->ders[i]));
  }
  return certificates;
}

}  // namespace

// The parts of a credential. With a signer, the key is the public one.
struct Credential::Material {
  PemCertificates certificates;
  bssl::UniquePtr<EVP_PKEY> key;
  std::unique_ptr<SignerKey> signer;
};

absl::StatusOr<std::shared_ptr<const Credential>> Credential::FromPem(
    absl::string_view chain_pem, absl::string_view key_pem, const CredentialOptions& options) {
  return FromPem(chain_pem, key_pem, options, nullptr);
}

absl::StatusOr<std::shared_ptr<const Credential>> Credential::FromPem(
    absl::string_view chain_pem, absl::string_view key_pem, const CredentialOptions& options,
    ChainCache* shared) {
  absl::StatusOr<PemCertificates> certificates = ReadChainPem(chain_pem, shared);
  if (!certificates.ok()) return certificates.status();
  absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> key =
      ReadPrivateKeyPem(key_pem, options.passphrases, options.key_name);
  if (!key.ok()) return key.status();
  if (absl::StatusOr<KeyType> type = ReadKeyType(key->get()); !type.ok()) return type.status();
  if (absl::Status owner = CheckKeyOwner(certificates->chain, key->get()); !owner.ok()) {
    return owner;
  }
  std::unique_ptr<SignerKey> signer_key;
  if (options.signers != nullptr) {
    std::shared_ptr<const Signer> signer = options.signers->MakeSigner(NewPrivateKey(key->get()));
    if (signer != nullptr) {
      key->reset(X509_get_pubkey(certificates->chain.front().get()));
      signer_key =
          std::make_unique<SignerKey>(SignerKey{std::move(signer), bssl::UpRef(key->get())});
    }
  }
  return Make({*std::move(certificates), *std::move(key), std::move(signer_key)}, options);
}

absl::StatusOr<std::shared_ptr<const Credential>> Credential::FromSigner(
    absl::string_view chain_pem, std::shared_ptr<const Signer> signer,
    const CredentialOptions& options) {
  if (signer == nullptr) return ConfigurationError("there is no signer");
  absl::StatusOr<PemCertificates> certificates = ReadChainPem(chain_pem, nullptr);
  if (!certificates.ok()) return certificates.status();
  bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(certificates->chain.front().get()));
  if (key == nullptr || SchemesOf(key.get()).empty()) {
    ERR_clear_error();
    return ConfigurationError(
        absl::StrCat("the certificate's key is of a kind that can't sign for "
                     "TLS (",
                     KeyText(key.get()), ")"));
  }
  auto signer_key =
      std::make_unique<SignerKey>(SignerKey{std::move(signer), bssl::UpRef(key.get())});
  return Make({*std::move(certificates), std::move(key), std::move(signer_key)}, options);
}

absl::StatusOr<std::shared_ptr<const Credential>> Credential::Make(
    Material material, const CredentialOptions& options) {
  absl::StatusOr<KeyType> key_type = ReadKeyType(material.key.get());
  if (!key_type.ok()) return key_type.status();
  const CertificateChain& chain = material.certificates.chain;
  if (absl::Status order = CheckOrder(chain); !order.ok()) return order;

  std::vector<CertificateInfo> description;
  for (const bssl::UniquePtr<X509>& certificate : chain) {
    description.push_back(DescribeCertificate(certificate.get()));
  }
  if (options.use == CredentialUse::kServer) {
    if (absl::Status names = CheckNames(description.front()); !names.ok()) return names;
  }

  const Buffers& buffers = material.certificates.ders;
  SignerKey* const signer = material.signer.get();
  bssl::UniquePtr<SSL_CREDENTIAL> native = MakeNative(buffers, material.key.get(), signer);
  if (native == nullptr) {
    return ConfigurationError(absl::StrCat("the certificate \"", description.front().subject,
                                           "\" can't be used for TLS (its key usage must allow "
                                           "digital signatures)"));
  }
  std::vector<CRYPTO_BUFFER*> ders;
  for (const bssl::UniquePtr<CRYPTO_BUFFER>& der : buffers) {
    ders.push_back(bssl::UpRef(der).release());
  }
  std::shared_ptr<Credential> credential(
      new Credential(native.release(), *key_type, ChainInfo(std::move(description)),
                     std::move(ders), std::move(material.signer)));
  constexpr uint32_t kClientUsages = XKU_SSL_CLIENT | XKU_ANYEKU;
  X509* const leaf = chain.front().get();
  credential->fit_for_clients_ = (X509_get_extended_key_usage(leaf) & kClientUsages) != 0;
  if (!options.staple.empty()) {
    // The certificate works without it: an old response must not reject a new certificate.
    credential->staple_fault_ =
        buffers.size() < 2
            ? "the chain has no certificate of the issuer to check it by"
            : credential->AddStaple(options.staple,
                                    MakeNative(buffers, material.key.get(), signer).release(),
                                    DerOf(buffers[0].get()), DerOf(buffers[1].get()));
  }
  return std::shared_ptr<const Credential>(std::move(credential));
}

// Returns the fault of `staple`; empty if it will be sent. Takes ownership of `stapled`.
std::string Credential::AddStaple(const std::string& staple, SSL_CREDENTIAL* stapled,
                                  absl::string_view leaf_der, absl::string_view issuer_der) {
  stapled_ = stapled;
  // Wrong dates are no fault: it is sent only between its dates.
  StapleReport report = JudgeStaple(staple, leaf_der, issuer_der, absl::UnixEpoch());
  report = JudgeStaple(staple, leaf_der, issuer_der, report.this_update);
  if (report.state != StapleState::kGood) return report.detail;
  bssl::UniquePtr<CRYPTO_BUFFER> response(
      CRYPTO_BUFFER_new(AsBytes(staple).data(), staple.size(), nullptr));
  if (stapled == nullptr || response == nullptr ||
      !SSL_CREDENTIAL_set1_ocsp_response(stapled, response.get())) {
    ERR_clear_error();
    return "BoringSSL refuses it";
  }
  staple_begin_ = report.this_update;
  staple_end_ = report.next_update;
  return "";
}

SSL_CREDENTIAL* Credential::NativeAt(absl::Time now) const {
  return now >= staple_begin_ && now < staple_end_ ? stapled_ : native_;
}

Credential::Credential(SSL_CREDENTIAL* native, KeyType key_type, ChainInfo chain,
                       std::vector<CRYPTO_BUFFER*> ders, std::unique_ptr<SignerKey> signer_key)
    : native_(native),
      key_type_(key_type),
      chain_(std::move(chain)),
      ders_(std::move(ders)),
      signer_key_(std::move(signer_key)) {}

Credential::~Credential() {
  SSL_CREDENTIAL_free(native_);
  SSL_CREDENTIAL_free(stapled_);
  for (CRYPTO_BUFFER* der : ders_) CRYPTO_BUFFER_free(der);
}

ServedChain Credential::served() const {
  ServedChain served;
  for (const CRYPTO_BUFFER* der : ders_) served.certificates.emplace_back(DerOf(der));
  return served;
}

bool Credential::ValidAt(absl::Time now) const {
  const CertificateInfo& leaf = chain_.front();
  return now >= leaf.not_before && now <= leaf.not_after;
}

}  // namespace trestle
