// AcmeTokensFromFlags: the directory of an ACME client's tokens (--acme_tokens_dir).
#ifndef TRESTLE_EXAMPLES_SUPPORT_ACME_TOKENS_DIR_H_
#define TRESTLE_EXAMPLES_SUPPORT_ACME_TOKENS_DIR_H_

#include <memory>

#include "absl/status/statusor.h"
#include "trestle/tls/acme_tokens.h"

namespace trestle::examples {

/// Creates tokens that are read on each challenge, so that the ACME server may connect as soon as
/// the file is written. Null without the flag.
absl::StatusOr<std::shared_ptr<AcmeTokens>> AcmeTokensFromFlags();

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_ACME_TOKENS_DIR_H_
