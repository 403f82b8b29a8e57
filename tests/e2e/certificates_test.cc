// A folder of certificates at the terminating proxy: which clients receive which certificate, and
// the effect of changes. reload_load_test.cc measures the cost of changes under load.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

class CertificatesTest : public ProxyTest {
 protected:
  CertificatesTest() { std::filesystem::create_directory(PathOf("certs")); }

  // Starts a proxy with the folder and no other certificate.
  std::unique_ptr<ProxyProcess> Start(const std::vector<std::string>& more_flags = {}) {
    std::vector<std::string> flags = {absl::StrCat("--certs_dir=", PathOf("certs")),
                                      "--cert=", "--key="};
    flags.insert(flags.end(), more_flags.begin(), more_flags.end());
    return StartProxy(Mode::kOffload, backend_->address(), flags);
  }

  testing::PemPair Put(const std::string& name, const testing::LeafSpec& leaf) {
    return WriteCertificate(absl::StrCat("certs/", name), leaf);
  }

  // Returns the names in the certificate that a client receives for `name`.
  static std::string ShownFor(const ProxyProcess& proxy, const std::string& name) {
    const auto client = BlockingStream::Connect(proxy.port);
    if (client == nullptr || !client->StartClient(name)) return "refused";
    return client->peer_names();
  }

  const std::unique_ptr<HttpBackend> backend_ = StartBackend(Mode::kOffload);
};

TEST_F(CertificatesTest, EachNameGetsItsOwnCertificate) {
  Put("a", LeafFor("a.test"));
  Put("wild", LeafFor("*.wild.test"));
  const testing::PemPair both = pki_.Issue(LeafFor("x.wild.test"));
  WriteFile("certs/one-file.pem", both.key + both.chain);
  WriteFile("certs/README", "not a certificate");
  const auto proxy = Start();
  EXPECT_EQ(ShownFor(*proxy, "a.test"), "a.test");
  EXPECT_EQ(ShownFor(*proxy, "y.wild.test"), "*.wild.test");
  EXPECT_EQ(ShownFor(*proxy, "x.wild.test"), "x.wild.test") << "exact over wildcard";
  EXPECT_EQ(ShownFor(*proxy, "elsewhere.test"), "a.test") << "the first one";
}

TEST_F(CertificatesTest, EcdsaIsPreferredOverRsaIfTheClientSupportsIt) {
  testing::LeafSpec rsa = LeafFor(kFrontName);
  rsa.key_type = KeyType::kRsa;
  Put("front.rsa", rsa);
  Put("front.ecdsa", LeafFor(kFrontName));
  const auto proxy = Start();
  const CommandResult any = Openssl(proxy->port, "/hello", {"-tls1_2"});
  EXPECT_THAT(any.output, HasSubstr("ECDHE-ECDSA-")) << any.errors;
  const CommandResult only_rsa =
      Openssl(proxy->port, "/hello", {"-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256:RSA+SHA256"});
  EXPECT_THAT(only_rsa.output, HasSubstr("Peer signature type: RSA-PSS")) << only_rsa.errors;
  EXPECT_THAT(only_rsa.output, HasSubstr("hello from backend"));
}

TEST_F(CertificatesTest, AValidCertificateIsPreferredOverAnExpiredOne) {
  testing::LeafSpec expired = LeafFor(kFrontName);
  expired.not_after = absl::Now() - absl::Hours(24);
  Put("a", expired);
  Put("b", LeafFor(kFrontName));
  const auto proxy = Start();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
}

TEST_F(CertificatesTest, EncryptedKeysAreReadWithTheirPassphrase) {
  Put("front", LeafFor(kFrontName));
  EncryptKey("certs/front.key", "sesame");
  const auto proxy =
      Start({absl::StrCat("--key_passphrase_file=", WriteFile("passphrase", "sesame\n"))});
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
}

TEST_F(CertificatesTest, AHelloWithoutANameGetsTheCertificateOfTheAddress) {
  Put("a", LeafFor("a.test"));
  testing::LeafSpec address;
  address.ip_names = {"127.0.0.1"};
  Put("b", address);
  const auto proxy = Start();
  EXPECT_EQ(ShownFor(*proxy, "elsewhere.test"), "a.test");
  // curl sends no server name for an address.
  const CommandResult verified =
      RunCommand({FindProgram("curl"), "--silent", "--show-error", "--cacert", PathOf("ca.pem"),
                  absl::StrCat("https://127.0.0.1:", proxy->port, "/hello")},
                 kPatience);
  EXPECT_EQ(verified.output, "hello from backend") << verified.errors;
}

TEST_F(CertificatesTest, AnOutdatedOcspResponseIsLoggedOnceAndBlocksNothing) {
  const testing::TestPki intermediate(pki_, "Intermediate");
  testing::LeafSpec leaf = LeafFor(kFrontName);
  const auto put = [&] {
    const testing::PemPair pair = intermediate.Issue(leaf);
    WriteFile("certs/front.pem", pair.chain + pair.key);
  };
  put();
  WriteFile("certs/front.ocsp", "<html>try later</html>");
  const auto proxy = Start();
  const std::string said = "certs/front.ocsp is not stapled: it doesn't parse";
  ASSERT_TRUE(proxy->WaitForLog(said)) << proxy->log();
  leaf.not_after = absl::FromUnixSeconds(2'222'222'222);
  put();
  ASSERT_TRUE(proxy->WaitForLog("(ECDSA P-256), valid until 2040-06-02")) << proxy->log();
  EXPECT_EQ(std::vector<std::string>(absl::StrSplit(proxy->log(), said)).size() - 1, 1u)
      << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
}

TEST_F(CertificatesTest, TheFolderIsWatched) {
  Put("a", LeafFor("a.test"));
  const auto proxy = Start();
  EXPECT_EQ(ShownFor(*proxy, "b.test"), "a.test");
  Put("b", LeafFor("b.test"));
  ASSERT_TRUE(proxy->WaitForLog("and 1 more certificates")) << proxy->log();
  EXPECT_EQ(ShownFor(*proxy, "b.test"), "b.test");
  WriteFile("certs/b.key", "damaged");
  ASSERT_TRUE(proxy->WaitForLog("reload failed")) << proxy->log();
  EXPECT_TRUE(proxy->WaitForLog("certs: b.pem with b.key: the key is neither PEM text"))
      << proxy->log();
  EXPECT_EQ(ShownFor(*proxy, "b.test"), "b.test") << "the old set remains as a whole";
}

}  // namespace
}  // namespace trestle::e2e
