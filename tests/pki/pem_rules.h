// The rules of every PEM text, checked at any place that reads one.
#ifndef TRESTLE_TESTS_PKI_PEM_RULES_H_
#define TRESTLE_TESTS_PKI_PEM_RULES_H_

#include <functional>
#include <string>

#include "absl/status/status.h"

namespace trestle::testing {

/// A place where PEM is read, with a good text for it.
struct PemPlace {
  std::string what;  ///< How messages name the text.
  std::string good;
  std::function<absl::Status(const std::string&)> read;
};

/// Expects that every "-----BEGIN" is used, or refused with its line, and that text between blocks
/// does no harm.
void ExpectPemRules(const PemPlace& place);

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_PKI_PEM_RULES_H_
