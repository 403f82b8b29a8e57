// SpiffeId: the name of a workload in a trust domain (SPIFFE-ID), such as
// spiffe://example.org/billing/api. Certificates carry it as their only URI.
#ifndef TRESTLE_PKI_SPIFFE_ID_H_
#define TRESTLE_PKI_SPIFFE_ID_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace trestle {

struct SpiffeId {
  static constexpr size_t kMaxBytes = 2048;
  static constexpr size_t kMaxTrustDomainBytes = 255;

  std::string trust_domain;  ///< "example.org".
  std::string path;          ///< "/billing/api"; empty for the trust domain itself.

  /// Parses an ID (SPIFFE-ID 2). Fails with ErrorCode::kConfiguration and the fault.
  static absl::StatusOr<SpiffeId> Parse(absl::string_view text);

  std::string ToString() const;
};

/// Checks a pattern of IDs: an ID, or a prefix of its path that ends in "/*", as in
/// spiffe://example.org/billing/*. The trust domain is always whole. Fails with
/// ErrorCode::kConfiguration.
absl::Status CheckSpiffePattern(absl::string_view pattern);

/// Returns whether an exact URI, or a prefix that ends in "/*", covers `uri`. The part behind the
/// prefix is not empty and has no ".." as a segment.
bool CoversUri(absl::string_view pattern, absl::string_view uri);

}  // namespace trestle

#endif  // TRESTLE_PKI_SPIFFE_ID_H_
