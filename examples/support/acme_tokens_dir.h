// AcmeTokensFromFlags: the folder in which an ACME client leaves its tokens (--acme_tokens_dir).
#ifndef TRESTLE_EXAMPLES_SUPPORT_ACME_TOKENS_DIR_H_
#define TRESTLE_EXAMPLES_SUPPORT_ACME_TOKENS_DIR_H_

#include <memory>

#include "absl/status/statusor.h"
#include "trestle/tls/acme_tokens.h"

namespace trestle::examples {

/// Makes tokens that are read when somebody comes with a challenge, so that the ACME server may
/// come at once after the file was written. Null without the flag.
absl::StatusOr<std::shared_ptr<AcmeTokens>> AcmeTokensFromFlags();

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_ACME_TOKENS_DIR_H_
