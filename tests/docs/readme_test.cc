// README.md's programs: built as printed (see BUILD.bazel), short, and linked only with the
// libraries that they need.
#include <algorithm>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/linux/file.h"

namespace trestle {
namespace {

constexpr size_t kMostLines = 25;
constexpr size_t kMostProgramBytes = 256 * 1024 * 1024;

// A part of BoringSSL's own name, in every program that links it.
constexpr char kBoringSslMark[] = "BoringSSL";

std::string Contents(const std::string& name) {
  absl::StatusOr<std::string> text = ReadFile("tests/docs/" + name, kMostProgramBytes);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.value_or("");
}

class ReadmeTest : public ::testing::TestWithParam<const char*> {};

TEST_P(ReadmeTest, TheProgramIsShort) {
  const std::string source = Contents(std::string(GetParam()) + ".cc");
  EXPECT_THAT(source, ::testing::HasSubstr("int main()"));
  EXPECT_LE(static_cast<size_t>(std::count(source.begin(), source.end(), '\n')), kMostLines);
}

TEST_P(ReadmeTest, OnlyBlocksWithTlsLinkATlsLibrary) {
  const bool linked = Contents(GetParam()).find(kBoringSslMark) != std::string::npos;
  EXPECT_EQ(linked, std::string(GetParam()) != "readme_router");
}

INSTANTIATE_TEST_SUITE_P(Programs, ReadmeTest,
                         ::testing::Values("readme_terminator", "readme_router", "readme_bridge"));

}  // namespace
}  // namespace trestle
