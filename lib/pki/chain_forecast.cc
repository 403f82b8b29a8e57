#include "lib/pki/chain_forecast.h"

#include <openssl/err.h>

#include <utility>

#include "lib/pki/pki_internals.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/pki/certificate_info.h"

namespace trestle {
namespace {

// The most moments to check. A chain of eight intermediates with as many revocation lists has 20.
constexpr int kMaxMoments = 64;

// Returns the earlier of two ends after `now`.
void Add(PathEnd end, absl::Time now, std::optional<PathEnd>& first) {
  if (end.when <= now || end.when == absl::InfiniteFuture()) return;
  if (!first.has_value() || end.when < first->when) first = std::move(end);
}

void AddCrlEnds(X509_STORE* store, const CertificateChain& path, absl::Time now,
                std::optional<PathEnd>& first) {
  bssl::UniquePtr<X509_STORE_CTX> finder(X509_STORE_CTX_new());
  if (finder == nullptr || !X509_STORE_CTX_init(finder.get(), store, nullptr, nullptr)) return;
  for (const bssl::UniquePtr<X509>& certificate : path) {
    const X509_NAME* issuer = X509_get_issuer_name(certificate.get());
    bssl::UniquePtr<STACK_OF(X509_CRL)> crls(X509_STORE_CTX_get1_crls(finder.get(), issuer));
    if (crls == nullptr) continue;
    for (const X509_CRL* crl : crls.get()) {
      Add({EndOfCrl(crl), ChainPart::kCrl, NameText(issuer)}, now, first);
    }
  }
  ERR_clear_error();
}

}  // namespace

std::optional<FutureFailure> ForecastChain(const CertificateChain& chain,
                                           const ChainRequirements& requirements, absl::Time now) {
  ChainVerdict verdict = VerifyChain(chain, requirements, now);
  for (int i = 0; i < kMaxMoments && !verdict.failure.has_value(); ++i) {
    std::optional<PathEnd> first;
    Add(EndOfPath(verdict.path, verdict.anchored), now, first);
    if (requirements.check_crls) {
      AddCrlEnds(PkiInternals::Native(*requirements.trust), verdict.path, now, first);
    }
    if (!first.has_value()) return std::nullopt;
    now = first->when;
    verdict = VerifyChain(chain, requirements, now);
    if (verdict.failure.has_value()) return ExpiryOf(*std::move(first));
  }
  return std::nullopt;
}

}  // namespace trestle
