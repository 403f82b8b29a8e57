// The flags --public_ca, the collection of public roots by which chains are judged public, and
// --dropped_roots; and the text of findings.
#ifndef TRESTLE_EXAMPLES_SUPPORT_PUBLIC_ROOTS_H_
#define TRESTLE_EXAMPLES_SUPPORT_PUBLIC_ROOTS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trestle/pki/finding.h"
#include "trestle/pki/trust_store.h"

namespace trestle::examples {

/// Returns the collection; null for none. Reads it once, and later returns the same. Fails if the
/// flag names a path that can't be used.
absl::StatusOr<std::shared_ptr<const TrustStore>> PublicRoots();

/// Returns the roots of --dropped_roots in the same way; null without the flag.
absl::StatusOr<std::shared_ptr<const TrustStore>> DroppedRoots();

/// Fails as `PublicRoots` does, and reads nothing without the flag: for a start that may not need
/// the collection. Fails for --dropped_roots, too.
absl::Status CheckPublicRoots();

/// Returns a finding as one line: "the certificate … is signed with SHA-1 … [sha1_signature]".
std::string TextOf(const Finding& finding);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_PUBLIC_ROOTS_H_
