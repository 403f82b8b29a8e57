// PassphraseCallback: supplies the passphrases of encrypted private keys.
#ifndef TRESTLE_PKI_PASSPHRASE_H_
#define TRESTLE_PKI_PASSPHRASE_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace trestle {

/// Returns the passphrase of the private key called `name`, for example a file's name. The library
/// wipes the returned copy after use. Loading the key fails with the callback's failure. Runs on
/// the thread that loads the key.
using PassphraseCallback = absl::AnyInvocable<absl::StatusOr<std::string>(absl::string_view name)>;

}  // namespace trestle

#endif  // TRESTLE_PKI_PASSPHRASE_H_
