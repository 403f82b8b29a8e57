// The bridge with backends whose certificates must be rejected before the client's bytes reach
// them. The log line has the leg, the fault, and the date or the names.

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

class BackCertificatesTest : public ProxyTest {
 protected:
  // Connects through the bridge to a backend with `certificate`, expects a rejection, and returns
  // the proxy's log.
  std::string LogOfRefusal(const testing::PemPair& certificate) {
    const auto backend = StartTlsBackend(certificate);
    const auto proxy = StartProxy(Mode::kBridge, backend->address());
    const auto client = ConnectTls(proxy->port);
    EXPECT_NE(client, nullptr);
    if (client == nullptr) return proxy->log();
    client->Write(GetRequest("/hello"));
    EXPECT_EQ(client->ReadToEnd(), "");
    EXPECT_EQ(client->read_end(), ReadEnd::kClean) << client->error();
    client->ShutdownWrite();
    EXPECT_TRUE(proxy->WaitForLog("status=")) << proxy->log();
    EXPECT_EQ(backend->requests(), 0) << "no request may reach an unverified backend";
    return proxy->log();
  }
};

TEST_F(BackCertificatesTest, AnExpiredCertificateIsRejectedWithTheDate) {
  testing::LeafSpec leaf = LeafFor(kBackName);
  leaf.not_before = absl::FromCivil(absl::CivilDay(2020, 1, 2), absl::UTCTimeZone());
  leaf.not_after = absl::FromCivil(absl::CivilDay(2021, 3, 4), absl::UTCTimeZone());
  const std::string log = LogOfRefusal(pki_.Issue(leaf));
  EXPECT_THAT(log, HasSubstr("status=\"back leg, handshake: certificate_expired"));
  EXPECT_THAT(log, HasSubstr("2021-03-04"));
}

TEST_F(BackCertificatesTest, ACertificateNotYetValidIsRejectedWithTheDate) {
  testing::LeafSpec leaf = LeafFor(kBackName);
  leaf.not_before = absl::FromCivil(absl::CivilDay(2099, 1, 2), absl::UTCTimeZone());
  leaf.not_after = absl::FromCivil(absl::CivilDay(2100, 3, 4), absl::UTCTimeZone());
  const std::string log = LogOfRefusal(pki_.Issue(leaf));
  EXPECT_THAT(log, HasSubstr("status=\"back leg, handshake: certificate_expired"));
  EXPECT_THAT(log, HasSubstr("2099-01-02"));
}

TEST_F(BackCertificatesTest, AnUntrustedCertificateIsRejectedWithItsIssuer) {
  const testing::TestPki stranger(absl::Now(), "Stranger CA");
  const std::string log = LogOfRefusal(stranger.Issue(LeafFor(kBackName)));
  EXPECT_THAT(log, HasSubstr("status=\"back leg, handshake: certificate_untrusted"));
  EXPECT_THAT(log, HasSubstr("Stranger CA"));
}

TEST_F(BackCertificatesTest, AnotherNameIsRejectedWithBothNames) {
  const std::string log = LogOfRefusal(pki_.Issue(LeafFor("other.test")));
  EXPECT_THAT(log, HasSubstr("status=\"back leg, handshake: name_mismatch"));
  EXPECT_THAT(log, HasSubstr(kBackName));
  EXPECT_THAT(log, HasSubstr("other.test"));
}

TEST_F(BackCertificatesTest, ACertificateForClientsIsRejected) {
  testing::LeafSpec leaf = LeafFor(kBackName);
  leaf.server_auth = false;
  EXPECT_THAT(LogOfRefusal(pki_.Issue(leaf)),
              HasSubstr("status=\"back leg, handshake: certificate_untrusted"));
}

TEST_F(BackCertificatesTest, AFolderOfCasIsReadAgainAfterAnyChange) {
  const testing::TestPki other(absl::Now(), "Other CA");
  const std::string folder = PathOf("cas");
  std::filesystem::create_directory(folder);
  WriteFile("cas/first.pem", pki_.ca_pem());
  const auto backend = StartTlsBackend(other.Issue(LeafFor(kBackName)));
  const auto proxy = StartProxy(Mode::kBridge, backend->address(), {"--backend_ca=" + folder});
  EXPECT_NE(Curl(proxy->port, "/hello").output, "hello from backend");
  EXPECT_TRUE(proxy->WaitForLog("certificate_untrusted")) << proxy->log();

  // Written in one step, so that each change is one event.
  const std::string second = PathOf("cas/second.pem");
  std::filesystem::rename(WriteFile("new", other.ca_pem()), second);
  EXPECT_TRUE(proxy->WaitForLog("reloaded: ")) << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend") << proxy->log();

  std::filesystem::rename(WriteFile("new", "-----BEGIN CERTIFICATE-----\nno base64\n"), second);
  EXPECT_TRUE(proxy->WaitForLog("reload failed, what was loaded before stays in use: "))
      << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend") << proxy->log();

  // Without its CA, the backend is untrusted again; resumption doesn't change that.
  std::filesystem::remove(second);
  const auto reloads = [&] {
    return std::vector<std::string>(absl::StrSplit(proxy->log(), "\nreloaded: ")).size() - 1;
  };
  EXPECT_TRUE(WaitUntil([&] { return reloads() >= 2; })) << proxy->log();
  EXPECT_NE(Curl(proxy->port, "/hello").output, "hello from backend");
}

TEST_F(BackCertificatesTest, CasAndRevocationListsMayBeInOneFile) {
  const auto backend = StartBackend(Mode::kBridge);
  const std::string both = WriteFile("both.pem", pki_.ca_pem() + pki_.IssueCrl({}));
  const auto proxy = StartProxy(Mode::kBridge, backend->address(),
                                {"--backend_ca=" + both, "--backend_crl=" + both});
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend") << proxy->log();
}

TEST_F(BackCertificatesTest, ABackendThatSendsClearTextIsRejected) {
  HttpBackend::Options options;
  options.greeting = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ninject!";
  const HttpBackend backend(options);
  const auto proxy = StartProxy(Mode::kBridge, backend.address());
  const auto client = ConnectTls(proxy->port);
  ASSERT_NE(client, nullptr);
  client->Write(GetRequest("/hello"));
  EXPECT_EQ(client->ReadToEnd(), "") << "its bytes must not reach the client";
  EXPECT_EQ(client->read_end(), ReadEnd::kClean) << client->error();
  client->ShutdownWrite();
  EXPECT_TRUE(proxy->WaitForLog("status=\"back leg, handshake: ")) << proxy->log();
}

}  // namespace
}  // namespace trestle::e2e
