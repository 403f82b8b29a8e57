// Finding: one thing about a certificate, a leg or a reload that an operator should know.
#ifndef TRESTLE_PKI_FINDING_H_
#define TRESTLE_PKI_FINDING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace trestle {

enum class Severity : uint8_t {
  kFine,
  kNote,      ///< Informative; causes no failure.
  kWarning,   ///< Will fail, or already fails for some peers.
  kCritical,  ///< A connection fails, or will within the critical time of `ExpiryAlarms`.
};

/// Returns the name of a severity in lower case: "warning".
absl::string_view EnumName(Severity severity);

struct Finding {
  Severity severity = Severity::kNote;
  std::string code;    ///< A stable name for programs, in snake_case.
  std::string text;    ///< The finding: a sentence without a full stop.
  std::string advice;  ///< The action to take; may be empty.
};

/// Returns the highest severity; kFine if `findings` is empty.
Severity WorstOf(const std::vector<Finding>& findings);

/// Puts the most severe first, and keeps the order of equal ones.
void SortFindings(std::vector<Finding>& findings);

}  // namespace trestle

#endif  // TRESTLE_PKI_FINDING_H_
