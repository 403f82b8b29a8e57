// docs/embedding.md: its programs are built as printed (see BUILD.bazel), and it names each library
// and each option of the build by CMake.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/builds/cmake_calls.h"
#include "trestle/linux/file.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string Contents(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.value_or("");
}

class EmbeddingProgramTest : public ::testing::TestWithParam<const char*> {};

TEST_P(EmbeddingProgramTest, TheProgramIsComplete) {
  const std::string source = Contents(absl::StrCat("tests/docs/embedding_", GetParam(), ".cc"));
  EXPECT_THAT(source, HasSubstr("int main()"));
  EXPECT_THAT(source, HasSubstr("loop->Run();"));
}

INSTANTIATE_TEST_SUITE_P(Programs, EmbeddingProgramTest,
                         ::testing::Values("transport", "dialer", "signer", "inspector",
                                           "certificates"));

TEST(EmbeddingTest, EachProgramOfThePageIsBuilt) {
  const std::vector<std::string> parts =
      absl::StrSplit(Contents("docs/embedding.md"), "\n```cpp\n");
  EXPECT_THAT(parts, SizeIs(1 + 5));
}

TEST(EmbeddingTest, EachLibraryIsNamed) {
  const std::string page = Contents("docs/embedding.md");
  const std::vector<builds::CMakeCall> libraries =
      builds::ReadCMakeCalls(Contents("cmake/libraries.cmake"), "trestle_library");
  ASSERT_FALSE(libraries.empty());
  for (const builds::CMakeCall& library : libraries) {
    if (library.name == "testing_tls") continue;  // Comes with trestle::testing.
    EXPECT_THAT(page, HasSubstr(absl::StrCat("trestle::", library.name, "`")));
  }
}

TEST(EmbeddingTest, EachOptionIsNamed) {
  const std::string page = Contents("docs/embedding.md");
  int options = 0;
  for (absl::string_view line : absl::StrSplit(Contents("CMakeLists.txt"), '\n')) {
    if (!absl::ConsumePrefix(&line, "option(") && !absl::ConsumePrefix(&line, "set(")) continue;
    const absl::string_view name = line.substr(0, line.find(' '));
    if (!absl::StartsWith(name, "TRESTLE_")) continue;
    ++options;
    EXPECT_THAT(page, HasSubstr(absl::StrCat("| `", name, "` |")));
  }
  EXPECT_GE(options, 7);
}

}  // namespace
}  // namespace trestle
