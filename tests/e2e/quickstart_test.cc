// The quickstart: its output, and the effect of the commands that it prints.

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/process.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

constexpr char kQuickstart[] = "examples/quickstart";
constexpr absl::Duration kPatience = absl::Seconds(30);

TEST(QuickstartTest, ShowsAllThreeModes) {
  const CommandResult result = RunCommand({kQuickstart}, kPatience);
  EXPECT_EQ(result.exit_status, 0) << result.output << result.errors;
  EXPECT_EQ(result.errors, "");
  for (const std::string word : {"offload",
                                 "passthrough",
                                 "bridge",
                                 "TlsTerminator",
                                 "SniPassthroughRouter",
                                 "TlsBridge",
                                 "at the proxy only",
                                 "at the backend only",
                                 "and at the backend",
                                 "clear text",
                                 "TLSv1.3",
                                 "X25519MLKEM768",
                                 "shop.example.test",
                                 "hello from plain",
                                 "hello from blue",
                                 "hello from green",
                                 "HTTP/1.1 200 OK",
                                 "GET / HTTP/1.1",
                                 "https://www.example.test/api/orders",
                                 "HTTP/2",
                                 "(the same connection)",
                                 "www.example.test/api -> green"}) {
    EXPECT_THAT(result.output, HasSubstr(word));
  }
}

TEST(QuickstartTest, TheCommandsToTryWork) {
  ASSERT_FALSE(FindProgram("curl").empty());
  ASSERT_FALSE(FindProgram("openssl").empty());
  Process quickstart({kQuickstart, "--serve"});
  ASSERT_TRUE(quickstart.WaitForOutput("Serving until", kPatience)) << quickstart.output();
  int curls = 0;
  int openssls = 0;
  for (const absl::string_view line : absl::StrSplit(quickstart.output(), '\n')) {
    const std::string command(absl::StripAsciiWhitespace(line));
    const bool is_curl = absl::StartsWith(command, "curl ");
    const bool is_openssl = absl::StartsWith(command, "openssl ");
    if (!is_curl && !is_openssl) continue;
    const CommandResult result = RunCommand({"/bin/sh", "-c", command}, kPatience);
    EXPECT_EQ(result.exit_status, 0) << command << "\n" << result.errors;
    EXPECT_THAT(result.output + result.errors,
                HasSubstr(is_curl ? "hello from " : "Verification: OK"))
        << command;
    curls += is_curl;
    openssls += is_openssl;
  }
  EXPECT_EQ(curls, 9);
  EXPECT_EQ(openssls, 6);
  const std::string output = quickstart.output();
  const size_t ca = output.find("--cacert ") + 9;
  const std::string ca_path = output.substr(ca, output.find(' ', ca) - ca);
  EXPECT_TRUE(std::filesystem::exists(ca_path)) << ca_path;
  quickstart.Signal(SIGTERM);
  EXPECT_EQ(quickstart.WaitForExit(kPatience), 0);
  EXPECT_FALSE(std::filesystem::exists(ca_path)) << "the file is deleted";
}

}  // namespace
}  // namespace trestle::e2e
