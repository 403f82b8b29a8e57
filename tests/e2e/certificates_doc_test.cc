// Runs docs/certificates.md: every line of its shell blocks, in order.

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_programs.h"
#include "tests/e2e/shell_blocks.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

class CertificatesDocTest : public ServerProgramsTest {};

TEST_F(CertificatesDocTest, EveryCommandWorks) {
  const std::string shell = absl::StrJoin(ShellBlocks("docs/certificates.md"), "");
  ASSERT_THAT(shell, HasSubstr("leg_probe --front="));
  // The ports of the text may be in use on this machine.
  const std::vector<uint16_t> ports = FreePorts(3);
  const std::string script =
      absl::StrReplaceAll(shell, {{"127.0.0.1:8443", absl::StrCat("127.0.0.1:", ports[0])},
                                  {"127.0.0.1:9443", absl::StrCat("127.0.0.1:", ports[1])},
                                  {"127.0.0.1:9100", absl::StrCat("127.0.0.1:", ports[2])}});
  char* const here = realpath("examples", nullptr);
  ASSERT_NE(here, nullptr);
  // Ends all started processes in every case.
  const std::string path = WriteFile(
      "run.sh",
      absl::StrCat("set -eu\ncd ", PathOf(""), "\nPATH=", here,
                   ":$PATH\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\nset -x\n", script));
  free(here);
  const CommandResult result = RunCommand({"/bin/bash", path}, 3 * kPatience);
  EXPECT_EQ(result.exit_status, 0) << result.errors << "\n" << result.output;
  EXPECT_THAT(result.output, HasSubstr("\"CN=issuing\" expires on "));
  EXPECT_THAT(result.output, HasSubstr("trestle_reload_generation 2"));
}

}  // namespace
}  // namespace trestle::e2e
