// ErrorLine: the line of the shim about a failure, which the runner compares with its ErrorMap.
#ifndef TRESTLE_TESTS_BOGO_ERROR_LINE_H_
#define TRESTLE_TESTS_BOGO_ERROR_LINE_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"

namespace trestle::bogo {

/// Returns code and detail. The alert has a line of its own.
inline std::string ErrorLine(const Error& error) {
  return absl::StrCat(EnumName(error.code), ": ", error.detail);
}

}  // namespace trestle::bogo

#endif  // TRESTLE_TESTS_BOGO_ERROR_LINE_H_
