// --help and --version of every program.

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/process.h"
#include "tests/e2e/proxy_test.h"
#include "trestle/version.h"

namespace trestle::e2e {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr size_t kColumns = 100;
constexpr size_t kTextColumn = 30;

// Returns the width in characters, not bytes.
size_t WidthOf(absl::string_view line) {
  size_t width = 0;
  for (const char c : line) width += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return width;
}

class HelpTest : public ::testing::TestWithParam<const char*> {
 protected:
  CommandResult Run(const std::string& flag) const {
    return RunCommand({GetParam(), flag}, kPatience);
  }
};

INSTANTIATE_TEST_SUITE_P(
    Programs, HelpTest,
    ::testing::Values("examples/terminating_proxy", "examples/passthrough_proxy",
                      "examples/bridging_proxy", "examples/one_port", "examples/http_proxy",
                      "examples/key_server", "examples/leg_probe", "examples/ech_tool",
                      "examples/quickstart", "examples/tls_echo", "examples/tls_fetch",
                      "bench/bridge", "bench/certificates", "bench/ech", "bench/handshake",
                      "bench/hello", "bench/record", "bench/routes", "bench/signing",
                      "bench/peers/peers", "bench/peers/growth", "bench/peers/loops"),
    [](const auto& info) {
      const absl::string_view path = info.param;
      return std::string(path.substr(path.rfind('/') + 1));
    });

TEST_P(HelpTest, IsGroupedAlignedAndFitsTheScreen) {
  const CommandResult help = Run("--help");
  EXPECT_EQ(help.exit_status, 0);
  EXPECT_EQ(help.errors, "");
  int flags = 0;
  int groups = 0;
  bool in_groups = false;
  for (const absl::string_view line : absl::StrSplit(help.output, '\n')) {
    EXPECT_LE(WidthOf(line), kColumns) << line;
    const bool is_flag = absl::StartsWith(line, "  --");
    in_groups |= is_flag;
    if (is_flag) ++flags;
    if (absl::EndsWith(line, ":") && !absl::StartsWith(line, " ")) ++groups;
    if (!in_groups || !absl::StartsWith(line, " ")) continue;
    // A line has a name alone, or text in the text column.
    const bool alone = is_flag && !absl::StrContains(line.substr(2), ' ');
    EXPECT_TRUE(alone || (line.size() > kTextColumn && line[kTextColumn] != ' ' &&
                          line[kTextColumn - 1] == ' '))
        << line;
  }
  EXPECT_GE(flags, 2);
  EXPECT_GE(groups, 2);
  EXPECT_THAT(help.output, Not(HasSubstr("Other flags"))) << "help_text.cc lists the subjects";
}

TEST_P(HelpTest, TheVersionNamesBoringsslAndTheBuild) {
  const CommandResult version = Run("--version");
  EXPECT_EQ(version.exit_status, 0);
  const std::string path = GetParam();
  EXPECT_THAT(version.output,
              StartsWith(absl::StrCat(path.substr(path.rfind('/') + 1), " ", kVersion, "\n")));
  EXPECT_THAT(version.output, ContainsRegex("\nBoringSSL [0-9a-f]{40}\n"));
  EXPECT_THAT(version.output,
              ContainsRegex("\nbuilt by (Clang|GCC) [0-9.]+, C\\+\\+[0-9]+, .*optimised"));
}

}  // namespace
}  // namespace trestle::e2e
