// Trestle in the loops of Asio and libuv, nested, and on Asio's own sockets: all three modes, with
// the ends, faults, loads and reloads of the other proxies, beside the hosts' own timers and
// servers.

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
#include "tests/integrations/c_ares/dns_server.h"

namespace trestle::e2e {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

constexpr char kPassedName[] = "passed.test";
// Names whose backends are down, in the three modes.
constexpr char kOffloadDown[] = "offload-down.test";
constexpr char kBridgeDown[] = "bridge-down.test";
constexpr char kPassDown[] = "pass-down.test";
constexpr uint64_t kBulkBytes = 20'000'000;

// The parameter is the program.
class HostedTest : public ProxyTest, public ::testing::WithParamInterface<const char*> {
 protected:
  HostedTest() {
    WriteFrontCertificate();
    plain_backend_ = StartBackend(Mode::kOffload);
    tls_backend_ = StartBackend(Mode::kBridge);
    passed_backend_ = StartTlsBackend(pki_.Issue(LeafFor(kPassedName)));
    proxy_ = StartProgram({ExampleProgram(GetParam()), "--listen=127.0.0.1:0",
                           absl::StrCat("--cert=", PathOf("both.pem")),
                           absl::StrCat("--key=", PathOf("both.key")),
                           absl::StrCat("--offload=", kFrontName, "=", plain_backend_->address(),
                                        ",", kOffloadDown, "=", nobody_.address()),
                           absl::StrCat("--bridge=", kBackName, "=", tls_backend_->address(), ",",
                                        kBridgeDown, "=", nobody_.address()),
                           absl::StrCat("--pass=", kPassedName, "=", passed_backend_->address(),
                                        ",", kPassDown, "=", nobody_.address()),
                           absl::StrCat("--backend_ca=", PathOf("ca.pem"))});
  }

  // For the names of which the host ends TLS.
  void WriteFrontCertificate() const {
    testing::LeafSpec leaf = LeafFor(kFrontName);
    leaf.dns_names = {kFrontName, kBackName, kOffloadDown, kBridgeDown};
    WriteCertificate("both", leaf);
  }

  static bool IsNested() { return absl::string_view(GetParam()) != "asio_native_host"; }

  // Returns null if the handshake failed.
  std::unique_ptr<BlockingStream> ConnectTo(const std::string& name) const {
    auto stream = BlockingStream::Connect(proxy_->port);
    if (stream != nullptr && !stream->StartClient(name)) return nullptr;
    return stream;
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

  const RefusingPort nobody_;
  std::unique_ptr<HttpBackend> plain_backend_;
  std::unique_ptr<HttpBackend> tls_backend_;
  std::unique_ptr<HttpBackend> passed_backend_;
  std::unique_ptr<ProxyProcess> proxy_;
};

INSTANTIATE_TEST_SUITE_P(AllHosts, HostedTest,
                         ::testing::Values("asio_host", "asio_native_host", "libuv_host"),
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

TEST_P(HostedTest, BackendsHaveNamesInAnEpollLoop) {
  DnsServer dns(absl::StrCat("dns_", GetParam()));
  const std::string port = absl::StrCat(plain_backend_->port());
  dns.Set("app.internal.", R"({"A": ["127.0.0.1"], "ttl": 1})");
  const std::vector<std::string> argv = {ExampleProgram(GetParam()), "--listen=127.0.0.1:0",
                                         absl::StrCat("--cert=", PathOf("both.pem")),
                                         absl::StrCat("--key=", PathOf("both.key")),
                                         absl::StrCat("--offload=front.test=app.internal:", port)};
  if (!IsNested()) {
    const CommandResult refused = RunCommand(argv, kPatience);
    EXPECT_EQ(refused.exit_status, 1);
    EXPECT_THAT(refused.errors, HasSubstr("is a name, and nothing here resolves names"));
    return;
  }
  std::vector<std::string> more = argv;
  more.push_back(absl::StrCat("--dns_servers=", dns.endpoint().ToString()));
  proxy_ = StartProgram(more);
  EXPECT_EQ(CurlFor(kFrontName, "/hello").output, "hello from backend") << proxy_->log();
  dns.Set("app.internal.", R"({"A": ["127.0.0.2"], "ttl": 1})");
  ASSERT_TRUE(proxy_->WaitForLog(absl::StrCat("new: 127.0.0.2:", port))) << proxy_->log();
  EXPECT_NE(CurlFor(kFrontName, "/hello").exit_status, 0) << "nobody is there";
}

TEST_P(HostedTest, ManyBytesArriveUnchangedAndNestedPassthroughSplicesThem) {
  for (const std::string name : {kFrontName, kBackName, kPassedName}) {
    const std::string path = PathOf("download");
    const CommandResult result =
        CurlFor(name, absl::StrCat("/bytes/", kBulkBytes), {"--output", path});
    ASSERT_EQ(result.exit_status, 0) << name << "\n" << result.errors << proxy_->log();
    EXPECT_EQ(Sha256OfFile(path), Sha256OfBulk(kBulkBytes));
  }
  ASSERT_TRUE(proxy_->WaitForLog("mode=passthrough")) << proxy_->log();
  // At least ten million bytes, because the first ones are copied. Asio's sockets have no splice.
  EXPECT_THAT(proxy_->log(), ContainsRegex(IsNested() ? "sni=passed.test spliced=[12][0-9]{7} "
                                                      : "sni=passed.test spliced=0 "));
}

TEST_P(HostedTest, AClientThatEndedItsDirectionGetsTheResponse) {
  for (const std::string name : {kFrontName, kBackName, kPassedName}) {
    const auto client = ConnectTo(name);
    ASSERT_NE(client, nullptr) << name << "\n" << proxy_->log();
    // The backend responds only after it has received the end.
    ASSERT_TRUE(client->Write(GetRequest("/after-end")));
    client->ShutdownWrite();
    EXPECT_THAT(client->ReadToEnd(), EndsWith("hello from backend")) << name;
    EXPECT_EQ(client->read_end(), ReadEnd::kClean) << name << ": " << client->error();
    EXPECT_TRUE(proxy_->WaitForLog(absl::StrCat("sni=", name))) << proxy_->log();
  }
  EXPECT_THAT(proxy_->log(), Not(HasSubstr(" leg, "))) << "no leg failed";
}

TEST_P(HostedTest, ATruncatedResponseIsNotACleanEnd) {
  for (const std::string name : {kFrontName, kBackName, kPassedName}) {
    const auto client = ConnectTo(name);
    ASSERT_NE(client, nullptr) << name << "\n" << proxy_->log();
    ASSERT_TRUE(client->Write(GetRequest("/cut/1000")));
    EXPECT_THAT(client->ReadToEnd(), HasSubstr(std::string(1000, 'c'))) << name;
    EXPECT_NE(client->read_end(), ReadEnd::kClean) << name;
  }
  // In passthrough, only the client can detect it.
  for (const std::string name : {kFrontName, kBackName}) {
    EXPECT_TRUE(proxy_->WaitForLog(
        absl::StrCat("sni=", name, " spliced=0 status=\"back leg, relay: truncated")))
        << proxy_->log();
  }
}

TEST_P(HostedTest, ABackendThatIsDownCausesACleanCloseAndIsLogged) {
  for (const std::string name : {kOffloadDown, kBridgeDown}) {
    const auto client = ConnectTo(name);
    ASSERT_NE(client, nullptr) << name << "\n" << proxy_->log();
    client->Write(GetRequest("/hello"));
    EXPECT_EQ(client->ReadToEnd(), "");
    EXPECT_EQ(client->read_end(), ReadEnd::kClean) << name << ": " << client->error();
    client->ShutdownWrite();
  }
  // Passthrough has no TLS to close, so the connection ends without a reset.
  const auto passed = BlockingStream::Connect(proxy_->port);
  ASSERT_NE(passed, nullptr);
  EXPECT_FALSE(passed->StartClient(kPassDown));
  EXPECT_EQ(passed->read_end(), ReadEnd::kTruncated) << passed->error();
  for (const std::string name : {kOffloadDown, kBridgeDown, kPassDown}) {
    EXPECT_TRUE(proxy_->WaitForLog(
        absl::StrCat("sni=", name, " spliced=0 status=\"back leg, dial: transport: ")))
        << proxy_->log();
  }
}

TEST_P(HostedTest, FiveHundredConnectionsAtOnce) {
  constexpr int kConnections = 500;
  const int descriptors_before = proxy_->process.open_descriptors();
  const std::string names[] = {kFrontName, kBackName, kPassedName};
  std::vector<std::unique_ptr<BlockingStream>> clients;
  for (int i = 0; i < kConnections; ++i) {
    clients.push_back(ConnectTo(names[i % 3]));
    ASSERT_NE(clients.back(), nullptr) << "connection " << i << "\n" << proxy_->log();
    ASSERT_TRUE(clients.back()->Write(GetRequest(absl::StrCat("/bytes/", 1000 + i))));
  }
  EXPECT_THAT(proxy_->log(), Not(HasSubstr("mode="))) << "all are still open";
  for (int i = 0; i < kConnections; ++i) {
    clients[i]->ShutdownWrite();
    const std::string answer = clients[i]->ReadToEnd();
    EXPECT_THAT(answer, HasSubstr(absl::StrCat("Content-Length: ", 1000 + i, "\r\n")));
    EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, 1000u + i);
    EXPECT_EQ(clients[i]->read_end(), ReadEnd::kClean) << clients[i]->error();
  }
  clients.clear();
  WaitUntil([&] { return proxy_->process.open_descriptors() == descriptors_before; });
  EXPECT_EQ(proxy_->process.open_descriptors(), descriptors_before) << "no descriptor remains open";
}

TEST_P(HostedTest, AReloadServesTheNewCertificateAndDropsNoConnection) {
  const auto open = ConnectTo(kFrontName);
  ASSERT_NE(open, nullptr) << proxy_->log();
  const std::string old_serial = open->peer_serial();
  WriteFrontCertificate();
  proxy_->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy_->WaitForLog("reloaded")) << proxy_->log();
  const auto later = ConnectTo(kFrontName);
  ASSERT_NE(later, nullptr) << proxy_->log();
  EXPECT_NE(later->peer_serial(), old_serial);
  ASSERT_TRUE(open->Write(GetRequest("/hello")));
  EXPECT_THAT(open->ReadUntil("hello from backend"), HasSubstr("200"));

  WriteFile("both.key", "no key");
  proxy_->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy_->WaitForLog("reload failed: ")) << proxy_->log();
  const auto last = ConnectTo(kFrontName);
  ASSERT_NE(last, nullptr) << proxy_->log();
  EXPECT_EQ(last->peer_serial(), later->peer_serial());
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
