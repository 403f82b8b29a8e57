// When a chain will first fail because of a date, as far as its certificates are known.
#ifndef TRESTLE_LIB_WATCH_CHAIN_ENDS_H_
#define TRESTLE_LIB_WATCH_CHAIN_ENDS_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "trestle/base/leg.h"
#include "trestle/pki/certificate_info.h"
#include "trestle/pki/chain_checker.h"

namespace trestle {

/// Returns the first expiry on a path that a probe found. With `anchored`, the last certificate is
/// the trust anchor. Empty for an empty path.
std::optional<FutureFailure> EndOfPath(absl::Span<const CertificateInfo> path, bool anchored);

/// Returns the first expiry on the path that a connection verified. For a chain that was not
/// verified, returns the expiry of its leaf. Empty for an empty chain.
std::optional<FutureFailure> EndOfSeen(const ChainInfo& chain);

/// Returns the first expiry of an own chain, which has at least a leaf. It covers the leaf, its
/// issuer, and the issuers above, except for the last. The last may be the cross-certificate of a
/// root, which most clients don't need.
FutureFailure EndOfOwn(absl::Span<const CertificateInfo> chain);

/// Returns kCertificateExpired before `leaf` of `leg` is valid, else OK. The forecast has its
/// expiry.
absl::Status NotYetValidStatus(const CertificateInfo& leaf, Leg leg, absl::Time now);

}  // namespace trestle

#endif  // TRESTLE_LIB_WATCH_CHAIN_ENDS_H_
