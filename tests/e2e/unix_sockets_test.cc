// The example proxies on Unix-domain sockets, with curl as the client and haproxy as the backend.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_programs.h"
#include "tests/support/socket_folder.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

class UnixSocketsTest : public ServerProgramsTest {
 protected:
  std::string Socket(const std::string& name) const { return folder_.PathOf(name); }

  // Starts the proxy of a mode on the socket `name`, and waits until it listens.
  std::unique_ptr<ProxyProcess> StartOn(const std::string& name, Mode mode,
                                        const std::string& backend,
                                        const std::vector<std::string>& more_flags = {}) {
    std::vector<std::string> argv = {ExampleProgram(ProgramOf(mode))};
    for (const std::string& flag : FlagsFor(mode, backend)) argv.push_back(flag);
    argv.push_back(absl::StrCat("--listen=unix:", Socket(name)));
    argv.push_back("--log_connections=text");
    argv.insert(argv.end(), more_flags.begin(), more_flags.end());
    auto proxy = std::make_unique<ProxyProcess>(argv);
    EXPECT_TRUE(proxy->WaitForLog(absl::StrCat("listening on unix:", Socket(name))))
        << proxy->log();
    return proxy;
  }

  CommandResult CurlOn(const std::string& name, const std::string& path,
                       const std::vector<std::string>& more_flags = {}) {
    std::vector<std::string> flags = {"--unix-socket", Socket(name)};
    flags.insert(flags.end(), more_flags.begin(), more_flags.end());
    return Curl(443, path, flags);
  }

  void ExpectHello(const std::string& name) {
    const CommandResult result = CurlOn(name, "/hello");
    EXPECT_EQ(result.exit_status, 0) << result.errors;
    EXPECT_EQ(result.output, "hello from backend");
  }

  const SocketFolder folder_;
};

TEST_F(UnixSocketsTest, EachModeServesCurlOnASocket) {
  for (const Mode mode : {Mode::kOffload, Mode::kPassthrough, Mode::kBridge}) {
    const auto backend = StartBackend(mode);
    const auto proxy = StartOn("front", mode, backend->address());
    ExpectHello("front");
    EXPECT_TRUE(proxy->WaitForLog(" client=unix: ")) << proxy->log();
  }
}

// Three proxies in a chain, connected by sockets, with PROXY headers.
TEST_F(UnixSocketsTest, ProxiesReachEachOtherThroughSockets) {
  const auto backend = StartBackend(Mode::kOffload);
  const auto inner = StartOn("inner", Mode::kOffload, backend->address(),
                             {"--proxy_protocol=in:unix:", "--threads=2"});
  const auto outer = StartProxy(Mode::kPassthrough, absl::StrCat("unix:", Socket("inner")),
                                {"--proxy_protocol=out:v2"});
  const CommandResult result = Curl(outer->port, "/bytes/5000000", {"--output", "/dev/null"});
  EXPECT_EQ(result.exit_status, 0) << result.errors;
  // The inner proxy reports the client and the proxy before it.
  EXPECT_TRUE(inner->WaitForLog("via=unix:")) << inner->log();
  EXPECT_THAT(inner->log(), HasSubstr("127.0.0.1:"));
}

TEST_F(UnixSocketsTest, HaproxyBehindASocketReceivesTheClientsAddress) {
  const uint16_t port = FreePort();  // Shows the test that haproxy is ready.
  const auto receiver = StartHaproxy(
      absl::StrCat("frontend told\n  bind unix@", Socket("haproxy"),
                   " accept-proxy\n  bind 127.0.0.1:", port,
                   "\n  http-request return status 200 content-type text/plain lf-string ",
                   "\"told %[src]:%[src_port]\"\n"),
      port);
  for (const char* version : {"v1", "v2"}) {
    const auto tcp = StartProxy(Mode::kOffload, absl::StrCat("unix:", Socket("haproxy")),
                                {absl::StrCat("--proxy_protocol=out:", version)});
    EXPECT_THAT(Curl(tcp->port, "/").output, HasSubstr("told 127.0.0.1:"));
    // A client on a socket has no address to report; haproxy accepts the header.
    const auto local = StartOn("front", Mode::kOffload, absl::StrCat("unix:", Socket("haproxy")),
                               {absl::StrCat("--proxy_protocol=out:", version)});
    const CommandResult result = CurlOn("front", "/");
    EXPECT_EQ(result.exit_status, 0) << result.errors;
    EXPECT_THAT(result.output, HasSubstr("told "));
  }
}

TEST_F(UnixSocketsTest, TheFileExistsWhileTheProxyRuns) {
  const auto backend = StartBackend(Mode::kOffload);
  auto proxy = StartOn("front", Mode::kOffload, backend->address());
  struct stat file = {};
  ASSERT_EQ(stat(Socket("front").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777u, 0600u);
  Process second(
      {ExampleProgram(ProgramOf(Mode::kOffload)), absl::StrCat("--listen=unix:", Socket("front")),
       absl::StrCat("--cert=", PathOf("front.pem")), absl::StrCat("--key=", PathOf("front.key")),
       absl::StrCat("--backend=", backend->address())});
  EXPECT_EQ(second.WaitForExit(kPatience), 1);
  EXPECT_THAT(second.errors(), HasSubstr("is in use by another program"));
  ExpectHello("front");
  proxy->process.Signal(SIGTERM);
  EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0);
  EXPECT_NE(access(Socket("front").c_str(), F_OK), 0);
  // A killed proxy leaves its file, which the next one replaces.
  proxy = StartOn("front", Mode::kOffload, backend->address());
  proxy->process.Signal(SIGKILL);
  proxy->process.WaitForExit(kPatience);
  EXPECT_EQ(access(Socket("front").c_str(), F_OK), 0);
  proxy = StartOn("front", Mode::kOffload, backend->address());
  ExpectHello("front");
}

TEST_F(UnixSocketsTest, ASuccessorTakesOverWithoutALostRequest) {
  const auto backend = StartBackend(Mode::kOffload);
  auto proxy = StartOn("front", Mode::kOffload, backend->address(), {"--threads=2"});
  std::atomic<bool> stop = false;
  std::atomic<int> answers = 0;
  std::atomic<int> failures = 0;
  std::thread client([&] {
    while (!stop) (CurlOn("front", "/hello").exit_status == 0 ? answers : failures)++;
  });
  for (int i = 0; i < 3; ++i) {
    const int before = answers;
    auto successor =
        StartOn("front", Mode::kOffload, backend->address(), {"--threads=2", "--join"});
    proxy->process.Signal(SIGTERM);
    EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0);
    proxy = std::move(successor);
    EXPECT_TRUE(WaitUntil([&] { return answers > before + 3; }));
  }
  stop = true;
  client.join();
  EXPECT_EQ(failures, 0);
}

}  // namespace
}  // namespace trestle::e2e
