// PassphraseCallback: where the passphrases of encrypted private keys come from.
#ifndef TRESTLE_TLS_PASSPHRASE_H_
#define TRESTLE_TLS_PASSPHRASE_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace trestle {

/// Tells the passphrase of the private key that `name` names: a file, or whatever it came from. The
/// copy that it returns is wiped after use. What it fails with is what loading the key fails with.
using PassphraseCallback = absl::AnyInvocable<absl::StatusOr<std::string>(absl::string_view name)>;

}  // namespace trestle

#endif  // TRESTLE_TLS_PASSPHRASE_H_
