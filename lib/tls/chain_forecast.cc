#include "lib/tls/chain_forecast.h"

#include <openssl/err.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/tls/certificate_info.h"
#include "lib/tls/chain_path.h"

namespace trestle {
namespace {

// Moments that are looked at. A chain of eight intermediates with as many revocation lists has 20.
constexpr int kMaxMoments = 64;

absl::Time ReadTime(const ASN1_TIME* time, absl::Time if_none) {
  int64_t seconds = 0;
  if (time == nullptr || !ASN1_TIME_to_posix(time, &seconds)) return if_none;
  return absl::FromUnixSeconds(seconds);
}

std::string Date(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d", time, absl::UTCTimeZone());
}

// One date on which the verifier may change its mind.
struct Moment {
  absl::Time when;
  FutureFailure failure;  // What it will say, if it does.
};

// What ends at `when`, as a sentence.
FutureFailure EndOf(ChainPart part, const X509_NAME* name, absl::Time when) {
  FutureFailure failure;
  failure.when = when;
  failure.part = part;
  failure.subject = NameText(name);
  failure.detail =
      absl::StrCat(part == ChainPart::kCrl ? "the revocation list of" : ChainPartName(part), " \"",
                   failure.subject, "\" expires on ", Date(when));
  return failure;
}

class MomentList {
 public:
  explicit MomentList(absl::Time after) : after_(after) {}

  void Add(absl::Time when, FutureFailure failure) {
    if (when <= after_ || when == absl::InfiniteFuture()) return;
    if (!first_.has_value() || when < first_->when) first_ = Moment{when, std::move(failure)};
  }

  const std::optional<Moment>& first() const { return first_; }

 private:
  const absl::Time after_;
  std::optional<Moment> first_;
};

ChainPart PartAt(size_t index, const ChainPath& path) {
  if (index == 0) return ChainPart::kLeaf;
  return path.trusted && index + 1 == path.certificates.size() ? ChainPart::kRoot
                                                               : ChainPart::kIntermediate;
}

void AddCertificateEnds(const ChainPath& path, MomentList& moments) {
  for (size_t i = 0; i < path.certificates.size(); ++i) {
    const X509* certificate = path.certificates[i].get();
    const absl::Time end = ReadTime(X509_get0_notAfter(certificate), absl::InfiniteFuture());
    moments.Add(end, EndOf(PartAt(i, path), X509_get_subject_name(certificate), end));
  }
}

void AddCrlEnds(X509_STORE* store, const ChainPath& path, MomentList& moments) {
  bssl::UniquePtr<X509_STORE_CTX> finder(X509_STORE_CTX_new());
  if (finder == nullptr || !X509_STORE_CTX_init(finder.get(), store, nullptr, nullptr)) return;
  for (const bssl::UniquePtr<X509>& certificate : path.certificates) {
    const X509_NAME* issuer = X509_get_issuer_name(certificate.get());
    bssl::UniquePtr<STACK_OF(X509_CRL)> crls(X509_STORE_CTX_get1_crls(finder.get(), issuer));
    if (crls == nullptr) continue;
    for (const X509_CRL* crl : crls.get()) {
      const absl::Time end = ReadTime(X509_CRL_get0_nextUpdate(crl), absl::InfiniteFuture());
      moments.Add(end, EndOf(ChainPart::kCrl, issuer, end));
    }
  }
  ERR_clear_error();
}

}  // namespace

std::optional<FutureFailure> ForecastChain(const CertificateChain& chain,
                                           const ChainRequirements& requirements, absl::Time now) {
  if (VerifyChain(chain, requirements, now).has_value()) return std::nullopt;
  absl::Time at = now;
  for (int i = 0; i < kMaxMoments; ++i) {
    const ChainPath path = FindChainPath(chain, {}, requirements.roots, at);
    MomentList moments(at);
    AddCertificateEnds(path, moments);
    if (requirements.check_crls) AddCrlEnds(requirements.roots, path, moments);
    if (!moments.first().has_value()) return std::nullopt;
    at = moments.first()->when;
    if (VerifyChain(chain, requirements, at).has_value()) return moments.first()->failure;
  }
  return std::nullopt;
}

}  // namespace trestle
