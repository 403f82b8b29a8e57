// The units of docs/deploy: systemd reads them without a complaint, finds them tight, and a proxy
// works under their filters of system calls. What needs a running systemd is not tested.

#include <signal.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_FALSE(text.empty()) << path;
  return text;
}

class UnitsTest : public ProxyTest {
 protected:
  // Copies the units, with a program that exists here; returns their paths.
  std::vector<std::string> CopyUnits() const {
    std::vector<std::string> paths;
    for (const char* name : {"trestle.service", "trestle.socket", "trestle-alone.service"}) {
      const std::string text = ReadText(absl::StrCat("docs/deploy/", name));
      paths.push_back(
          WriteFile(name, absl::StrReplaceAll(text, {{"/usr/local/bin/one_port", "/bin/true"}})));
    }
    return paths;
  }

  // Returns a command that applies the filters of a unit to the program behind it.
  std::vector<std::string> Sandbox() const {
    return {"/usr/bin/python3", "tests/e2e/sandbox.py", "docs/deploy/trestle.service"};
  }

  std::vector<std::string> Sandboxed(const std::vector<std::string>& command) const {
    std::vector<std::string> argv = Sandbox();
    argv.insert(argv.end(), command.begin(), command.end());
    return argv;
  }
};

TEST_F(UnitsTest, SystemdReadsThemWithoutAComplaint) {
  std::vector<std::string> argv = {FindProgram("systemd-analyze"), "verify", "--man=no"};
  const std::vector<std::string> units = CopyUnits();
  argv.insert(argv.end(), units.begin(), units.end());
  const CommandResult good = RunCommand(argv, kPatience);
  EXPECT_EQ(good.exit_status, 0) << good.errors;
  for (const std::string& unit : units) EXPECT_THAT(good.errors, Not(HasSubstr(unit)));

  WriteFile("trestle.service", absl::StrCat(ReadText(units.front()), "Unheard=yes\n"));
  EXPECT_THAT(RunCommand(argv, kPatience).errors, HasSubstr("Unheard")) << "it does read them";
}

TEST_F(UnitsTest, SystemdFindsThemTight) {
  for (const std::string& unit : CopyUnits()) {
    if (!absl::EndsWith(unit, ".service")) continue;
    const CommandResult result =
        RunCommand({FindProgram("systemd-analyze"), "security", "--no-pager", "--offline=true",
                    "--threshold=20", unit},
                   kPatience);
    EXPECT_EQ(result.exit_status, 0) << result.output << result.errors;
    EXPECT_THAT(result.output, HasSubstr("Overall exposure level"));
  }
}

TEST_F(UnitsTest, TheFiltersDenyWhatTheyShould) {
  const std::string map =
      "import mmap\n"
      "try:\n  mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)\n  print('mapped')\n"
      "except PermissionError:\n  print('denied')\n";
  EXPECT_EQ(RunCommand({"/usr/bin/python3", "-c", map}, kPatience).output, "mapped\n");
  EXPECT_EQ(RunCommand(Sandboxed({"/usr/bin/python3", "-c", map}), kPatience).output, "denied\n");
  const std::string root =
      "import os\ntry:\n  os.chroot('/')\n  print('done')\nexcept PermissionError:\n  "
      "print('denied')\n";
  EXPECT_EQ(RunCommand(Sandboxed({"/usr/bin/python3", "-c", root}), kPatience).output, "denied\n");
}

TEST_F(UnitsTest, EachKindOfProxyWorksUnderTheFilters) {
  for (const Mode mode : {Mode::kOffload, Mode::kPassthrough, Mode::kBridge}) {
    const auto backend = StartBackend(mode);
    const auto proxy =
        StartProxy(mode, backend->address(), {"--threads=2", "--admin=127.0.0.1:0"}, Sandbox());
    EXPECT_THAT(ReadText(absl::StrCat("/proc/", proxy->process.pid(), "/status")),
                HasSubstr("Seccomp_filters:\t2"));
    EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
    proxy->process.Signal(SIGHUP);
    EXPECT_TRUE(proxy->WaitForLog("reload")) << proxy->log();
    EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
    proxy->process.Signal(SIGTERM);
    EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0) << proxy->log();
  }
}

TEST_F(UnitsTest, TheFirewallWorksUnderTheFilters) {
  const auto backend = StartBackend(Mode::kBridge);
  const auto proxy = StartProgram(
      Sandboxed({ExampleProgram("http_proxy"), "--waf", "--listen=127.0.0.1:0",
                 "--cert=" + PathOf("front.pem"), "--key=" + PathOf("front.key"),
                 "--backend_ca=" + PathOf("ca.pem"),
                 absl::StrCat("--routes=default=https://", backend->address(), "@", kBackName)}));
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
  EXPECT_NE(Curl(proxy->port, "/?q=<script>alert(1)</script>", {"--globoff"}).output,
            "hello from backend");
}

}  // namespace
}  // namespace trestle::e2e
