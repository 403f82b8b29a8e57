// A certificate from an ACME server, pebble. The server connects to the proxy for its challenges
// (TLS-ALPN-01) and finds responses that an ACME client left in a folder.
#include <signal.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_programs.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

// Debian's, which has python3-acme.
constexpr char kPython[] = "/usr/bin/python3";

class AcmeTest : public ServerProgramsTest, public ::testing::WithParamInterface<Mode> {
 protected:
  AcmeTest() {
    std::filesystem::create_directory(PathOf("tokens"));
    backend_ = StartBackend(GetParam());
    proxy_ = StartProxy(GetParam(), backend_->address(),
                        {absl::StrCat("--acme_tokens_dir=", PathOf("tokens"))});
    StartPebble();
  }

  // Pebble resolves all names to 127.0.0.1, and sends all challenges to the proxy's port.
  void StartPebble() {
    const std::vector<uint16_t> ports = FreePorts(4);
    dns_ = std::make_unique<Process>(std::vector<std::string>{
        FindProgram("pebble-challtestsrv"), "-defaultIPv6=", "-http01=", "-https01=", "-tlsalpn01=",
        absl::StrCat("-dns01=127.0.0.1:", ports[0]),
        absl::StrCat("-management=127.0.0.1:", ports[1])});
    testing::LeafSpec leaf;
    leaf.dns_names = {"localhost"};
    leaf.ip_names = {"127.0.0.1"};
    WriteCertificate("pebble", leaf);
    const std::string config = WriteFile(
        "pebble.json",
        absl::StrCat(R"({"pebble": {"listenAddress": "127.0.0.1:)", ports[2],
                     R"(", "managementListenAddress": "127.0.0.1:)", ports[3],
                     R"(", "certificate": ")", PathOf("pebble.pem"), R"(", "privateKey": ")",
                     PathOf("pebble.key"), R"(", "httpPort": 1, "tlsPort": )", proxy_->port,
                     R"(, "ocspResponderURL": "", "externalAccountBindingRequired": false}})"));
    directory_url_ = absl::StrCat("https://127.0.0.1:", ports[2], "/dir");
    management_url_ = absl::StrCat("https://127.0.0.1:", ports[3]);
    // By default, pebble sleeps before each validation and rejects nonces at random.
    pebble_ = std::make_unique<Process>(std::vector<std::string>{
        "/usr/bin/env", "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0",
        FindProgram("pebble"), absl::StrCat("-config=", config),
        absl::StrCat("-dnsserver=127.0.0.1:", ports[0])});
    EXPECT_TRUE(pebble_->WaitForOutput("ACME directory available at", kPatience))
        << pebble_->output() << pebble_->errors();
  }

  CommandResult GetCertificate(const std::vector<std::string>& identifiers,
                               const std::string& tokens = "tokens") {
    std::vector<std::string> argv = {
        kPython,        "tests/e2e/acme_client.py", directory_url_,     PathOf("ca.pem"),
        PathOf(tokens), PathOf("front.pem"),        PathOf("front.key")};
    argv.insert(argv.end(), identifiers.begin(), identifiers.end());
    return RunCommand(argv, 2 * kPatience);
  }

  std::unique_ptr<HttpBackend> backend_;
  std::unique_ptr<ProxyProcess> proxy_;
  std::unique_ptr<Process> dns_;
  std::unique_ptr<Process> pebble_;
  std::string directory_url_;
  std::string management_url_;
};

INSTANTIATE_TEST_SUITE_P(ModesWithCertificates, AcmeTest,
                         ::testing::Values(Mode::kOffload, Mode::kBridge),
                         [](const auto& info) { return ProgramOf(info.param); });

TEST_P(AcmeTest, ACertificateIsIssuedThroughTheProxyAndServed) {
  const CommandResult got = GetCertificate({kFrontName, "other.test", "127.0.0.1"});
  ASSERT_EQ(got.exit_status, 0) << got.output << got.errors << pebble_->output() << proxy_->log();
  EXPECT_TRUE(std::filesystem::is_empty(PathOf("tokens")));
  EXPECT_TRUE(backend_->connections().empty()) << "challenges must not reach the backend";
  EXPECT_THAT(proxy_->log(), HasSubstr("status=\"ok, acme-tls/1\""));

  proxy_->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy_->WaitForLog("reloaded: ")) << proxy_->log();
  const CommandResult root =
      RunCommand({FindProgram("curl"), "--silent", "--show-error", "--cacert", PathOf("ca.pem"),
                  absl::StrCat(management_url_, "/roots/0")},
                 kPatience);
  ASSERT_THAT(root.output, HasSubstr("BEGIN CERTIFICATE")) << root.errors;
  WriteFile("ca.pem", root.output);
  EXPECT_EQ(Curl(proxy_->port, "/hello").output, "hello from backend");
}

TEST_P(AcmeTest, WithoutATokenTheChallengeFails) {
  std::filesystem::create_directory(PathOf("elsewhere"));
  const CommandResult got = GetCertificate({kFrontName}, "elsewhere");
  EXPECT_NE(got.exit_status, 0);
  EXPECT_THAT(got.errors, HasSubstr(kFrontName));
  EXPECT_TRUE(proxy_->WaitForLog("no ACME token for")) << proxy_->log();
  EXPECT_EQ(Curl(proxy_->port, "/hello").output, "hello from backend")
      << "other clients are served";
}

TEST_P(AcmeTest, AnUnusableTokenIsReported) {
  WriteFile(absl::StrCat("tokens/", kFrontName), "nonsense");
  const CommandResult asked = RunCommand(
      {FindProgram("openssl"), "s_client", "-connect", absl::StrCat("127.0.0.1:", proxy_->port),
       "-servername", kFrontName, "-alpn", "acme-tls/1"},
      kPatience);
  EXPECT_NE(asked.exit_status, 0);
  EXPECT_TRUE(proxy_->WaitForLog("the ACME token for front.test is unusable")) << proxy_->log();
}

}  // namespace
}  // namespace trestle::e2e
