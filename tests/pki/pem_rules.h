// The rules of every PEM text, for any reader of PEM.
#ifndef TRESTLE_TESTS_PKI_PEM_RULES_H_
#define TRESTLE_TESTS_PKI_PEM_RULES_H_

#include <functional>
#include <string>

#include "absl/status/status.h"

namespace trestle::testing {

/// A reader of PEM, with a valid text for it.
struct PemPlace {
  std::string what;  ///< The name of the text in messages.
  std::string good;
  std::function<absl::Status(const std::string&)> read;
};

/// Expects that every "-----BEGIN" is used, or rejected with its line, and that text between blocks
/// is harmless.
void ExpectPemRules(const PemPlace& place);

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_PKI_PEM_RULES_H_
