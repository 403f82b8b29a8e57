// HTTP/3 through passthrough_proxy --quic: real clients and servers, by UDP on loopback.

#include <signal.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"
#include "tests/e2e/server_programs.h"
#include "tests/integrations/c_ares/dns_server.h"

namespace trestle::e2e {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr int kNgtcp2IdBytes = 18;  // Of the connection IDs that gtlsserver chooses.

class QuicTest : public ServerProgramsTest {
 protected:
  // A server of HTTP/3, by UDP, and of HTTPS, by TCP, on one port.
  std::unique_ptr<Process> StartCaddy(const std::string& name, uint16_t port) {
    WriteCertificate(name, LeafFor(absl::StrCat(name, ".test")));
    const std::string config = WriteFile(
        absl::StrCat(name, ".caddyfile"),
        absl::StrCat("{\n  admin off\n  auto_https off\n}\nhttps://", name, ".test:", port,
                     " {\n  bind 127.0.0.1\n  tls ", PathOf(name + ".pem"), " ",
                     PathOf(name + ".key"), "\n  respond \"hello from ", name, "\"\n}\n"));
    return StartServer({"/usr/bin/env", absl::StrCat("HOME=", PathOf(name)), FindProgram("caddy"),
                        "run", "--adapter", "caddyfile", "--config", config},
                       port);
  }

  // Its port has no TCP, so that nothing shows when it listens: clients repeat their hello.
  std::unique_ptr<Process> StartNgtcp2(const std::string& name, uint16_t port,
                                       const std::vector<std::string>& flags = {},
                                       const std::string& address = "127.0.0.1") {
    WriteCertificate(name, LeafFor(absl::StrCat(name, ".test")));
    WriteFile(absl::StrCat(name, ".html"), absl::StrCat("hello from ", name));
    std::vector<std::string> argv = {FindProgram("gtlsserver"), "--quiet", "--htdocs", PathOf("")};
    argv.insert(argv.end(), flags.begin(), flags.end());
    argv.insert(argv.end(),
                {address, absl::StrCat(port), PathOf(name + ".key"), PathOf(name + ".pem")});
    return std::make_unique<Process>(argv);
  }

  std::unique_ptr<ProxyProcess> StartQuic(const std::string& routes,
                                          const std::vector<std::string>& more = {}) {
    std::vector<std::string> argv = {ExampleProgram("passthrough_proxy"),
                                     "--listen=127.0.0.1:0",
                                     absl::StrCat("--routes=", routes),
                                     "--quic",
                                     "--log_connections=json",
                                     "--quic_idle_timeout=1s"};
    argv.insert(argv.end(), more.begin(), more.end());
    return StartProgram(argv);
  }

  // The command line of a client. It finds the names of this test at 127.0.0.1: gtlsclient sends
  // no name that it can't look up. So it gets a hosts file of its own.
  std::vector<std::string> Client(uint16_t port, const std::string& name, const std::string& path,
                                  const std::vector<std::string>& flags) const {
    const std::string hosts = WriteFile("hosts", "127.0.0.1 a.test b.test other.test\n");
    std::vector<std::string> argv = {FindProgram("unshare"),
                                     "--map-root-user",
                                     "--mount",
                                     "/bin/sh",
                                     "-c",
                                     "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"",
                                     "sh",
                                     hosts,
                                     FindProgram("gtlsclient"),
                                     "--quiet"};
    argv.insert(argv.end(), flags.begin(), flags.end());
    const std::string host = name + ".test";
    argv.insert(argv.end(),
                {host, absl::StrCat(port), absl::StrCat("https://", host, ":", port, "/", path)});
    return argv;
  }

  // Asks by HTTP/3, and returns the answer's body.
  std::string Ask(uint16_t port, const std::string& name, const std::string& path = "index.html",
                  const std::vector<std::string>& more = {}) {
    const std::string folder = absl::StrCat("got", ++asked_);
    std::filesystem::create_directories(PathOf(folder));
    std::vector<std::string> flags = {"--exit-on-all-streams-close", "--download", PathOf(folder)};
    flags.insert(flags.end(), more.begin(), more.end());
    const CommandResult result = RunCommand(Client(port, name, path, flags), kPatience);
    EXPECT_EQ(result.exit_status, 0) << result.output << result.errors;
    return RunCommand({"/bin/cat", PathOf(folder + "/" + path)}, kPatience).output;
  }

  int asked_ = 0;
};

TEST_F(QuicTest, TwoNamesAndBothTransportsOnOnePort) {
  const std::vector<uint16_t> ports = FreePorts(2);
  const auto a = StartCaddy("a", ports[0]);
  const auto b = StartNgtcp2("b", ports[1]);
  const auto proxy =
      StartQuic(absl::StrCat("a.test=127.0.0.1:", ports[0], ",b.test=127.0.0.1:", ports[1]));
  EXPECT_THAT(proxy->log(), HasSubstr(absl::StrCat("QUIC by UDP on 127.0.0.1:", proxy->port)));
  EXPECT_EQ(Ask(proxy->port, "a"), "hello from a");
  EXPECT_EQ(Ask(proxy->port, "b", "b.html"), "hello from b");
  const CommandResult https =
      RunCommand({FindProgram("curl"), "-sS", "--cacert", WriteFile("ca.pem", pki_.ca_pem()),
                  "--resolve", absl::StrCat("a.test:", proxy->port, ":127.0.0.1"),
                  absl::StrCat("https://a.test:", proxy->port, "/")},
                 kPatience);
  EXPECT_EQ(https.output, "hello from a") << https.errors;
  ASSERT_TRUE(proxy->WaitForLog("\"quic_version\":\"1\",\"server_name\":\"b.test\""));
  EXPECT_THAT(proxy->log(), HasSubstr("\"quic_version\":null"));
}

TEST_F(QuicTest, BackendsByName) {
  DnsServer dns;
  const uint16_t port = FreePort();
  const auto first = StartNgtcp2("a", port);
  const auto second = StartNgtcp2("a", port, {}, "127.0.0.2");
  const auto proxy =
      StartQuic(absl::StrCat("a.test=app.internal:", port),
                {absl::StrCat("--dns_servers=", dns.endpoint().ToString()), "--dns_wait=30s"});
  EXPECT_THAT(proxy->log(), HasSubstr("has no address"));
  {
    const Process refused(Client(proxy->port, "a", "", {}));
    EXPECT_TRUE(proxy->WaitForLog("\"no_backend\"")) << proxy->log();
  }
  dns.Set("app.internal.", R"({"A": ["127.0.0.1"], "ttl": 1})");
  ASSERT_TRUE(proxy->WaitForLog(absl::StrCat("new: 127.0.0.1:", port))) << proxy->log();
  EXPECT_EQ(Ask(proxy->port, "a", "a.html"), "hello from a");
  EXPECT_TRUE(proxy->WaitForLog(absl::StrCat("\"127.0.0.1:", port, "\""))) << proxy->log();
  dns.Set("app.internal.", R"({"A": ["127.0.0.2"], "ttl": 1})");
  ASSERT_TRUE(proxy->WaitForLog(absl::StrCat("new: 127.0.0.2:", port))) << proxy->log();
  EXPECT_EQ(Ask(proxy->port, "a", "a.html"), "hello from a");
  EXPECT_TRUE(proxy->WaitForLog(absl::StrCat("\"127.0.0.2:", port, "\""))) << proxy->log();
}

TEST_F(QuicTest, Retry) {
  const uint16_t port = FreePort();
  const auto server = StartNgtcp2("a", port, {"--validate-addr"});
  const auto proxy = StartQuic(absl::StrCat("a.test=127.0.0.1:", port));
  EXPECT_EQ(Ask(proxy->port, "a", "a.html"), "hello from a");
  ASSERT_TRUE(proxy->WaitForLog("\"outcome\":\"ok\""));
}

TEST_F(QuicTest, NatRebinding) {
  const uint16_t port = FreePort();
  const auto server = StartNgtcp2("a", port);
  const auto proxy = StartQuic(absl::StrCat("a.test=127.0.0.1:", port),
                               {absl::StrCat("--quic_cid_length=", kNgtcp2IdBytes)});
  EXPECT_EQ(Ask(proxy->port, "a", "a.html",
                {"--change-local-addr=100ms", "--nat-rebinding", "--delay-stream=300ms"}),
            "hello from a");
  // Two flows of one connection.
  EXPECT_TRUE(WaitUntil([&] {
    const std::string log = proxy->log();
    const size_t first = log.find("\"outcome\":\"ok\"");
    return first != std::string::npos &&
           log.find("\"outcome\":\"ok\"", first + 1) != std::string::npos;
  })) << proxy->log();
}

TEST_F(QuicTest, ANameWithoutARouteIsRefused) {
  const auto proxy = StartQuic("a.test=127.0.0.1:9");
  Process client(Client(proxy->port, "other", "", {}));
  ASSERT_TRUE(proxy->WaitForLog("\"no_route\"")) << proxy->log();
}

TEST_F(QuicTest, AClosedBackendIsReported) {
  const uint16_t port = FreePort();
  const auto proxy = StartQuic(absl::StrCat("a.test=127.0.0.1:", port));
  Process client(Client(proxy->port, "a", "", {}));
  ASSERT_TRUE(proxy->WaitForLog("\"transport\"")) << proxy->log();
}

TEST_F(QuicTest, RoutesAreReplacedAndTheAdminPageCounts) {
  const std::vector<uint16_t> ports = FreePorts(3);
  const auto a = StartNgtcp2("a", ports[0]);
  const auto b = StartNgtcp2("b", ports[1]);
  const std::string routes = WriteFile("routes", absl::StrCat("a.test 127.0.0.1:", ports[0], "\n"));
  const auto proxy =
      StartProgram({ExampleProgram("passthrough_proxy"), "--listen=127.0.0.1:0", "--threads=2",
                    "--quic", "--quic_idle_timeout=1s", absl::StrCat("--routes_file=", routes),
                    absl::StrCat("--admin=127.0.0.1:", ports[2])});
  EXPECT_EQ(Ask(proxy->port, "a", "a.html"), "hello from a");
  WriteFile("routes", absl::StrCat("b.test 127.0.0.1:", ports[1], "\n"));
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("reloaded: 1 routes"));
  EXPECT_EQ(Ask(proxy->port, "b", "b.html"), "hello from b");
  const auto metrics = [&] {
    return RunCommand({FindProgram("curl"), "-sS",
                       absl::StrCat("http://127.0.0.1:", ports[2], "/metrics")},
                      kPatience)
        .output;
  };
  EXPECT_TRUE(WaitUntil([&] {
    return absl::StrContains(metrics(), "trestle_quic_flows_total{result=\"ok\"} 2");
  })) << metrics();
  proxy->process.Signal(SIGTERM);
  EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0);
  EXPECT_THAT(proxy->log(), HasSubstr("drained"));
}

TEST_F(QuicTest, ChromiumLoadsAPageWithAHelloInTwoDatagrams) {
  const uint16_t port = FreePort();
  const auto server = StartCaddy("a", port);
  const auto proxy = StartQuic(absl::StrCat("a.test=127.0.0.1:", port));
  // Over QUIC, Chromium believes the CAs of the public only, and keys of its command line.
  const CommandResult key =
      RunCommand({"/bin/sh", "-c",
                  "openssl x509 -in \"$1\" -pubkey -noout | openssl pkey -pubin -outform der | "
                  "openssl dgst -sha256 -binary | openssl base64",
                  "sh", PathOf("a.pem")},
                 kPatience);
  ASSERT_EQ(key.exit_status, 0) << key.errors;
  const std::string origin = absl::StrCat("a.test:", proxy->port);
  const std::string home = PathOf("home");
  const CommandResult page = RunCommand(
      {"/usr/bin/env", absl::StrCat("HOME=", home), FindProgram("chromium"), "--headless=new",
       "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
       "--disable-background-networking", "--disable-component-update", "--disable-sync",
       "--no-proxy-server", "--enable-quic", absl::StrCat("--origin-to-force-quic-on=", origin),
       absl::StrCat("--ignore-certificate-errors-spki-list=",
                    absl::StripAsciiWhitespace(key.output)),
       "--host-resolver-rules=MAP a.test 127.0.0.1, MAP * ~NOTFOUND",
       absl::StrCat("--user-data-dir=", home, "/profile"), "--dump-dom",
       absl::StrCat("https://", origin, "/")},
      3 * kPatience);
  EXPECT_THAT(page.output, HasSubstr("hello from a")) << page.errors << proxy->log();
  ASSERT_TRUE(proxy->WaitForLog("\"outcome\":\"ok\"")) << proxy->log();
  EXPECT_THAT(proxy->log(), ContainsRegex("\"quic_version\":\"1\""));
  EXPECT_THAT(proxy->log(), ContainsRegex("\"segments\":[2-9]"));
}

TEST_F(QuicTest, UdpNeedsAnAddress) {
  Process proxy({ExampleProgram("passthrough_proxy"), "--listen=unix:@trestle_quic_test",
                 "--routes=a.test=127.0.0.1:9", "--quic"});
  EXPECT_EQ(proxy.WaitForExit(kPatience), 1);
  EXPECT_THAT(proxy.errors(), HasSubstr("--quic cannot listen by UDP"));
}

}  // namespace
}  // namespace trestle::e2e
