// Two minutes of bench/soak: load, reloads, backends that die and return, and badly behaved
// clients. No request fails, and the proxies don't grow.
#include <iostream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/process.h"

namespace trestle::e2e {
namespace {

TEST(SoakTest, TwoMinutes) {
  // A sanitizer's own memory grows with each allocation.
  const CommandResult result =
      RunCommand({"bench/soak/soak", "--time=2m",
                  kSanitized ? "--max_growth_kib=1e9" : "--max_growth_kib=2048"},
                 absl::Minutes(4));
  std::cout << result.output;
  EXPECT_EQ(result.exit_status, 0) << result.errors;
  EXPECT_THAT(result.output, ::testing::HasSubstr(" requests, 0 failed\n"));
}

}  // namespace
}  // namespace trestle::e2e
