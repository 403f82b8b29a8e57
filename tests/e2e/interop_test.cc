// Other TLS stacks as clients of the terminating proxy: GnuTLS and NSS (OpenSSL and curl: see
// clients_test.cc). Covers versions, key types, resumption, client certificates and ALPN.

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Values;

struct Version {
  const char* name;     // In the log.
  const char* openssl;  // A flag.
  const char* gnutls;   // In a priority string.
  const char* nss;      // For -V.
};

constexpr Version kTls12 = {"TLSv1.2", "-tls1_2", "+VERS-TLS1.2", "tls1.2:tls1.2"};
constexpr Version kTls13 = {"TLSv1.3", "-tls1_3", "+VERS-TLS1.3", "tls1.3:tls1.3"};

class InteropTest : public ProxyTest,
                    public ::testing::WithParamInterface<std::tuple<Version, KeyType>> {
 protected:
  InteropTest() {
    testing::LeafSpec front = LeafFor(kFrontName);
    front.key_type = std::get<1>(GetParam());
    WriteCertificate("front", front);
    testing::LeafSpec alice = LeafFor("alice.test");
    alice.server_auth = false;
    alice.key_type = std::get<1>(GetParam());
    WriteCertificate("alice", alice);
  }

  const Version& version() const { return std::get<0>(GetParam()); }

  std::unique_ptr<ProxyProcess> Start(const std::vector<std::string>& flags = {}) {
    return StartProxy(Mode::kOffload, backend_->address(), flags);
  }

  std::unique_ptr<ProxyProcess> StartAskingForCertificates() {
    return Start({absl::StrCat("--client_ca=", PathOf("ca.pem"))});
  }

  CommandResult GnuTls(uint16_t port, const std::vector<std::string>& more_flags = {}) {
    const std::string program = FindProgram("gnutls-cli");
    if (program.empty()) return {};
    std::vector<std::string> argv = {program,
                                     absl::StrCat("--x509cafile=", PathOf("ca.pem")),
                                     absl::StrCat("--priority=NORMAL:-VERS-ALL:", version().gnutls),
                                     absl::StrCat("--port=", port),
                                     absl::StrCat("--sni-hostname=", kFrontName),
                                     absl::StrCat("--verify-hostname=", kFrontName)};
    argv.insert(argv.end(), more_flags.begin(), more_flags.end());
    argv.push_back("127.0.0.1");
    return RunCommand(argv, kPatience, "GET /hello HTTP/1.0\r\n\r\n");
  }

  // Creates the database of NSS with the CA in it.
  bool MakeNssDatabase() {
    const std::string certutil = FindProgram("certutil");
    if (certutil.empty()) return false;
    return RunAll(
        {{certutil, "-N", "-d", NssDatabase(), "--empty-password"},
         {certutil, "-A", "-d", NssDatabase(), "-n", "ca", "-t", "CT,,", "-i", PathOf("ca.pem")}});
  }

  // Adds alice's certificate, which tstclnt then presents whenever it is requested.
  bool AddAliceToNssDatabase() {
    const std::string pk12util = FindProgram("pk12util");
    const std::string openssl = FindProgram("openssl");
    if (pk12util.empty() || openssl.empty()) return false;
    return RunAll(
        {{openssl, "pkcs12", "-export", "-in", PathOf("alice.pem"), "-inkey", PathOf("alice.key"),
          "-name", "alice", "-passout", "pass:x", "-out", PathOf("alice.p12")},
         {pk12util, "-i", PathOf("alice.p12"), "-d", NssDatabase(), "-W", "x", "-K", ""}});
  }

  static bool RunAll(const std::vector<std::vector<std::string>>& commands) {
    for (const std::vector<std::string>& command : commands) {
      const CommandResult result = RunCommand(command, kPatience);
      EXPECT_EQ(result.exit_status, 0) << command[0] << result.errors << result.output;
      if (result.exit_status != 0) return false;
    }
    return true;
  }

  std::string NssDatabase() { return absl::StrCat("sql:", PathOf("")); }

  CommandResult Nss(uint16_t port, const std::vector<std::string>& more_flags = {}) {
    const std::string program = FindProgram("tstclnt");
    if (program.empty()) return {};
    std::vector<std::string> argv = {program,
                                     "-d",
                                     NssDatabase(),
                                     "-h",
                                     "127.0.0.1",
                                     "-p",
                                     absl::StrCat(port),
                                     "-a",
                                     kFrontName,
                                     "-V",
                                     version().nss,
                                     "-u",
                                     "-v",
                                     "-f",
                                     "-A",
                                     WriteFile("request", "GET /hello HTTP/1.0\r\n\r\n")};
    argv.insert(argv.end(), more_flags.begin(), more_flags.end());
    return RunCommand(argv, kPatience);
  }

  void ExpectServed(const CommandResult& result, ProxyProcess& proxy) {
    EXPECT_EQ(result.exit_status, 0) << result.errors << result.output;
    EXPECT_THAT(result.output, HasSubstr("hello from backend")) << result.errors;
    EXPECT_TRUE(proxy.WaitForLog(absl::StrCat("front=", version().name, "/"))) << proxy.log();
  }

  const std::unique_ptr<HttpBackend> backend_ = StartBackend(Mode::kOffload);
};

INSTANTIATE_TEST_SUITE_P(
    All, InteropTest,
    ::testing::Combine(Values(kTls12, kTls13), Values(KeyType::kEcdsa, KeyType::kRsa)),
    [](const auto& info) {
      return absl::StrCat(absl::EndsWith(std::get<0>(info.param).name, "2") ? "Tls12" : "Tls13",
                          std::get<1>(info.param) == KeyType::kRsa ? "Rsa" : "Ecdsa");
    });

TEST_P(InteropTest, GnuTlsIsServedAndResumes) {
  const auto proxy = Start();
  ExpectServed(GnuTls(proxy->port), *proxy);
  const CommandResult resumed = GnuTls(proxy->port, {"--resume", "--waitresumption"});
  ExpectServed(resumed, *proxy);
  EXPECT_THAT(resumed.output, HasSubstr("This is a resumed session"));
  EXPECT_TRUE(proxy->WaitForLog("/resumed")) << proxy->log();
}

TEST_P(InteropTest, GnuTlsPresentsItsCertificate) {
  const auto proxy = StartAskingForCertificates();
  EXPECT_NE(GnuTls(proxy->port).exit_status, 0);
  EXPECT_TRUE(proxy->WaitForLog("client_certificate_missing")) << proxy->log();
  const std::vector<std::string> alice = {absl::StrCat("--x509certfile=", PathOf("alice.pem")),
                                          absl::StrCat("--x509keyfile=", PathOf("alice.key"))};
  ExpectServed(GnuTls(proxy->port, alice), *proxy);
  EXPECT_TRUE(proxy->WaitForLog("client_certificate=\"CN=alice.test\"")) << proxy->log();
}

TEST_P(InteropTest, GnuTlsAgreesOnAProtocolOrNone) {
  const auto proxy = Start({"--alpn=h2,http/1.1"});
  const CommandResult common = GnuTls(proxy->port, {"--alpn=http/1.1"});
  ExpectServed(common, *proxy);
  EXPECT_THAT(common.output, HasSubstr("Application protocol: http/1.1"));
  EXPECT_NE(GnuTls(proxy->port, {"--alpn=ftp"}).exit_status, 0);
  EXPECT_TRUE(proxy->WaitForLog("alpn_mismatch")) << proxy->log();
  const auto lenient = Start({"--alpn=h2", "--alpn_mismatch=serve"});
  ExpectServed(GnuTls(lenient->port, {"--alpn=ftp"}), *lenient);
}

TEST_P(InteropTest, GnuTlsReadsCompressedCertificates) {
  const auto proxy = Start({"--certificate_compression=brotli,zlib"});
  ExpectServed(GnuTls(proxy->port, {"--compress-cert=brotli"}), *proxy);
  ExpectServed(GnuTls(proxy->port, {"--compress-cert=zlib"}), *proxy);
}

TEST_P(InteropTest, NssIsServedAndResumes) {
  ASSERT_TRUE(MakeNssDatabase());
  const auto proxy = Start();
  const CommandResult result = Nss(proxy->port, {"-L", "3"});  // Three connections.
  ExpectServed(result, *proxy);
  EXPECT_THAT(absl::StrCat(result.errors, result.output), HasSubstr("2 stateless resumes"));
  EXPECT_TRUE(proxy->WaitForLog("/resumed")) << proxy->log();
}

TEST_P(InteropTest, NssPresentsItsCertificate) {
  ASSERT_TRUE(MakeNssDatabase());
  const auto proxy = StartAskingForCertificates();
  EXPECT_FALSE(absl::StrContains(Nss(proxy->port).output, "hello from backend"));
  EXPECT_TRUE(proxy->WaitForLog("client_certificate_missing")) << proxy->log();
  ASSERT_TRUE(AddAliceToNssDatabase());
  ExpectServed(Nss(proxy->port, {"-n", "alice"}), *proxy);
  EXPECT_TRUE(proxy->WaitForLog("client_certificate=\"CN=alice.test\"")) << proxy->log();
}

TEST_P(InteropTest, OpensslPresentsItsCertificateAndResumes) {
  const auto proxy = StartAskingForCertificates();
  const std::vector<std::string> alice = {version().openssl, "-cert", PathOf("alice.pem"), "-key",
                                          PathOf("alice.key")};
  std::vector<std::string> first = alice;
  first.insert(first.end(), {"-sess_out", PathOf("session")});
  ExpectServed(Openssl(proxy->port, "/hello", first), *proxy);
  std::vector<std::string> second = alice;
  second.insert(second.end(), {"-sess_in", PathOf("session")});
  const CommandResult resumed = Openssl(proxy->port, "/hello", second);
  ExpectServed(resumed, *proxy);
  EXPECT_THAT(resumed.output, HasSubstr(absl::StrCat("Reused, ", version().name)));
}

// -no_ticket concerns TLS 1.2 only, not the tickets of TLS 1.3.
TEST_P(InteropTest, OpensslResumesWithoutTicketsIfThereIsACache) {
  const auto proxy = Start({"--session_cache=10"});
  ExpectServed(Openssl(proxy->port, "/hello",
                       {version().openssl, "-no_ticket", "-sess_out", PathOf("session")}),
               *proxy);
  const CommandResult resumed = Openssl(
      proxy->port, "/hello", {version().openssl, "-no_ticket", "-sess_in", PathOf("session")});
  ExpectServed(resumed, *proxy);
  EXPECT_THAT(resumed.output, HasSubstr(absl::StrCat("Reused, ", version().name)));
}

TEST_P(InteropTest, CurlAgreesOnAProtocol) {
  const auto proxy = Start({"--alpn=http/1.1"});
  const CommandResult curl =
      Curl(proxy->port, "/hello",
           {"--tls-max", absl::EndsWith(version().name, "2") ? "1.2" : "1.3", "--verbose"});
  EXPECT_EQ(curl.output, "hello from backend") << curl.errors;
  EXPECT_THAT(curl.errors, HasSubstr("http/1.1"));
}

TEST_P(InteropTest, OtherThreadsMaySign) {
  const auto proxy = Start({"--signing_threads=2"});
  ExpectServed(Openssl(proxy->port, "/hello", {version().openssl}), *proxy);
  ExpectServed(GnuTls(proxy->port), *proxy);
}

TEST_P(InteropTest, OpenSslMaySignWithRsaKeys) {
  for (const char* threads : {"--signing_threads=0", "--signing_threads=2"}) {
    const auto proxy = Start({"--rsa_signer=openssl", threads});
    EXPECT_TRUE(proxy->WaitForLog("RSA signatures by OpenSSL 3.")) << proxy->log();
    ExpectServed(Openssl(proxy->port, "/hello", {version().openssl}), *proxy);
    ExpectServed(GnuTls(proxy->port), *proxy);
  }
}

TEST_P(InteropTest, ThePresetModernRejectsTls12) {
  const auto proxy = Start({"--tls_preset=modern"});
  const CommandResult result = GnuTls(proxy->port);
  if (absl::EndsWith(version().name, "3")) return ExpectServed(result, *proxy);
  EXPECT_NE(result.exit_status, 0);
  EXPECT_TRUE(proxy->WaitForLog("no_common_parameters")) << proxy->log();
}

}  // namespace
}  // namespace trestle::e2e
