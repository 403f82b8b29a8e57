// FromHex: converts hexadecimal text to bytes.
#ifndef TRESTLE_TESTS_SUPPORT_HEX_H_
#define TRESTLE_TESTS_SUPPORT_HEX_H_

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace trestle::testing {

// Returns the bytes; the test fails if `hex` is malformed.
inline std::string FromHex(absl::string_view hex) {
  std::string bytes;
  EXPECT_TRUE(absl::HexStringToBytes(hex, &bytes)) << hex;
  return bytes;
}

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_SUPPORT_HEX_H_
