// Rows of front_errors_test.cc: a client or a host makes a front leg fail in a certain way, and the
// expected result.
#ifndef TRESTLE_TESTS_PROXY_FRONT_ERROR_ROWS_H_
#define TRESTLE_TESTS_PROXY_FRONT_ERROR_ROWS_H_

#include <functional>
#include <ostream>
#include <vector>

#include "tests/proxy/front_scene.h"
#include "trestle/base/error.h"

namespace trestle::testing {

struct FrontErrorRow {
  const char* name;
  ErrorCode code;
  Phase phase;
  int alert;  ///< The alert that the client receives, or kNoAlert.
  const char* words;
  std::function<void(FrontScene&)> play;
};

inline void PrintTo(const FrontErrorRow& row, std::ostream* out) { *out << row.name; }

/// Returns all rows. A row's name is its test's.
std::vector<FrontErrorRow> FrontErrorRows();

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_PROXY_FRONT_ERROR_ROWS_H_
