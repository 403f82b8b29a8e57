// A program that links Trestle exports no symbol of BoringSSL in its dynamic symbol table, with
// every linker. So an OpenSSL in the same process works.
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/process.h"

namespace trestle::e2e {
namespace {

using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr absl::Duration kLimit = absl::Seconds(60);

// The global symbols of BoringSSL's archives (boringssl_symbols.txt, which the build lists).
const std::set<std::string>& BoringSslSymbols() {
  static const std::set<std::string>& symbols = *new std::set<std::string>([] {
    std::ifstream list("tests/link/boringssl_symbols.txt");
    return std::set<std::string>(std::istream_iterator<std::string>(list), {});
  }());
  return symbols;
}

std::vector<std::string> ExportedSymbols(const std::string& program) {
  const CommandResult result = RunCommand(
      {FindProgram("nm"), "--dynamic", "--defined-only", "--format=posix", program}, kLimit);
  EXPECT_EQ(result.exit_status, 0) << program << ": " << result.errors;
  std::vector<std::string> symbols;
  for (absl::string_view line : absl::StrSplit(result.output, '\n', absl::SkipEmpty())) {
    symbols.emplace_back(line.substr(0, line.find(' ')));
  }
  return symbols;
}

class SymbolsTest : public ::testing::TestWithParam<const char*> {};

TEST_P(SymbolsTest, NoSymbolOfBoringSslIsExported) {
  ASSERT_THAT(BoringSslSymbols(), ::testing::SizeIs(::testing::Gt(1000)));
  std::vector<std::string> exported;
  for (const std::string& symbol : ExportedSymbols(GetParam())) {
    if (BoringSslSymbols().count(symbol) > 0) exported.push_back(symbol);
  }
  EXPECT_THAT(exported, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Programs, SymbolsTest,
    ::testing::Values("tests/link/openssl_neighbour_bfd", "tests/link/openssl_neighbour_gold",
                      "tests/link/openssl_neighbour_lld", "examples/terminating_proxy",
                      "examples/passthrough_proxy", "examples/bridging_proxy", "examples/one_port",
                      "examples/http_proxy", "examples/leg_probe", "examples/quickstart",
                      "tests/docs/readme_terminator"));

class NeighbourTest : public ::testing::TestWithParam<const char*> {};

TEST_P(NeighbourTest, OpenSslInTheSameProcessWorks) {
  const CommandResult result =
      RunCommand({absl::StrCat("tests/link/openssl_neighbour_", GetParam())}, kLimit);
  EXPECT_EQ(result.exit_status, 0) << result.output << result.errors;
  EXPECT_THAT(result.output, StartsWith("served by OpenSSL/"));
}

INSTANTIATE_TEST_SUITE_P(Linkers, NeighbourTest, ::testing::Values("bfd", "gold", "lld"));

}  // namespace
}  // namespace trestle::e2e
