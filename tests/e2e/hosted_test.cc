// Trestle in the loops of Asio and libuv, with curl as the client: all three modes, together with
// the hosts' own timers and servers.

#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/bulk_bytes.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr char kPassedName[] = "passed.test";
constexpr uint64_t kBulkBytes = 20'000'000;

// The parameter is the program.
class HostedTest : public ProxyTest, public ::testing::WithParamInterface<const char*> {
 protected:
  HostedTest() {
    testing::LeafSpec leaf = LeafFor(kFrontName);
    leaf.dns_names.push_back(kBackName);
    WriteCertificate("both", leaf);
    plain_backend_ = StartBackend(Mode::kOffload);
    tls_backend_ = StartBackend(Mode::kBridge);
    passed_backend_ = StartTlsBackend(pki_.Issue(LeafFor(kPassedName)));
    proxy_ = StartProgram({ExampleProgram(GetParam()), "--listen=127.0.0.1:0",
                           absl::StrCat("--cert=", PathOf("both.pem")),
                           absl::StrCat("--key=", PathOf("both.key")),
                           absl::StrCat("--offload=", kFrontName, "=", plain_backend_->address()),
                           absl::StrCat("--bridge=", kBackName, "=", tls_backend_->address()),
                           absl::StrCat("--pass=", kPassedName, "=", passed_backend_->address()),
                           absl::StrCat("--backend_ca=", PathOf("ca.pem"))});
  }

  CommandResult CurlFor(const std::string& name, const std::string& path,
                        const std::vector<std::string>& more_flags = {}) const {
    const std::string curl = FindProgram("curl");
    std::vector<std::string> argv = {
        curl,        "--silent",
        "--noproxy", "*",
        "--cacert",  PathOf("ca.pem"),
        "--resolve", absl::StrCat(name, ":", proxy_->port, ":127.0.0.1")};
    argv.insert(argv.end(), more_flags.begin(), more_flags.end());
    argv.push_back(absl::StrCat("https://", name, ":", proxy_->port, path));
    return RunCommand(argv, kPatience);
  }

  // Returns the text of the host's own server.
  std::string Status() const {
    const std::string log = proxy_->log();
    const size_t at = log.find("status on 127.0.0.1:");
    uint32_t port = 0;
    if (at == std::string::npos ||
        !absl::SimpleAtoi(log.substr(at + 20, log.find('\n', at) - at - 20), &port)) {
      return "";
    }
    const auto client = BlockingStream::Connect(static_cast<uint16_t>(port));
    return client == nullptr ? "" : client->ReadToEnd();
  }

  std::unique_ptr<HttpBackend> plain_backend_;
  std::unique_ptr<HttpBackend> tls_backend_;
  std::unique_ptr<HttpBackend> passed_backend_;
  std::unique_ptr<ProxyProcess> proxy_;
};

INSTANTIATE_TEST_SUITE_P(AllHosts, HostedTest, ::testing::Values("asio_host", "libuv_host"),
                         [](const auto& info) { return info.param; });

TEST_P(HostedTest, EachModeServesCurlWithTheHostsOwnServer) {
  EXPECT_THAT(Status(), MatchesRegex("0 connections, [0-9]+ seconds\n"));
  for (const std::string name : {kFrontName, kBackName, kPassedName}) {
    const CommandResult result = CurlFor(name, "/hello");
    EXPECT_EQ(result.exit_status, 0) << name << "\n" << result.errors << proxy_->log();
    EXPECT_EQ(result.output, "hello from backend");
  }
  for (const char* const mode : {"offload", "bridge", "passthrough"}) {
    EXPECT_TRUE(proxy_->WaitForLog(absl::StrCat("mode=", mode))) << proxy_->log();
  }
  EXPECT_THAT(Status(), MatchesRegex("3 connections, [0-9]+ seconds\n"));
}

TEST_P(HostedTest, ManyBytesArriveUnchangedAndPassthroughSplicesThem) {
  for (const std::string name : {kFrontName, kBackName, kPassedName}) {
    const std::string path = PathOf("download");
    const CommandResult result =
        CurlFor(name, absl::StrCat("/bytes/", kBulkBytes), {"--output", path});
    ASSERT_EQ(result.exit_status, 0) << name << "\n" << result.errors << proxy_->log();
    EXPECT_EQ(Sha256OfFile(path), Sha256OfBulk(kBulkBytes));
  }
  ASSERT_TRUE(proxy_->WaitForLog("mode=passthrough")) << proxy_->log();
  // At least ten million bytes, because the first ones are copied.
  EXPECT_THAT(proxy_->log(), ContainsRegex("sni=passed.test spliced=[12][0-9]{7} "));
}

// Only the host's timer needs the loop meanwhile.
TEST_P(HostedTest, TheHostsTimerRunsWhileConnectionsAreOpen) {
  const auto client = ConnectTls(proxy_->port);
  ASSERT_NE(client, nullptr) << proxy_->log();
  EXPECT_TRUE(WaitUntil([&] { return absl::StrContains(Status(), ", 2 seconds"); }));
  ASSERT_TRUE(client->Write(GetRequest("/hello")));
  EXPECT_THAT(client->ReadUntil("hello from backend"), HasSubstr("200"));
}

// The host calls `Retire` and `Drain` between two turns of the loop.
TEST_P(HostedTest, ASignalLetsOpenConnectionsFinish) {
  const auto client = ConnectTls(proxy_->port);
  ASSERT_NE(client, nullptr) << proxy_->log();
  ASSERT_TRUE(client->Write(GetRequest("/hello")));
  ASSERT_THAT(client->ReadUntil("hello from backend"), HasSubstr("200"));
  proxy_->process.Signal(SIGTERM);
  EXPECT_TRUE(WaitUntil([&] { return BlockingStream::Connect(proxy_->port) == nullptr; }));
  ASSERT_TRUE(client->Write(GetAndCloseRequest("/hello")));
  EXPECT_THAT(client->ReadToEnd(), HasSubstr("hello from backend"));
  EXPECT_EQ(client->read_end(), ReadEnd::kClean) << client->error();
  client->ShutdownWrite();
  EXPECT_EQ(proxy_->process.WaitForExit(kPatience), 0) << proxy_->log();
}

TEST_P(HostedTest, AnInvalidFlagEndsTheProgramWithTheReason) {
  Process host({ExampleProgram(GetParam()), "--listen=127.0.0.1:0", "--cert=/nowhere.pem"});
  EXPECT_EQ(host.WaitForExit(kPatience), 1);
  EXPECT_THAT(host.errors(), AllOf(HasSubstr(GetParam()), HasSubstr("cannot read /nowhere.pem")));
}

}  // namespace
}  // namespace trestle::e2e
