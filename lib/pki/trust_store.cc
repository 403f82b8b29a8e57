#include "trestle/pki/trust_store.h"

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/pki/pem.h"
#include "lib/pki/trust_anchors.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/pki/sha256.h"
#include "trestle/pki/spiffe_id.h"

namespace trestle {
namespace {

// Each name has a length prefix (RFC 8446 4.2.4).
constexpr size_t kNameLengthBytes = 2;

absl::string_view DerOf(const CRYPTO_BUFFER* buffer) {
  return AsText(ByteView(CRYPTO_BUFFER_data(buffer), CRYPTO_BUFFER_len(buffer)));
}

std::string DigestOf(absl::string_view text) {
  const std::array<uint8_t, 32> digest = Sha256(AsBytes(text));
  return std::string(AsText(ByteView(digest.data(), digest.size())));
}

CRYPTO_BUFFER* SubjectDer(const X509* certificate) {
  const uint8_t* der = nullptr;
  size_t bytes = 0;
  if (!X509_NAME_get0_der(X509_get_subject_name(certificate), &der, &bytes)) return nullptr;
  return CRYPTO_BUFFER_new(der, bytes, nullptr);
}

}  // namespace

// The anchors and the digest of one PEM text.
struct TrustStore::Added {
  std::unique_ptr<const TrustAnchors> anchors;
  std::string digest;
};

absl::StatusOr<std::shared_ptr<const TrustStore>> TrustStore::Create(absl::string_view ca_pem,
                                                                     absl::string_view crl_pem) {
  std::shared_ptr<TrustStore> store = absl::WrapUnique(new TrustStore());
  absl::StatusOr<Added> added = store->AddCertificates(ca_pem, !crl_pem.empty());
  if (!added.ok()) return added.status();
  store->anchors_ = std::move(added->anchors);
  store->digest_ = std::move(added->digest);
  if (!crl_pem.empty()) {
    if (absl::Status status = store->AddCrls(crl_pem); !status.ok()) return status;
  }
  return std::shared_ptr<const TrustStore>(std::move(store));
}

absl::StatusOr<std::shared_ptr<const TrustStore>> TrustStore::CreateForTrustDomains(
    absl::Span<const TrustDomainCas> domains) {
  if (domains.empty()) return ConfigurationError("no trust domain was given");
  std::shared_ptr<TrustStore> store = absl::WrapUnique(new TrustStore());
  std::map<std::string, std::string> digests;
  for (const TrustDomainCas& domain : domains) {
    const absl::StatusOr<SpiffeId> id =
        SpiffeId::Parse(absl::StrCat("spiffe://", domain.trust_domain));
    if (!id.ok()) return id.status();
    if (!id->path.empty()) {
      return ConfigurationError(
          absl::StrCat("\"", domain.trust_domain, "\" is a path, not only a trust domain"));
    }
    absl::StatusOr<Added> added = store->AddCertificates(domain.ca_pem, /*crls_are_given=*/false);
    if (!added.ok()) {
      return ConfigurationError(absl::StrCat("the trust domain ", domain.trust_domain, ": ",
                                             GetError(added.status()).value_or(Error()).detail));
    }
    digests[domain.trust_domain] = std::move(added->digest);
    if (!store->anchors_by_domain_.emplace(domain.trust_domain, std::move(added->anchors)).second) {
      return ConfigurationError(
          absl::StrCat("the trust domain ", domain.trust_domain, " comes twice"));
    }
  }
  // The same CA vouches for other peers in another domain.
  std::string text;
  for (const auto& [domain, digest] : digests) {
    absl::StrAppend(&text, domain.size(), " ", domain, digest);
  }
  store->digest_ = DigestOf(text);
  return std::shared_ptr<const TrustStore>(std::move(store));
}

absl::Status TrustStore::CheckCas(absl::string_view ca_pem, bool crls_are_given) {
  return TrustStore().AddCertificates(ca_pem, crls_are_given).status();
}

const TrustAnchors* TrustStore::AnchorsOf(absl::string_view trust_domain) const {
  const auto found = anchors_by_domain_.find(std::string(trust_domain));
  return found == anchors_by_domain_.end() ? nullptr : found->second.get();
}

TrustStore::TrustStore() : native_(X509_STORE_new()) {}

TrustStore::~TrustStore() {
  X509_STORE_free(native_);
  for (CRYPTO_BUFFER* name : ca_names_) CRYPTO_BUFFER_free(name);
}

absl::StatusOr<TrustStore::Added> TrustStore::AddCertificates(absl::string_view ca_pem,
                                                              bool crls_are_given) {
  if (ca_pem.empty()) return ConfigurationError("no CA certificates were given");
  if (native_ == nullptr) return ConfigurationError("out of memory");
  absl::StatusOr<PemCertificates> certificates = ReadCertificatesPem(
      ca_pem, "the CA file", crls_are_given ? CrlsBeside::kReadElsewhere : CrlsBeside::kRefused);
  if (!certificates.ok()) return certificates.status();
  std::vector<std::string> digests;
  for (size_t i = 0; i < certificates->chain.size(); ++i) {
    X509* const certificate = certificates->chain[i].get();
    CRYPTO_BUFFER* name = SubjectDer(certificate);
    if (name == nullptr || !X509_STORE_add_cert(native_, certificate)) {
      CRYPTO_BUFFER_free(name);
      ERR_clear_error();
      return ConfigurationError("a certificate of the CA file can't be used");
    }
    AddName(name);
    digests.push_back(DigestOf(DerOf(certificates->ders[i].get())));
  }
  std::sort(digests.begin(), digests.end());
  digests.erase(std::unique(digests.begin(), digests.end()), digests.end());
  return Added{std::make_unique<const TrustAnchors>(std::move(certificates->chain)),
               DigestOf(absl::StrJoin(digests, ""))};
}

std::vector<CertificateInfo> TrustStore::Certificates() const {
  std::vector<CertificateInfo> certificates;
  bssl::UniquePtr<STACK_OF(X509_OBJECT)> objects(X509_STORE_get1_objects(native_));
  if (objects == nullptr) return certificates;
  for (const X509_OBJECT* object : objects.get()) {
    const X509* const certificate = X509_OBJECT_get0_X509(object);
    if (certificate != nullptr) certificates.push_back(DescribeCertificate(certificate));
  }
  return certificates;
}

// Takes ownership of `name`. Renewed CA certificates share one name.
void TrustStore::AddName(CRYPTO_BUFFER* name) {
  const auto same = [name](const CRYPTO_BUFFER* other) { return DerOf(other) == DerOf(name); };
  if (std::any_of(ca_names_.begin(), ca_names_.end(), same)) return CRYPTO_BUFFER_free(name);
  ca_names_.push_back(name);
  ca_names_bytes_ += kNameLengthBytes + CRYPTO_BUFFER_len(name);
}

absl::Status TrustStore::AddCrls(absl::string_view crl_pem) {
  auto crls = ReadCrlsPem(crl_pem, "the CRL file");
  if (!crls.ok()) return crls.status();
  for (const bssl::UniquePtr<X509_CRL>& crl : *crls) {
    crls_end_ = std::min(crls_end_, EndOfCrl(crl.get()));
    if (X509_STORE_add_crl(native_, crl.get())) continue;
    ERR_clear_error();
    return ConfigurationError("a revocation list of the CRL file can't be used");
  }
  has_crls_ = true;
  return absl::OkStatus();
}

}  // namespace trestle
