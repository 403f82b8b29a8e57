// The flags of BoGo's runner that have no meaning for Trestle, each with the reason.
#ifndef TRESTLE_TESTS_BOGO_UNMAPPED_H_
#define TRESTLE_TESTS_BOGO_UNMAPPED_H_

#include <string>

#include "absl/strings/string_view.h"

namespace trestle::bogo {

/// Returns why the flag `name` can't be mapped. For a flag that no list has, the reason says so.
std::string WhyUnmapped(absl::string_view name);

}  // namespace trestle::bogo

#endif  // TRESTLE_TESTS_BOGO_UNMAPPED_H_
