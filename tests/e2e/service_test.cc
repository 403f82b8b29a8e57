// The example proxies as services: sockets that a service manager passes, and reports to it. The
// manager is a socket of this test, systemd-socket-activate, or a shell that passes sockets.

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"
#include "tests/support/socket_folder.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

// A socket on 127.0.0.1 that programs inherit, as systemd's are.
class PassedSocket {
 public:
  explicit PassedSocket(int type = SOCK_STREAM) : socket_(socket(AF_INET, type, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    CHECK_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    if (type == SOCK_STREAM) CHECK_EQ(listen(socket_.get(), 16), 0);
    CHECK_EQ(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }

  int fd() const { return socket_.get(); }
  uint16_t port() const { return port_; }

 private:
  OwnedFd socket_;
  uint16_t port_ = 0;
};

// The manager's end of NOTIFY_SOCKET.
class FakeManager {
 public:
  // `address` is a path, or a name after an "@".
  explicit FakeManager(const std::string& address)
      : address_(address), socket_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un local = {};
    local.sun_family = AF_UNIX;
    CHECK_LT(address.size(), sizeof local.sun_path);
    std::memcpy(local.sun_path, address.data(), address.size());
    const bool is_abstract = address.front() == '@';
    if (is_abstract) local.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size() +
                                             (is_abstract ? 0 : 1));
    CHECK_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&local), size), 0);
    const timeval patience = {absl::ToInt64Seconds(kPatience), 0};
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }

  std::string variable() const { return absl::StrCat("NOTIFY_SOCKET=", address_); }

  // Returns the next message; empty if none comes.
  std::string Next() {
    std::array<char, 4096> buffer;
    const ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    return size <= 0 ? "" : std::string(buffer.data(), static_cast<size_t>(size));
  }

 private:
  const std::string address_;
  OwnedFd socket_;
};

class ServiceTest : public ProxyTest {
 protected:
  // Returns a command that passes `sockets` to the program behind it, under `names`.
  static std::vector<std::string> Passing(const std::vector<const PassedSocket*>& sockets,
                                          const std::string& names) {
    std::string script = "exec";
    for (size_t i = 0; i < sockets.size(); ++i) {
      absl::StrAppend(&script, " ", 3 + i, "<&", sockets[i]->fd());
    }
    absl::StrAppend(&script, "; export LISTEN_PID=$$ LISTEN_FDS=", sockets.size(),
                    " LISTEN_FDNAMES=", names, "; exec \"$@\"");
    return {"/bin/bash", "-c", script, "bash"};
  }

  // Returns a terminating proxy's command line with --listen=`listen`.
  std::vector<std::string> Program(const std::string& listen, const std::string& backend,
                                   const std::vector<std::string>& prefix,
                                   const std::vector<std::string>& more = {}) const {
    std::vector<std::string> argv = prefix;
    argv.push_back(ExampleProgram("terminating_proxy"));
    std::vector<std::string> flags = FlagsFor(Mode::kOffload, backend);
    flags.front() = absl::StrCat("--listen=", listen);
    argv.insert(argv.end(), flags.begin(), flags.end());
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  }

  // Expects the program to end with one sentence that contains `words`.
  static void ExpectRefusal(const std::vector<std::string>& argv, const std::string& words) {
    const CommandResult result = RunCommand(argv, kPatience);
    EXPECT_EQ(result.exit_status, 1) << words;
    EXPECT_THAT(result.errors, HasSubstr(words));
  }

  const SocketFolder folder_;
  const std::unique_ptr<HttpBackend> backend_ = StartBackend(Mode::kOffload);
};

TEST_F(ServiceTest, AllSocketsOfTheNameAreServedByAllThreads) {
  const PassedSocket first;
  const PassedSocket other;
  const PassedSocket second;
  const auto proxy =
      StartProgram(Program("fd:tls", backend_->address(),
                           Passing({&first, &other, &second}, "tls:other:tls"), {"--threads=3"}));
  for (const PassedSocket* socket : {&first, &second}) {
    EXPECT_TRUE(proxy->WaitForLog(absl::StrCat("listening on 127.0.0.1:", socket->port(), "\n")))
        << proxy->log();
  }
  EXPECT_THAT(proxy->log(), Not(HasSubstr(absl::StrCat("127.0.0.1:", other.port(), "\n"))));
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(Curl(first.port(), "/hello").output, "hello from backend");
    EXPECT_EQ(Curl(second.port(), "/hello").output, "hello from backend");
  }
}

TEST_F(ServiceTest, ClientsWaitWhileTheProxyRestarts) {
  const PassedSocket passed;
  const std::vector<std::string> argv =
      Program("fd:tls", backend_->address(), Passing({&passed}, "tls"), {"--threads=2"});
  auto proxy = StartProgram(argv);
  EXPECT_EQ(Curl(passed.port(), "/hello").output, "hello from backend");
  proxy->process.Signal(SIGTERM);
  EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0) << proxy->log();

  const auto waiting = BlockingStream::Connect(passed.port());
  ASSERT_NE(waiting, nullptr) << "the socket is still open";
  proxy = StartProgram(argv);
  ASSERT_TRUE(waiting->StartClient(kFrontName, {})) << proxy->log();
  waiting->Write(GetRequest("/hello"));
  EXPECT_THAT(waiting->ReadUntil("hello from backend"), HasSubstr("hello from backend"));
}

TEST_F(ServiceTest, TheFirstConnectionStartsTheProxy) {
  const std::string address = absl::StrCat("127.0.0.1:", PassedSocket().port());
  const std::vector<std::string> argv = Program(
      "fd:web", backend_->address(),
      {FindProgram("systemd-socket-activate"), absl::StrCat("--listen=", address), "--fdname=web"});
  const ProxyProcess proxy(argv);
  uint32_t number = 0;
  ASSERT_TRUE(absl::SimpleAtoi(address.substr(address.find(':') + 1), &number));
  EXPECT_TRUE(WaitUntil([&] {
    return Curl(static_cast<uint16_t>(number), "/hello").output == "hello from backend";
  })) << proxy.log();
  EXPECT_THAT(proxy.log(), HasSubstr(absl::StrCat("listening on ", address, "\n")));
}

TEST_F(ServiceTest, SocketsThatCannotBeUsedAreRefused) {
  const PassedSocket passed;
  const PassedSocket datagrams(SOCK_DGRAM);
  const std::string backend = backend_->address();
  ExpectRefusal(Program("fd:web", backend, Passing({&passed, &passed}, "a:b")),
                "--listen is fd:web, but the passed sockets are called a, b");
  ExpectRefusal(Program("fd:web", backend, {"/usr/bin/env", "-u", "LISTEN_FDS"}),
                "the service manager passed no sockets");
  ExpectRefusal(Program("fd:web", backend,
                        {"/usr/bin/env", "LISTEN_FDS=1", "LISTEN_PID=1", "LISTEN_FDNAMES=web"}),
                "the sockets of LISTEN_FDS are for another process");
  ExpectRefusal(Program("fd:web", backend, Passing({&passed}, "web:web")),
                "LISTEN_FDNAMES has another number of names");
  ExpectRefusal(Program("fd:web", backend, Passing({&datagrams}, "web")),
                "descriptor 3 is no listening socket");
  std::vector<std::string> many = Passing({&passed}, "web");
  many[2] = absl::StrCat("export LISTEN_PID=$$ LISTEN_FDS=many; exec \"$@\"");
  ExpectRefusal(Program("fd:web", backend, many), "LISTEN_FDS is no number from 1 to 1024");
  ExpectRefusal(Program("fd:", backend, {}), "--listen has no name after fd:");
  ExpectRefusal(Program("fd:web", backend, {}, {"--join"}), "--join has no use with");
}

TEST_F(ServiceTest, TheManagerIsToldEachState) {
  for (const std::string& address :
       {folder_.PathOf("notify"), absl::StrCat("@trestle-test-", getpid())}) {
    FakeManager manager(address);
    const auto proxy = StartProgram(
        Program("127.0.0.1:0", backend_->address(), {"/usr/bin/env", manager.variable()}));
    const std::string ready = absl::StrCat("READY=1\nSTATUS=listening on 127.0.0.1:", proxy->port);
    EXPECT_EQ(manager.Next(), ready);
    proxy->process.Signal(SIGHUP);
    EXPECT_THAT(manager.Next(), MatchesRegex("RELOADING=1\nMONOTONIC_USEC=[0-9]+"));
    EXPECT_EQ(manager.Next(), ready);
    WriteFile("front.pem", "no certificate");
    proxy->process.Signal(SIGHUP);
    EXPECT_THAT(manager.Next(), HasSubstr("RELOADING=1"));
    EXPECT_EQ(manager.Next(), ready) << "a failed reload ends, too";
    proxy->process.Signal(SIGTERM);
    EXPECT_EQ(manager.Next(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000");
    EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0);
    WriteCertificate("front", LeafFor(kFrontName));
  }
}

TEST_F(ServiceTest, TheWatchdogIsFedWhileAllThreadsTurn) {
  FakeManager manager(folder_.PathOf("notify"));
  const auto proxy = StartProgram(
      Program("127.0.0.1:0", backend_->address(),
              {"/usr/bin/env", manager.variable(), "WATCHDOG_USEC=20000"}, {"--threads=3"}));
  EXPECT_THAT(manager.Next(), HasSubstr("READY=1"));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(manager.Next(), "WATCHDOG=1");
}

TEST_F(ServiceTest, AnotherProcessHasTheWatchdog) {
  FakeManager manager(folder_.PathOf("notify"));
  const auto proxy = StartProgram(
      Program("127.0.0.1:0", backend_->address(),
              {"/usr/bin/env", manager.variable(), "WATCHDOG_USEC=1000", "WATCHDOG_PID=1"}));
  EXPECT_THAT(manager.Next(), HasSubstr("READY=1"));
  proxy->process.Signal(SIGTERM);
  EXPECT_THAT(manager.Next(), HasSubstr("STOPPING=1"));
}

TEST_F(ServiceTest, AManagerThatIsGoneIsLoggedAndWrongVariablesAreRefused) {
  const auto proxy = StartProgram(
      Program("127.0.0.1:0", backend_->address(),
              {"/usr/bin/env", absl::StrCat("NOTIFY_SOCKET=", folder_.PathOf("gone"))}));
  EXPECT_TRUE(proxy->WaitForLog("cannot reach the service manager: No such file")) << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
  ExpectRefusal(
      Program("127.0.0.1:0", backend_->address(), {"/usr/bin/env", "NOTIFY_SOCKET=notify"}),
      "cannot use the environment's NOTIFY_SOCKET: ");
  ExpectRefusal(Program("127.0.0.1:0", backend_->address(),
                        {"/usr/bin/env", "NOTIFY_SOCKET=/n", "WATCHDOG_USEC=soon"}),
                "WATCHDOG_USEC is no number");
}

}  // namespace
}  // namespace trestle::e2e
