// key_server beside proxies that have no private key: over a Unix-domain socket and over TLS.

#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"
#include "tests/integrations/pkcs11/soft_token.h"
#include "tests/support/socket_folder.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

class KeyServerTest : public ProxyTest {
 protected:
  std::string KeyLine(const std::string& name, const std::string& clients) const {
    return absl::StrCat(PathOf(name + ".pem"), " ", PathOf(name + ".key"), " ", clients, "\n");
  }

  std::unique_ptr<ProxyProcess> StartServer(const std::string& listen, const std::string& keys,
                                            const std::vector<std::string>& more_flags = {}) {
    std::vector<std::string> argv = {ExampleProgram("key_server"),
                                     absl::StrCat("--listen=", listen),
                                     absl::StrCat("--keys_file=", WriteFile("keys", keys))};
    argv.insert(argv.end(), more_flags.begin(), more_flags.end());
    auto server = std::make_unique<ProxyProcess>(argv);
    EXPECT_TRUE(server->WaitForLog("listening on ")) << server->log();
    return server;
  }

  std::string Socket(const std::string& name) const {
    return absl::StrCat("unix:", folder_.PathOf(name));
  }

  std::unique_ptr<ProxyProcess> Start(const std::string& key,
                                      const std::vector<std::string>& more_flags = {}) {
    std::vector<std::string> flags = {absl::StrCat("--key=", key)};
    flags.insert(flags.end(), more_flags.begin(), more_flags.end());
    return StartProxy(Mode::kOffload, backend_->address(), flags);
  }

  // Runs a program that must refuse to start, and returns its message.
  static std::string Refusal(const std::vector<std::string>& argv) {
    const CommandResult result = RunCommand(argv, kPatience);
    EXPECT_EQ(result.exit_status, 1) << result.errors;
    return result.errors;
  }

  std::string ProxyRefusal(const std::string& key) const {
    std::vector<std::string> argv = {ExampleProgram(ProgramOf(Mode::kOffload))};
    for (const std::string& flag : FlagsFor(Mode::kOffload, backend_->address())) {
      argv.push_back(flag);
    }
    argv.push_back(absl::StrCat("--key=", key));
    return Refusal(argv);
  }

  void ExpectServed(ProxyProcess& proxy, const std::vector<std::string>& curl_flags = {}) {
    const CommandResult result = Curl(proxy.port, "/hello", curl_flags);
    EXPECT_EQ(result.output, "hello from backend") << result.errors << proxy.log();
  }

  const SocketFolder folder_;
  const std::unique_ptr<HttpBackend> backend_ = StartBackend(Mode::kOffload);
};

TEST_F(KeyServerTest, AProxyWithoutKeyServesBothVersions) {
  const auto server =
      StartServer(Socket("keys.sock"), KeyLine("front", absl::StrCat("uid:", getuid())));
  const auto proxy = Start(absl::StrCat("remote:", Socket("keys.sock")));
  ExpectServed(*proxy, {"--tlsv1.3"});
  EXPECT_TRUE(server->WaitForLog("input=server_verify scheme=0x0403 result=signed"))
      << server->log();
  ExpectServed(*proxy, {"--tls-max", "1.2"});
  EXPECT_TRUE(server->WaitForLog("input=server_key_exchange scheme=0x0403 result=signed"))
      << server->log();
}

TEST_F(KeyServerTest, AKeyThatIsNotForTheProxyIsRefusedAtTheStart) {
  const auto server = StartServer(Socket("keys.sock"), KeyLine("front", "uid:4294967294"));
  EXPECT_THAT(ProxyRefusal(absl::StrCat("remote:", Socket("keys.sock"))),
              HasSubstr("the key server has no such key, or not for this client"));
  EXPECT_TRUE(server->WaitForLog("result=unknown_key")) << server->log();
  EXPECT_THAT(ProxyRefusal("remote:127.0.0.1:1"),
              HasSubstr("a key server on the network needs --key_server_ca"));
  EXPECT_THAT(ProxyRefusal(absl::StrCat("remote:", Socket("none.sock"))), HasSubstr("none.sock"));
}

TEST_F(KeyServerTest, OverTlsACertificateNamesTheProxy) {
  testing::LeafSpec edge = LeafFor("edge.test");
  edge.server_auth = false;
  const testing::PemPair pair = pki_.Issue(edge);
  const std::string edge_path = WriteFile("edge.pem", pair.chain + pair.key);
  WriteCertificate("keys", LeafFor("keys.test"));
  const auto server = StartServer(
      "127.0.0.1:0", KeyLine("front", "dns:edge.test"),
      {absl::StrCat("--cert=", PathOf("keys.pem")), absl::StrCat("--key=", PathOf("keys.key")),
       absl::StrCat("--client_ca=", PathOf("ca.pem"))});
  const std::string log = server->log();
  const std::string begin = "listening on 127.0.0.1:";
  const std::string port = log.substr(log.find(begin) + begin.size());
  const auto proxy =
      Start(absl::StrCat("remote:127.0.0.1:", port.substr(0, port.find(' '))),
            {absl::StrCat("--key_server_ca=", PathOf("ca.pem")),
             absl::StrCat("--key_server_cert=", edge_path), "--key_server_name=keys.test"});
  ExpectServed(*proxy);
  EXPECT_TRUE(server->WaitForLog("client=dns:edge.test")) << server->log();
}

TEST_F(KeyServerTest, ASecondServerSignsWhenTheFirstEnds) {
  auto first = StartServer(Socket("a.sock"), KeyLine("front", "unix"));
  const auto second = StartServer(Socket("b.sock"), KeyLine("front", "unix"));
  const auto proxy = Start(absl::StrCat("remote:", Socket("a.sock"), " remote:", Socket("b.sock")));
  ExpectServed(*proxy);
  first.reset();
  ExpectServed(*proxy);
  EXPECT_TRUE(proxy->WaitForLog("it is asked again in 1s")) << proxy->log();
  first = StartServer(Socket("a.sock"), KeyLine("front", "unix"));
  EXPECT_TRUE(WaitUntil([&] {
    ExpectServed(*proxy);
    return proxy->log().find("it signs again") != std::string::npos;
  }));
}

TEST_F(KeyServerTest, ABridgesOwnCertificateNeedsAsClient) {
  testing::LeafSpec alice = LeafFor("alice.test");
  alice.server_auth = false;
  WriteCertificate("alice", alice);
  WriteCertificate("back", LeafFor(kBackName));
  const auto back = StartProxy(
      Mode::kOffload, backend_->address(),
      {absl::StrCat("--cert=", PathOf("back.pem")), absl::StrCat("--key=", PathOf("back.key")),
       absl::StrCat("--client_ca=", PathOf("ca.pem"))});
  const auto server = StartServer(Socket("keys.sock"), KeyLine("alice", "unix as_client"));
  const auto proxy = StartProxy(Mode::kBridge, absl::StrCat("127.0.0.1:", back->port),
                                {absl::StrCat("--backend_cert=", PathOf("alice.pem")),
                                 absl::StrCat("--backend_key=remote:", Socket("keys.sock"))});
  ExpectServed(*proxy);
  EXPECT_TRUE(server->WaitForLog("input=client_verify scheme=0x0403 result=signed"))
      << server->log();
}

TEST_F(KeyServerTest, TheServersKeyMayBeInAToken) {
  testing::SoftToken token(PathOf("hsm"));
  token.Import("front", WriteCertificate("front", LeafFor(kFrontName)).key);
  const auto server = StartServer(
      Socket("keys.sock"),
      absl::StrCat("# In a token.\n\n", PathOf("front.pem"), " ", token.Uri("front"), " unix\n"));
  const auto proxy = Start(absl::StrCat("remote:", Socket("keys.sock")));
  ExpectServed(*proxy);
}

TEST_F(KeyServerTest, KeysAreLoadedAgainOnSighup) {
  const auto server = StartServer(Socket("keys.sock"), KeyLine("front", "unix"));
  const auto proxy = Start(absl::StrCat("remote:", Socket("keys.sock")));
  ExpectServed(*proxy);
  // The certificate gets another key. The proxy takes it once the server has it.
  WriteCertificate("front", LeafFor(kFrontName));
  EXPECT_TRUE(proxy->WaitForLog("reload failed")) << proxy->log();
  ExpectServed(*proxy);
  server->process.Signal(SIGHUP);
  EXPECT_TRUE(server->WaitForLog("reloaded: 1 key")) << server->log();
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog("reloaded: ")) << proxy->log();
  ExpectServed(*proxy);
  // A file with a fault changes nothing.
  WriteFile("keys", "one two\n");
  server->process.Signal(SIGHUP);
  EXPECT_TRUE(server->WaitForLog("reload failed, what was loaded before stays in use: "))
      << server->log();
  EXPECT_THAT(server->log(), HasSubstr("keys line 1"));
  ExpectServed(*proxy);
}

TEST_F(KeyServerTest, TheServersOwnCertificateIsLoadedAgain) {
  testing::LeafSpec edge = LeafFor("edge.test");
  edge.server_auth = false;
  const testing::PemPair pair = pki_.Issue(edge);
  const std::string edge_path = WriteFile("edge.pem", pair.chain + pair.key);
  WriteCertificate("keys", LeafFor("keys.test"));
  const auto server = StartServer(
      "127.0.0.1:0", KeyLine("front", "dns:edge.test"),
      {absl::StrCat("--cert=", PathOf("keys.pem")), absl::StrCat("--key=", PathOf("keys.key")),
       absl::StrCat("--client_ca=", PathOf("ca.pem"))});
  const testing::TestPki other(absl::Now(), "Another CA");
  const testing::PemPair renewed = other.Issue(LeafFor("keys.test"));
  WriteFile("keys.pem", renewed.chain);
  WriteFile("keys.key", renewed.key);
  server->process.Signal(SIGHUP);
  EXPECT_TRUE(server->WaitForLog("reloaded: 1 key")) << server->log();
  const std::string log = server->log();
  const std::string begin = "listening on 127.0.0.1:";
  const std::string port = log.substr(log.find(begin) + begin.size());
  const auto proxy =
      Start(absl::StrCat("remote:127.0.0.1:", port.substr(0, port.find(' '))),
            {absl::StrCat("--key_server_ca=", WriteFile("other-ca.pem", other.ca_pem())),
             absl::StrCat("--key_server_cert=", edge_path), "--key_server_name=keys.test"});
  ExpectServed(*proxy);
}

TEST_F(KeyServerTest, UnusableSettingsAreRefused) {
  const std::string program = ExampleProgram("key_server");
  const std::string listen = absl::StrCat("--listen=", Socket("keys.sock"));
  EXPECT_THAT(Refusal({program, listen}), HasSubstr("--keys_file is required"));
  const auto refusal = [&](const std::string& keys, const std::string& where) {
    return Refusal({program, where, absl::StrCat("--keys_file=", WriteFile("keys", keys))});
  };
  EXPECT_THAT(refusal("one two\n", listen), HasSubstr("keys line 1"));
  WriteCertificate("other", LeafFor("other.test"));
  EXPECT_THAT(
      refusal(absl::StrCat(PathOf("front.pem"), " ", PathOf("other.key"), " unix\n"), listen),
      HasSubstr("the signer's key doesn't belong to the certificate"));
  EXPECT_THAT(refusal(KeyLine("front", "unix"), "--listen=127.0.0.1:0"),
              HasSubstr("--client_ca is required"));
  EXPECT_THAT(Refusal({program, "--listen=127.0.0.1:0", "--ticket_keys_redis=127.0.0.1:1",
                       absl::StrCat("--keys_file=", WriteFile("keys", KeyLine("front", "unix"))),
                       absl::StrCat("--client_ca=", PathOf("ca.pem")),
                       absl::StrCat("--cert=", PathOf("front.pem")),
                       absl::StrCat("--key=", PathOf("front.key"))}),
              HasSubstr("--ticket_keys_redis has no effect on a key server"));
}

}  // namespace
}  // namespace trestle::e2e
