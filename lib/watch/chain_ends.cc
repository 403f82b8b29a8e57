#include "lib/watch/chain_ends.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

FutureFailure EndOf(const CertificateInfo& certificate, ChainPart part) {
  return ExpiryOf({certificate.not_after, part, certificate.subject});
}

void KeepEarlier(FutureFailure failure, FutureFailure& earliest) {
  if (failure.when < earliest.when) earliest = std::move(failure);
}

// Returns the issuer of `subject` in `chain` that is valid longest, or null.
const CertificateInfo* IssuerIn(absl::Span<const CertificateInfo> chain,
                                const CertificateInfo& subject) {
  const CertificateInfo* found = nullptr;
  if (subject.issuer == subject.subject) return found;
  for (const CertificateInfo& other : chain) {
    if (other.subject != subject.issuer) continue;
    if (found == nullptr || other.not_after > found->not_after) found = &other;
  }
  return found;
}

}  // namespace

std::optional<FutureFailure> EndOfPath(absl::Span<const CertificateInfo> path, bool anchored) {
  if (path.empty()) return std::nullopt;
  FutureFailure earliest = EndOf(path.front(), ChainPart::kLeaf);
  for (size_t i = 1; i < path.size(); ++i) {
    const bool anchor = anchored && i + 1 == path.size();
    KeepEarlier(EndOf(path[i], anchor ? ChainPart::kRoot : ChainPart::kIntermediate), earliest);
  }
  return earliest;
}

std::optional<FutureFailure> EndOfSeen(const ChainInfo& chain) {
  if (chain.empty()) return std::nullopt;
  if (std::optional<PathEnd> end = chain.path_end()) return ExpiryOf(*std::move(end));
  return EndOf(chain.front(), ChainPart::kLeaf);
}

FutureFailure EndOfOwn(absl::Span<const CertificateInfo> chain) {
  FutureFailure earliest = EndOf(chain.front(), ChainPart::kLeaf);
  const CertificateInfo* issuer = IssuerIn(chain, chain.front());
  for (size_t steps = 1; issuer != nullptr && steps < chain.size(); ++steps) {
    const CertificateInfo* const next = IssuerIn(chain, *issuer);
    if (steps == 1 || next != nullptr) {
      KeepEarlier(EndOf(*issuer, ChainPart::kIntermediate), earliest);
    }
    issuer = next;
  }
  return earliest;
}

absl::Status NotYetValidStatus(const CertificateInfo& leaf, Leg leg, absl::Time now) {
  if (leaf.not_before <= now) return absl::OkStatus();
  return MakeError(ErrorCode::kCertificateExpired, leg, Phase::kHandshake,
                   absl::StrCat("certificate \"", leaf.subject, "\" is not valid before ",
                                absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", leaf.not_before,
                                                 absl::UTCTimeZone())));
}

}  // namespace trestle
