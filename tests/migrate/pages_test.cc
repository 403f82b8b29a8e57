// The pages of docs/migrate name flags that exist, and files that exist.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
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

namespace trestle::e2e {
namespace {

using ::testing::Contains;

constexpr char kPages[] = "docs/migrate";

std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

// Returns the flags in `text`, without values.
std::set<std::string> FlagsIn(absl::string_view text) {
  std::set<std::string> flags;
  size_t at = 0;
  while ((at = text.find("--", at)) != absl::string_view::npos) {
    const size_t begin = at + 2;
    const size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_", begin);
    at = begin;
    const std::string name(text.substr(begin, end == absl::string_view::npos ? end : end - begin));
    if (!name.empty()) flags.insert(name);
  }
  return flags;
}

// Returns the text without the first column of tables, which has the settings of others.
std::string OurPart(absl::string_view page) {
  std::string ours;
  for (absl::string_view line : absl::StrSplit(page, '\n')) {
    if (absl::StartsWith(line, "| ")) {
      const size_t second = line.find(" | ");
      line = second == absl::string_view::npos ? absl::string_view() : line.substr(second);
    }
    absl::StrAppend(&ours, line, "\n");
  }
  return ours;
}

std::set<std::string> AllFlags() {
  std::set<std::string> flags;
  for (const char* program :
       {"terminating_proxy", "passthrough_proxy", "bridging_proxy", "one_port", "http_proxy"}) {
    const CommandResult help = RunCommand({ExampleProgram(program), "--help"}, kPatience);
    EXPECT_EQ(help.exit_status, 0) << program;
    for (const absl::string_view line : absl::StrSplit(help.output, '\n')) {
      if (!absl::StartsWith(line, "  --")) continue;
      const std::set<std::string> in_line = FlagsIn(line.substr(0, line.find(' ', 2)));
      flags.insert(in_line.begin(), in_line.end());
    }
  }
  return flags;
}

TEST(PagesTest, EachFlagExists) {
  const std::set<std::string> flags = AllFlags();
  ASSERT_THAT(flags, Contains("backend_ca"));
  ASSERT_FALSE(flags.count("backend_cas"));
  int pages = 0;
  for (const auto& file : std::filesystem::directory_iterator(kPages)) {
    const std::string extension = file.path().extension();
    if (extension != ".md" && extension != ".sh") continue;
    ++pages;
    const std::string text = ReadText(file.path());
    for (const std::string& flag : FlagsIn(extension == ".md" ? OurPart(text) : text)) {
      if (flag != "help") EXPECT_THAT(flags, Contains(flag)) << file.path();
    }
  }
  EXPECT_GE(pages, 15);
}

TEST(PagesTest, EachTableHasThreeColumns) {
  for (const auto& file : std::filesystem::directory_iterator(kPages)) {
    if (file.path().extension() != ".md" || file.path().filename() == "README.md") continue;
    for (const absl::string_view line : absl::StrSplit(ReadText(file.path()), '\n')) {
      if (!absl::StartsWith(line, "|")) continue;
      const std::vector<absl::string_view> cells = absl::StrSplit(line, '|');
      EXPECT_EQ(cells.size(), 5u) << file.path() << ": " << line;
    }
  }
}

TEST(PagesTest, EachLinkLeadsToAFile) {
  for (const auto& file : std::filesystem::directory_iterator(kPages)) {
    if (file.path().extension() != ".md") continue;
    const std::vector<std::string> parts = absl::StrSplit(ReadText(file.path()), "](");
    for (size_t i = 1; i < parts.size(); ++i) {
      const std::string target = parts[i].substr(0, parts[i].find_first_of(")#"));
      // Files outside this folder are not among the test's data.
      if (absl::StartsWith(target, "../")) continue;
      EXPECT_TRUE(std::filesystem::exists(absl::StrCat(kPages, "/", target)))
          << file.path() << ": " << target;
    }
  }
}

}  // namespace
}  // namespace trestle::e2e
