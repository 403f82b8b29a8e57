#include "lib/pki/trust_anchors.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <utility>

#include "absl/algorithm/container.h"

namespace trestle {
namespace {

bool Issued(const X509* issuer, const X509* subject) {
  EVP_PKEY* const key = X509_get0_pubkey(issuer);
  return X509_check_issued(issuer, subject) == X509_V_OK && key != nullptr &&
         X509_verify(const_cast<X509*>(subject), key) == 1;
}

}  // namespace

bool IsSelfSigned(const X509* certificate) {
  return (X509_get_extension_flags(const_cast<X509*>(certificate)) & EXFLAG_SS) != 0;
}

TrustAnchors::TrustAnchors(CertificateChain certificates) {
  for (bssl::UniquePtr<X509>& certificate : certificates) {
    if (Find(certificate.get()) != nullptr) continue;
    const uint32_t subject = X509_NAME_hash(X509_get_subject_name(certificate.get()));
    by_subject_[subject].push_back({std::move(certificate)});
  }
  FindAnchors();
  ERR_clear_error();
}

void TrustAnchors::FindAnchors() {
  struct Link {
    Entry* entry;
    std::vector<const Entry*> issuers;
  };
  std::vector<Link> links;
  for (auto& [subject, entries] : by_subject_) {
    for (Entry& entry : entries) {
      if (IsSelfSigned(entry.certificate.get())) continue;
      Link link{&entry, {}};
      for (const Entry& other : WithSubject(X509_get_issuer_name(entry.certificate.get()))) {
        if (&other != &entry && Issued(other.certificate.get(), entry.certificate.get())) {
          link.issuers.push_back(&other);
        }
      }
      if (!link.issuers.empty()) links.push_back(std::move(link));
    }
  }
  // Certificates that issued each other and lead to no anchor become anchors.
  std::vector<const Entry*> lost;
  for (const Link& link : links) lost.push_back(link.entry);
  for (bool found = true; found;) {
    found = false;
    for (const Link& link : links) {
      const auto place = absl::c_find(lost, link.entry);
      if (place == lost.end() || absl::c_all_of(link.issuers, [&](const Entry* issuer) {
            return absl::c_linear_search(lost, issuer);
          })) {
        continue;
      }
      lost.erase(place);
      found = true;
    }
  }
  for (const Link& link : links) link.entry->ends_path = absl::c_linear_search(lost, link.entry);
}

absl::Span<const TrustAnchors::Entry> TrustAnchors::WithSubject(const X509_NAME* name) const {
  const auto found = by_subject_.find(X509_NAME_hash(name));
  if (found == by_subject_.end()) return {};
  return found->second;
}

const TrustAnchors::Entry* TrustAnchors::Find(const X509* certificate) const {
  for (const Entry& entry : WithSubject(X509_get_subject_name(certificate))) {
    if (X509_cmp(entry.certificate.get(), certificate) == 0) return &entry;
  }
  return nullptr;
}

}  // namespace trestle
