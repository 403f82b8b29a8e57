// Reload (SIGHUP), drain (SIGTERM, SIGINT) and the end of the example proxies.

#include <csignal>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Values;

class LifecycleTest : public ProxyTest {
 protected:
  // Returns the serial number of the certificate that a new connection receives.
  std::string SerialAt(uint16_t port) {
    const auto client = ConnectTls(port);
    return client == nullptr ? "refused" : client->peer_serial();
  }

  // Reads one response on a connection that stays open.
  static std::string Ask(BlockingStream& client) {
    client.Write(GetRequest("/hello"));
    return client.ReadUntil("hello from backend");
  }
};

class ReloadTest : public LifecycleTest, public ::testing::WithParamInterface<Mode> {};

INSTANTIATE_TEST_SUITE_P(ModesWithCertificates, ReloadTest, Values(Mode::kOffload, Mode::kBridge),
                         [](const auto& info) { return ProgramOf(info.param); });

TEST_P(ReloadTest, ServesTheNewCertificateAndDropsNoConnection) {
  const auto backend = StartBackend(GetParam());
  const auto proxy = StartProxy(GetParam(), backend->address(), {"--threads=2"});
  const auto open = ConnectTls(proxy->port);
  ASSERT_NE(open, nullptr);
  EXPECT_THAT(Ask(*open), EndsWith("hello from backend"));
  const std::string old_serial = open->peer_serial();
  EXPECT_EQ(SerialAt(proxy->port), old_serial);

  WriteCertificate("front", LeafFor(kFrontName));
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("reloaded: front.test")) << proxy->log();
  EXPECT_NE(SerialAt(proxy->port), old_serial);
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
  EXPECT_THAT(Ask(*open), EndsWith("hello from backend")) << "the open connection continues";
  EXPECT_EQ(open->read_end(), ReadEnd::kOpen);
}

TEST_P(ReloadTest, EarlierConnectionsMayGetATimeLimit) {
  const auto backend = StartBackend(GetParam());
  const auto proxy =
      StartProxy(GetParam(), backend->address(), {"--threads=2", "--drain_on_reload=0s"});
  const auto open = ConnectTls(proxy->port);
  ASSERT_NE(open, nullptr);
  EXPECT_THAT(Ask(*open), EndsWith("hello from backend"));
  proxy->process.Signal(SIGHUP);
  EXPECT_EQ(open->ReadToEnd(), "");
  EXPECT_NE(open->read_end(), ReadEnd::kClean) << "it was cut";
  EXPECT_TRUE(proxy->WaitForLog("cancelled: the certificates were replaced")) << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
}

TEST_P(ReloadTest, AnExpiredCertificateMayEndItsConnections) {
  testing::LeafSpec leaf = LeafFor(kFrontName);
  leaf.not_after = absl::Now() + absl::Seconds(3);
  WriteCertificate("front", leaf);
  const auto backend = StartBackend(GetParam());
  const auto proxy = StartProxy(GetParam(), backend->address(), {"--after_certificate_expiry=0s"});
  const auto open = ConnectTls(proxy->port);
  ASSERT_NE(open, nullptr);
  EXPECT_TRUE(proxy->WaitForLog("the certificate presented to the client has expired"))
      << proxy->log();
}

TEST_P(ReloadTest, ABadFileKeepsTheOldCertificateAndIsLogged) {
  const auto backend = StartBackend(GetParam());
  const auto proxy = StartProxy(GetParam(), backend->address());
  const std::string old_serial = SerialAt(proxy->port);

  const testing::PemPair other = pki_.Issue(LeafFor(kFrontName));
  WriteFile("front.key", other.key);  // Doesn't belong to front.pem.
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("reload failed, what was loaded before stays in use: "));
  EXPECT_TRUE(proxy->WaitForLog("front.key: the private key doesn't belong")) << proxy->log();
  EXPECT_EQ(SerialAt(proxy->port), old_serial);

  WriteFile("front.pem", "no certificate");
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("no PEM block")) << proxy->log();
  EXPECT_EQ(SerialAt(proxy->port), old_serial);

  std::filesystem::remove(PathOf("front.pem"));
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("front.pem: No such file")) << proxy->log();
  EXPECT_EQ(SerialAt(proxy->port), old_serial);

  WriteFile("front.pem", other.chain);  // Now both files match.
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("reloaded: front.test")) << proxy->log();
  EXPECT_NE(SerialAt(proxy->port), old_serial);
}

TEST_P(ReloadTest, AnExpiredCertificateDoesNotReplaceAValidOne) {
  const auto backend = StartBackend(GetParam());
  const auto proxy = StartProxy(GetParam(), backend->address());
  const std::string old_serial = SerialAt(proxy->port);
  testing::LeafSpec leaf = LeafFor(kFrontName);
  leaf.not_before = absl::Now() - absl::Hours(48);
  leaf.not_after = absl::Now() - absl::Hours(24);
  WriteCertificate("front", leaf);
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("reload failed")) << proxy->log();
  EXPECT_EQ(SerialAt(proxy->port), old_serial);
}

TEST_F(LifecycleTest, AReloadReplacesTheBridgesTrustedCas) {
  const testing::TestPki new_pki(absl::Now(), "New CA");
  const auto backend = StartTlsBackend(new_pki.Issue(LeafFor(kBackName)));
  const auto proxy = StartProxy(Mode::kBridge, backend->address(), {"--threads=2"});
  EXPECT_NE(Curl(proxy->port, "/hello").exit_status, 0);
  EXPECT_TRUE(proxy->WaitForLog("certificate_untrusted")) << proxy->log();

  // curl also trusts this file, so both CAs are in it.
  WriteFile("ca.pem", absl::StrCat(pki_.ca_pem(), new_pki.ca_pem()));
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("reloaded")) << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");

  WriteFile("ca.pem", "no certificate");
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("ca.pem: the CA file holds no PEM block")) << proxy->log();
  const auto client = ConnectTls(proxy->port);
  ASSERT_NE(client, nullptr);
  EXPECT_THAT(Ask(*client), EndsWith("hello from backend")) << "the old CAs are still trusted";
}

TEST_F(LifecycleTest, SighupDoesNotEndAProxyWithoutFiles) {
  const auto backend = StartBackend(Mode::kPassthrough);
  const auto proxy = StartProxy(Mode::kPassthrough, backend->address());
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog("reload")) << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
}

class DrainTest : public LifecycleTest, public ::testing::WithParamInterface<Mode> {
 protected:
  // Starts a proxy with one open connection, and makes it drain.
  void StartDraining(int signal, const std::string& drain_timeout) {
    backend_ = StartBackend(GetParam());
    proxy_ = StartProxy(GetParam(), backend_->address(),
                        {"--threads=2", absl::StrCat("--drain_timeout=", drain_timeout)});
    client_ = ConnectTls(proxy_->port);
    ASSERT_NE(client_, nullptr);
    EXPECT_THAT(Ask(*client_), EndsWith("hello from backend"));
    proxy_->process.Signal(signal);
    ASSERT_TRUE(proxy_->WaitForLog("draining")) << proxy_->log();
  }

  // Waits until no connection is accepted any more.
  bool StopsAccepting() {
    const absl::Time deadline = absl::Now() + kPatience;
    while (BlockingStream::Connect(proxy_->port) != nullptr) {
      if (absl::Now() > deadline) return false;
    }
    return true;
  }

  std::unique_ptr<HttpBackend> backend_;
  std::unique_ptr<ProxyProcess> proxy_;
  std::unique_ptr<BlockingStream> client_;
};

INSTANTIATE_TEST_SUITE_P(AllModes, DrainTest,
                         Values(Mode::kOffload, Mode::kPassthrough, Mode::kBridge),
                         [](const auto& info) { return ProgramOf(info.param); });

TEST_P(DrainTest, OpenConnectionsFinishAndNewOnesAreRejected) {
  StartDraining(SIGTERM, "1h");
  EXPECT_TRUE(StopsAccepting());
  EXPECT_THAT(Ask(*client_), EndsWith("hello from backend")) << "the open connection continues";
  EXPECT_TRUE(proxy_->process.running());
  client_->ShutdownWrite();
  client_->ReadToEnd();
  EXPECT_EQ(proxy_->process.WaitForExit(kPatience), 0) << proxy_->log();
  EXPECT_THAT(proxy_->log(), HasSubstr("drained"));
}

TEST_P(DrainTest, ASecondSignalStopsAtOnce) {
  StartDraining(SIGTERM, "1h");
  proxy_->process.Signal(SIGTERM);
  EXPECT_EQ(proxy_->process.WaitForExit(absl::Seconds(5)), 0) << proxy_->log();
  EXPECT_THAT(proxy_->log(), HasSubstr("stopping now"));
  EXPECT_THAT(proxy_->log(), HasSubstr("cancelled")) << "the cut connection is logged";
}

TEST_P(DrainTest, TheDrainTimeoutEndsTheProxy) {
  StartDraining(SIGINT, "300ms");
  client_->ReadToEnd();
  client_.reset();
  EXPECT_EQ(proxy_->process.WaitForExit(kPatience), 0) << proxy_->log();
  EXPECT_THAT(proxy_->log(), HasSubstr("cancelled"));
}

TEST_P(DrainTest, WithoutConnectionsTheProxyEndsAtOnce) {
  const auto backend = StartBackend(GetParam());
  const auto proxy = StartProxy(GetParam(), backend->address());
  proxy->process.Signal(SIGTERM);
  EXPECT_EQ(proxy->process.WaitForExit(absl::Seconds(5)), 0) << proxy->log();
}

}  // namespace
}  // namespace trestle::e2e
