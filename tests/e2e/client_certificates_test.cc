// Clients' certificates at the terminating proxy, with curl and openssl as the clients.

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

class ClientCertificatesTest : public ProxyTest {
 protected:
  ClientCertificatesTest() {
    testing::LeafSpec leaf;
    leaf.common_name = "alice";
    leaf.dns_names = {"alice.test"};
    leaf.server_auth = false;
    alice_ = WriteCertificate("alice", leaf);
    leaf.common_name = "bob";
    leaf.dns_names = {"bob.test"};
    WriteCertificate("bob", leaf);
  }

  std::unique_ptr<ProxyProcess> Start(std::vector<std::string> flags) {
    flags.push_back(absl::StrCat("--client_ca=", PathOf("ca.pem")));
    return StartProxy(Mode::kOffload, backend_->address(), flags);
  }

  CommandResult CurlAs(const std::string& who, uint16_t port, std::vector<std::string> flags = {}) {
    flags.insert(flags.end(), {"--cert", PathOf(who + ".pem"), "--key", PathOf(who + ".key")});
    return Curl(port, "/hello", flags);
  }

  const std::unique_ptr<HttpBackend> backend_ = StartBackend(Mode::kOffload);
  testing::PemPair alice_;
};

TEST_F(ClientCertificatesTest, AreRequiredAndLogged) {
  const auto proxy = Start({});
  EXPECT_NE(Curl(proxy->port, "/hello").exit_status, 0);
  EXPECT_TRUE(proxy->WaitForLog("client_certificate_missing")) << proxy->log();
  for (const char* version : {"1.2", "1.3"}) {
    const CommandResult served = CurlAs("alice", proxy->port, {"--tls-max", version});
    EXPECT_EQ(served.output, "hello from backend") << version << served.errors;
  }
  EXPECT_TRUE(proxy->WaitForLog("client_certificate=\"CN=alice\"")) << proxy->log();
}

TEST_F(ClientCertificatesTest, ModesDependOnTheName) {
  const auto proxy = Start({absl::StrCat("--client_auth=required,", kFrontName, "=optional")});
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
  EXPECT_EQ(CurlAs("alice", proxy->port).output, "hello from backend");
  const CommandResult other =
      Openssl(proxy->port, "/hello", {"-servername", "other.test", "-tls1_2"});
  EXPECT_NE(other.exit_status, 0);
  EXPECT_TRUE(proxy->WaitForLog("sni=other.test")) << proxy->log();
  EXPECT_TRUE(proxy->WaitForLog("client_certificate_missing")) << proxy->log();
}

TEST_F(ClientCertificatesTest, OnlyAllowedClientsAreAccepted) {
  const auto proxy = Start({"--client_allow=dns:alice.test,uri:spiffe://td.test/*"});
  EXPECT_EQ(CurlAs("alice", proxy->port).output, "hello from backend");
  EXPECT_NE(CurlAs("bob", proxy->port).exit_status, 0);
  EXPECT_TRUE(proxy->WaitForLog("neither its names nor its key are allowed")) << proxy->log();
}

TEST_F(ClientCertificatesTest, ARevocationListIsReadAgainWhenItChanges) {
  const std::string crl = WriteFile("crl.pem", pki_.IssueCrl({}));
  const auto proxy = Start({absl::StrCat("--client_crl=", crl)});
  EXPECT_EQ(CurlAs("alice", proxy->port).output, "hello from backend");
  WriteFile("crl.pem", pki_.IssueCrl({alice_}));
  ASSERT_TRUE(proxy->WaitForLog("reloaded: ")) << proxy->log();
  EXPECT_NE(CurlAs("alice", proxy->port).exit_status, 0);
  EXPECT_TRUE(proxy->WaitForLog("certificate revoked")) << proxy->log();
  EXPECT_EQ(CurlAs("bob", proxy->port).output, "hello from backend");
}

TEST_F(ClientCertificatesTest, ABadFileKeepsTheOldRules) {
  const auto proxy = Start({});
  WriteFile("ca.pem", "nonsense");
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("reload failed, what was loaded before stays in use: "));
  EXPECT_TRUE(proxy->WaitForLog("ca.pem: the CA file holds no PEM block")) << proxy->log();
  WriteFile("ca.pem", pki_.ca_pem());  // For curl.
  EXPECT_NE(Curl(proxy->port, "/hello").exit_status, 0);
  EXPECT_EQ(CurlAs("alice", proxy->port).output, "hello from backend");
}

}  // namespace
}  // namespace trestle::e2e
