// CHECK, which Abseil provides only since its release of 2023 (absl/log). If the condition is
// false, the program prints the place and aborts.
#ifndef TRESTLE_LIB_TESTING_CHECK_H_
#define TRESTLE_LIB_TESTING_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace trestle::testing {

[[noreturn]] inline void FailCheck(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace trestle::testing

#define CHECK(condition)              \
  ((condition) ? static_cast<void>(0) \
               : ::trestle::testing::FailCheck(__FILE__, __LINE__, #condition))

#endif  // TRESTLE_LIB_TESTING_CHECK_H_
