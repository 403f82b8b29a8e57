// Proxies whose private keys are in a token of SoftHSM: --key and --backend_key with URIs.

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"
#include "tests/integrations/pkcs11/soft_token.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Pkcs11Test : public ProxyTest {
 protected:
  // Issues a certificate, writes NAME.pem, and puts the key into the token under NAME.
  void IssueInToken(const std::string& name, const testing::LeafSpec& leaf,
                    const std::string& id = "01") {
    token_.Import(name, WriteCertificate(name, leaf).key, "edge", id);
  }

  static testing::LeafSpec FrontLeaf(KeyType type) {
    testing::LeafSpec leaf = LeafFor(kFrontName);
    leaf.key_type = type;
    return leaf;
  }

  std::unique_ptr<ProxyProcess> Start(const std::string& key,
                                      const std::vector<std::string>& more_flags = {}) {
    std::vector<std::string> flags = {absl::StrCat("--key=", key), "--pkcs11_threads=2"};
    flags.insert(flags.end(), more_flags.begin(), more_flags.end());
    return StartProxy(Mode::kOffload, backend_->address(), flags);
  }

  // Runs a proxy that must refuse to start, and returns its message.
  std::string Refusal(const std::string& key) {
    std::vector<std::string> argv = {ExampleProgram(ProgramOf(Mode::kOffload))};
    for (const std::string& flag : FlagsFor(Mode::kOffload, backend_->address())) {
      argv.push_back(flag);
    }
    argv.push_back(absl::StrCat("--key=", key));
    const CommandResult result = RunCommand(argv, kPatience);
    EXPECT_EQ(result.exit_status, 1) << result.errors;
    return result.errors;
  }

  void ExpectServed(ProxyProcess& proxy, const std::vector<std::string>& curl_flags = {}) {
    const CommandResult result = Curl(proxy.port, "/hello", curl_flags);
    EXPECT_EQ(result.output, "hello from backend") << result.errors << proxy.log();
  }

  void ExpectNotServed(ProxyProcess& proxy) {
    EXPECT_NE(Curl(proxy.port, "/hello").exit_status, 0);
  }

  testing::SoftToken token_{PathOf("hsm")};
  const std::unique_ptr<HttpBackend> backend_ = StartBackend(Mode::kOffload);
};

TEST_F(Pkcs11Test, ServesWithKeysOfATokenInBothVersions) {
  for (const KeyType type : {KeyType::kEcdsa, KeyType::kRsa}) {
    const std::string id = type == KeyType::kRsa ? "02" : "01";
    IssueInToken("front", FrontLeaf(type), id);
    const auto proxy = Start(token_.Uri("front", absl::StrCat(";id=%", id)));
    ExpectServed(*proxy, {"--tlsv1.3"});
    ExpectServed(*proxy, {"--tls-max", "1.2"});
  }
}

TEST_F(Pkcs11Test, AKeyOfAnotherCertificateIsFoundAtTheStart) {
  IssueInToken("other", LeafFor("other.test"));
  EXPECT_THAT(Refusal(token_.Uri("other")),
              HasSubstr("the signer's key doesn't belong to the certificate \"CN=front.test\""));
  EXPECT_THAT(Refusal("pkcs11:token=edge?pin-value=1234"), HasSubstr("pin-value would show"));
  token_.WritePin("0000");
  EXPECT_THAT(Refusal(token_.Uri("other")), HasSubstr("the token refuses the PIN"));
}

TEST_F(Pkcs11Test, KeysOfADirectoryMayBeInATokenToo) {
  IssueInToken("front", FrontLeaf(KeyType::kEcdsa));
  const std::string folder = PathOf("certs");
  std::filesystem::create_directory(folder);
  std::filesystem::copy_file(PathOf("front.pem"), folder + "/front.pem");
  std::ofstream(folder + "/front.key") << token_.Uri("front") << "\n";
  const testing::PemPair plain = pki_.Issue(LeafFor("plain.test"));
  std::ofstream(folder + "/plain.pem") << plain.chain << plain.key;
  const std::vector<std::string> argv = {
      ExampleProgram(ProgramOf(Mode::kOffload)), "--listen=127.0.0.1:0",
      absl::StrCat("--certs_dir=", folder), absl::StrCat("--backend=", backend_->address())};
  const auto proxy = StartProgram(argv);
  ExpectServed(*proxy);
  // A reload that can't find the key changes nothing.
  const testing::PemPair renewed = pki_.Issue(FrontLeaf(KeyType::kEcdsa));
  std::ofstream(folder + "/front.pem", std::ios::trunc) << renewed.chain;
  EXPECT_TRUE(proxy->WaitForLog("reload failed")) << proxy->log();
  EXPECT_THAT(proxy->log(), HasSubstr("front.pem with front.key: "));
  ExpectServed(*proxy);
  std::ofstream(folder + "/front.key", std::ios::trunc) << "in the other safe\n";
  EXPECT_TRUE(proxy->WaitForLog("neither PEM text nor the URI of a key")) << proxy->log();
}

TEST_F(Pkcs11Test, ABridgePresentsACertificateWithAKeyOfAToken) {
  testing::LeafSpec alice = LeafFor("alice.test");
  alice.server_auth = false;
  IssueInToken("alice", alice);
  WriteCertificate("back", LeafFor(kBackName));
  const auto back = StartProxy(
      Mode::kOffload, backend_->address(),
      {absl::StrCat("--cert=", PathOf("back.pem")), absl::StrCat("--key=", PathOf("back.key")),
       absl::StrCat("--client_ca=", PathOf("ca.pem"))});
  const auto proxy = StartProxy(Mode::kBridge, absl::StrCat("127.0.0.1:", back->port),
                                {absl::StrCat("--backend_cert=", PathOf("alice.pem")),
                                 absl::StrCat("--backend_key=", token_.Uri("alice"))});
  ExpectServed(*proxy);
  EXPECT_TRUE(back->WaitForLog("client_certificate=\"CN=alice.test\"")) << back->log();
}

TEST_F(Pkcs11Test, ATokenThatIsAwayFailsNewHandshakesOnlyAndComesBack) {
  IssueInToken("front", FrontLeaf(KeyType::kEcdsa));
  const auto proxy = Start(token_.FaultyUri("front"));
  const auto open = ConnectTls(proxy->port);
  ASSERT_NE(open, nullptr);
  token_.SetFault("gone");
  ExpectNotServed(*proxy);
  EXPECT_TRUE(proxy->WaitForLog("no such token is present; it is asked again in 1s"))
      << proxy->log();
  EXPECT_TRUE(
      proxy->WaitForLog("transport (internal_error): the signer of the certificate's key failed"))
      << proxy->log();
  EXPECT_TRUE(open->Write(GetRequest("/hello")));
  EXPECT_THAT(open->ReadUntil("hello from backend"), HasSubstr("hello from backend"));
  token_.SetFault("");
  EXPECT_TRUE(WaitUntil([&] { return Curl(proxy->port, "/hello").exit_status == 0; }));
  EXPECT_TRUE(proxy->WaitForLog("it signs again")) << proxy->log();
}

TEST_F(Pkcs11Test, ASecondModuleSignsWhileTheFirstOneIsAway) {
  IssueInToken("front", FrontLeaf(KeyType::kEcdsa));
  const auto proxy = Start(absl::StrCat(token_.FaultyUri("front"), " ", token_.Uri("front")));
  for (const char* fault : {"", "gone", ""}) {
    token_.SetFault(fault);
    ExpectServed(*proxy);
  }
  EXPECT_TRUE(proxy->WaitForLog("it is asked again in 1s")) << proxy->log();
}

TEST_F(Pkcs11Test, ATokenThatHangsIsLeftAtTheDeadline) {
  IssueInToken("front", FrontLeaf(KeyType::kEcdsa));
  const auto proxy = Start(absl::StrCat(token_.FaultyUri("front"), " ", token_.Uri("front")),
                           {"--signing_deadline=300ms"});
  token_.SetFault("hanging");
  ExpectServed(*proxy);
  EXPECT_TRUE(proxy->WaitForLog("the signature was not there after 300ms")) << proxy->log();
  token_.SetFault("");
}

TEST_F(Pkcs11Test, AStartNeedsOneTokenOfTwo) {
  IssueInToken("front", FrontLeaf(KeyType::kEcdsa));
  token_.SetFault("gone");
  EXPECT_THAT(Refusal(token_.FaultyUri("front")), HasSubstr("no such token is present"));
  const auto proxy = Start(absl::StrCat(token_.FaultyUri("front"), " ", token_.Uri("front")));
  EXPECT_THAT(proxy->log(), HasSubstr("no such token is present"));
  ExpectServed(*proxy);
}

TEST_F(Pkcs11Test, AReloadWithTheSameKeyDoesNotNeedTheToken) {
  IssueInToken("front", FrontLeaf(KeyType::kEcdsa));
  const auto proxy = Start(token_.FaultyUri("front"));
  token_.SetFault("gone");
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog("reloaded:")) << proxy->log();
  // A certificate with another key is refused.
  WriteCertificate("front", LeafFor(kFrontName));
  EXPECT_TRUE(proxy->WaitForLog("no such token is present")) << proxy->log();
  token_.SetFault("");
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog("doesn't belong to the certificate")) << proxy->log();
  EXPECT_THAT(proxy->log(), Not(HasSubstr("1234"))) << "the PIN is in no log";
  ExpectServed(*proxy);
}

}  // namespace
}  // namespace trestle::e2e
