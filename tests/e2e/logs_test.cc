// The logs of the example programs: a blocked reader, files with secrets, and rotation.

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"
#include "trestle/linux/owned_fd.h"

namespace trestle::e2e {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class LogsTest : public ProxyTest {
 protected:
  // Starts a proxy whose standard error is the FIFO `log`; no process reads its output.
  std::unique_ptr<Process> StartWithLog(const std::string& log,
                                        const std::vector<std::string>& more_flags) const {
    std::vector<std::string> argv = {"/bin/sh", "-c", "exec \"$@\" 2> \"$0\"", log,
                                     ExampleProgram("terminating_proxy")};
    for (const std::string& flag : FlagsFor(Mode::kOffload, backend_->address())) {
      argv.push_back(flag);
    }
    argv.insert(argv.end(), more_flags.begin(), more_flags.end());
    return std::make_unique<Process>(argv);
  }

  // Reads from `fd` until `end`, or until no bytes come for too long.
  static std::string ReadUntil(int fd, const std::string& end) {
    std::string text;
    std::array<char, 4096> block;
    pollfd readable = {fd, POLLIN, 0};
    while (text.find(end) == std::string::npos || text.back() != '\n') {
      if (poll(&readable, 1, static_cast<int>(absl::ToInt64Milliseconds(kPatience))) <= 0) break;
      const ssize_t bytes = read(fd, block.data(), block.size());
      if (bytes <= 0) break;
      text.append(block.data(), static_cast<size_t>(bytes));
    }
    return text;
  }

  std::string Refusal(const std::string& flag) const {
    std::vector<std::string> argv = {ExampleProgram("terminating_proxy")};
    for (const std::string& more : FlagsFor(Mode::kOffload, backend_->address())) {
      argv.push_back(more);
    }
    argv.push_back(flag);
    const CommandResult result = RunCommand(argv, kPatience);
    EXPECT_EQ(result.exit_status, 1);
    return result.errors;
  }

  static mode_t ModeOf(const std::string& path) {
    struct stat info = {};
    EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  }

  const std::unique_ptr<HttpBackend> backend_ = StartBackend(Mode::kOffload);
};

TEST_F(LogsTest, AnUnreadStandardErrorBlocksNeitherConnectionsNorTheEnd) {
  for (const char* format : {"text", "json"}) {
    SCOPED_TRACE(format);
    const std::string log = PathOf(absl::StrCat("log.", format));
    ASSERT_EQ(mkfifo(log.c_str(), 0600), 0);
    const OwnedFd reader(open(log.c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_GT(fcntl(reader.get(), F_SETPIPE_SZ, 4096), 0);
    const auto proxy = StartWithLog(
        log, {"--threads=2", "--admin=127.0.0.1:0", absl::StrCat("--log_connections=", format)});
    const std::string listening = "listening on 127.0.0.1:";
    const std::string begin = ReadUntil(reader.get(), listening);
    ASSERT_THAT(begin, HasSubstr(listening));
    const std::string rest = begin.substr(begin.find(listening) + listening.size());
    uint32_t port = 0;
    ASSERT_TRUE(absl::SimpleAtoi(rest.substr(0, rest.find('\n')), &port)) << begin;
    // No process reads the log from here on.
    for (int i = 0; i < 150; ++i) {
      const auto client = ConnectTls(static_cast<uint16_t>(port));
      ASSERT_NE(client, nullptr) << "connection " << i;
      client->Write(GetAndCloseRequest("/hello"));
      ASSERT_THAT(client->ReadToEnd(), EndsWith("hello from backend")) << "connection " << i;
    }
    proxy->Signal(SIGTERM);
    EXPECT_EQ(proxy->WaitForExit(kPatience), 0);
  }
}

TEST_F(LogsTest, OnlyTheOwnerCanReadTheKeyLog) {
  const std::string path = PathOf("keys");
  const std::string flag = "--dangerous_key_log=" + path;
  {
    const auto proxy = StartProxy(Mode::kOffload, backend_->address(), {flag});
    EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
    EXPECT_EQ(ModeOf(path), 0600u);
    EXPECT_TRUE(WaitForText(path, "CLIENT_TRAFFIC_SECRET_0 "));
  }
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  EXPECT_EQ(Refusal(flag), absl::StrCat("terminating_proxy: --dangerous_key_log can't be written: "
                                        "cannot open ",
                                        path,
                                        ": others have access to it (mode 0644); change that to "
                                        "0600\n"));
  ASSERT_EQ(symlink(PathOf("target").c_str(), PathOf("link").c_str()), 0);
  EXPECT_THAT(Refusal("--dangerous_key_log=" + PathOf("link")), HasSubstr("it is a symlink"));
  EXPECT_NE(access(PathOf("target").c_str(), F_OK), 0);
}

TEST_F(LogsTest, SighupReopensTheKeyLogAndTheCapture) {
  const std::string keys = PathOf("keys");
  const std::string capture = PathOf("capture.pcap");
  const auto proxy =
      StartProxy(Mode::kOffload, backend_->address(),
                 {"--dangerous_key_log=" + keys, "--dangerous_capture_file=" + capture});
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
  ASSERT_TRUE(WaitForText(keys, "CLIENT_TRAFFIC_SECRET_0 "));
  for (const std::string& path : {keys, capture}) {
    ASSERT_EQ(rename(path.c_str(), (path + ".1").c_str()), 0);
  }
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("reloaded: ")) << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
  EXPECT_TRUE(WaitForText(keys, "CLIENT_TRAFFIC_SECRET_0 "));
  EXPECT_TRUE(WaitForText(capture, "GET /hello"));
  for (const std::string& path : {keys, capture}) EXPECT_EQ(ModeOf(path), 0600u);

  // If it can't be reopened, the proxy keeps writing to the earlier file, and logs that.
  ASSERT_EQ(unlink(keys.c_str()), 0);
  ASSERT_EQ(symlink("/dev/null", keys.c_str()), 0);
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog("key log: goes on in the file from before: cannot open " + keys +
                                ": it is a symlink"))
      << proxy->log();
}

}  // namespace
}  // namespace trestle::e2e
