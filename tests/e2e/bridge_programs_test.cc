// The bridge with backends of nginx, haproxy and openssl s_server, and clients of curl, h2load and
// openssl s_client. Covers the backend's choice of protocol, sessions, and certificates of the back
// leg.

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_programs.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

class BridgeProgramsTest : public ServerProgramsTest {
 protected:
  BridgeProgramsTest() {
    const testing::PemPair pair = WriteCertificate("back", LeafFor(kBackName));
    WriteFile("back.both", pair.chain + pair.key);
  }

  std::unique_ptr<Process> NginxBackend(uint16_t port, bool h2) {
    return StartNginx(
        absl::StrCat(
            "http { access_log off; ", TemporaryPaths(), "server { listen 127.0.0.1:", port, " ssl",
            h2 ? " http2" : "", "; ssl_certificate ", PathOf("back.pem"), "; ssl_certificate_key ",
            PathOf("back.key"),
            "; location / { return 200 \"nginx $server_protocol $ssl_server_name\"; } } }\n"),
        port);
  }

  std::unique_ptr<Process> HaproxyBackend(uint16_t port, const std::string& alpn) {
    return StartHaproxy(
        absl::StrCat("frontend back\n  bind 127.0.0.1:", port, " ssl crt ", PathOf("back.both"),
                     " alpn ", alpn,
                     "\n  http-request return status 200 content-type text/plain lf-string "
                     "\"haproxy %[ssl_fc_alpn]\"\n"),
        port);
  }

  std::unique_ptr<Process> OpensslBackend(uint16_t port, const std::vector<std::string>& more) {
    std::vector<std::string> flags = {"-cert", PathOf("back.pem"), "-key", PathOf("back.key"),
                                      "-www"};
    flags.insert(flags.end(), more.begin(), more.end());
    return StartOpenssl(flags, port);
  }

  std::unique_ptr<ProxyProcess> StartBridge(uint16_t port, std::vector<std::string> more = {}) {
    return StartProxy(Mode::kBridge, absl::StrCat("127.0.0.1:", port), more);
  }

  // Returns the HTTP version that curl used through `proxy`, after offering both, and the body.
  std::string VersionAndBody(const ProxyProcess& proxy) {
    const CommandResult result =
        Curl(proxy.port, "/", {"--http2", "--write-out", " over HTTP/%{http_version}"});
    EXPECT_EQ(result.exit_status, 0) << result.errors << proxy.log();
    return result.output;
  }

  // Returns the result of s_client's handshake with `port` after it offered these protocols: "ALPN
  // protocol: h2", "No ALPN negotiated", or the alert that it received.
  std::string SClientSees(uint16_t port, const std::string& name, const std::string& offered) {
    const CommandResult result =
        RunCommand({FindProgram("openssl"), "s_client", "-connect",
                    absl::StrCat("127.0.0.1:", port), "-servername", name, "-verify_hostname", name,
                    "-verify_return_error", "-CAfile", PathOf("ca.pem"), "-alpn", offered},
                   kPatience);
    for (const absl::string_view line : absl::StrSplit(result.output, '\n')) {
      if (absl::StrContains(line, "ALPN") && result.exit_status == 0) return std::string(line);
    }
    const size_t alert = result.errors.find("SSL alert number");
    EXPECT_NE(alert, std::string::npos) << result.errors << result.output;
    return alert == std::string::npos ? "" : result.errors.substr(alert, 20);
  }

  const std::vector<std::string> eager_ = {"--alpn=h2,http/1.1", "--eager_alpn"};
};

TEST_F(BridgeProgramsTest, TheClientSeesTheBackendsChoice) {
  const std::vector<uint16_t> ports = FreePorts(5);
  const auto nginx_h2 = NginxBackend(ports[0], true);
  const auto nginx_h1 = NginxBackend(ports[1], false);
  const auto haproxy_h2 = HaproxyBackend(ports[2], "h2,http/1.1");
  const auto haproxy_h1 = HaproxyBackend(ports[3], "http/1.1");
  const auto openssl_h1 = OpensslBackend(ports[4], {"-alpn", "http/1.1"});
  const struct {
    uint16_t port;
    const char* body;
    const char* version;
  } cases[] = {{ports[0], "nginx HTTP/2.0 back.test", " over HTTP/2"},
               {ports[1], "nginx HTTP/1.1 back.test", " over HTTP/1.1"},
               {ports[2], "haproxy h2", " over HTTP/2"},
               {ports[3], "haproxy http/1.1", " over HTTP/1.1"},
               {ports[4], "s_server", " over HTTP/1"}};  // It responds in HTTP/1.0.
  for (const auto& c : cases) {
    const auto proxy = StartBridge(c.port, eager_);
    for (int i = 0; i < 2; ++i) {
      const std::string seen = VersionAndBody(*proxy);
      EXPECT_THAT(seen, HasSubstr(c.body));
      EXPECT_TRUE(absl::EndsWith(seen, c.version)) << seen;
    }
  }
}

// For every pair of offer and backend, s_client has the same result as without a bridge.
TEST_F(BridgeProgramsTest, TheClientSeesTheSameResultAsWithoutTheBridge) {
  constexpr char kHttp2[] = "ALPN protocol: h2";
  constexpr char kHttp1[] = "ALPN protocol: http/1.1";
  constexpr char kNone[] = "No ALPN negotiated";
  constexpr char kRefused[] = "SSL alert number 120";  // no_application_protocol
  const std::vector<uint16_t> ports = FreePorts(7);
  const auto nginx_both = NginxBackend(ports[0], true);
  const auto nginx_h1 = NginxBackend(ports[1], false);
  const auto haproxy_h1_first = HaproxyBackend(ports[2], "http/1.1,h2");
  const auto haproxy_h2 = HaproxyBackend(ports[3], "h2");
  const auto openssl_h2 = OpensslBackend(ports[4], {"-alpn", "h2"});
  const auto openssl_h1 = OpensslBackend(ports[5], {"-alpn", "http/1.1"});
  const auto openssl_none = OpensslBackend(ports[6], {});
  const struct {
    uint16_t port;
    // Results of clients that offer h2 and http/1.1, http/1.1 and h2, h2, http/1.1.
    const char* seen[4];
  } cases[] = {
      {ports[0], {kHttp2, kHttp2, kHttp2, kHttp1}},
      {ports[1], {kHttp1, kHttp1, kRefused, kHttp1}},
      {ports[2], {kHttp1, kHttp1, kHttp2, kHttp1}},
      {ports[3], {kHttp2, kHttp2, kHttp2, kNone}},  // haproxy continues without a protocol.
      {ports[4], {kHttp2, kHttp2, kHttp2, kRefused}},
      {ports[5], {kHttp1, kHttp1, kRefused, kHttp1}},
      {ports[6], {kNone, kNone, kNone, kNone}},
  };
  constexpr const char* kOffers[] = {"h2,http/1.1", "http/1.1,h2", "h2", "http/1.1"};
  for (const auto& c : cases) {
    const auto proxy = StartBridge(c.port, eager_);
    for (int i = 0; i < 4; ++i) {
      SCOPED_TRACE(absl::StrCat("backend ", &c - cases, ", offered ", kOffers[i]));
      EXPECT_EQ(SClientSees(c.port, kBackName, kOffers[i]), c.seen[i]);
      EXPECT_EQ(SClientSees(proxy->port, kFrontName, kOffers[i]), c.seen[i]) << proxy->log();
    }
  }
}

TEST_F(BridgeProgramsTest, AClientWithoutTheBackendsProtocolGetsAnAlert) {
  const uint16_t port = FreePort();
  const auto openssl = OpensslBackend(port, {"-alpn", "h2"});
  const auto proxy = StartBridge(port, eager_);
  EXPECT_EQ(SClientSees(proxy->port, kFrontName, "http/1.1"), "SSL alert number 120");
  EXPECT_TRUE(proxy->WaitForLog(
      "status=\"back leg, handshake: peer_alert (no_application_protocol): the peer sent"))
      << proxy->log();
  // A protocol that the front leg does not offer is never requested from a backend.
  EXPECT_EQ(SClientSees(proxy->port, kFrontName, "h3"), "SSL alert number 120");
  EXPECT_TRUE(proxy->WaitForLog("status=\"front leg, handshake: alpn_mismatch: ")) << proxy->log();
}

TEST_F(BridgeProgramsTest, WithLazyAlpnABackendWithoutTheProtocolEndsTheConnection) {
  const uint16_t port = FreePort();
  const auto openssl = OpensslBackend(port, {"-alpn", "http/1.1"});
  const auto proxy = StartBridge(port, {"--alpn=h2,http/1.1"});
  EXPECT_NE(Curl(proxy->port, "/", {"--http2"}).exit_status, 0);
  EXPECT_TRUE(proxy->WaitForLog("no_application_protocol")) << proxy->log();
}

TEST_F(BridgeProgramsTest, H2loadGetsAllResponses) {
  const std::string h2load = FindProgram("h2load");
  if (h2load.empty()) return;
  const uint16_t port = FreePort();
  const auto nginx = NginxBackend(port, true);
  const auto proxy = StartBridge(port, eager_);
  const CommandResult result =
      RunCommand({h2load, "-n", "200", "-c", "8", "-m", "10",
                  absl::StrCat("--connect-to=127.0.0.1:", proxy->port),
                  absl::StrCat("https://", kFrontName, ":", proxy->port, "/")},
                 kPatience);
  EXPECT_EQ(result.exit_status, 0) << result.errors;
  EXPECT_THAT(result.output, HasSubstr("200 succeeded, 0 failed, 0 errored"));
}

TEST_F(BridgeProgramsTest, SessionsWithBackendsAreResumed) {
  const std::vector<uint16_t> ports = FreePorts(3);
  const auto nginx = NginxBackend(ports[0], false);
  const auto haproxy = HaproxyBackend(ports[1], "http/1.1");
  const auto openssl = OpensslBackend(ports[2], {});
  for (const uint16_t port : ports) {
    const auto proxy = StartBridge(port);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(Curl(proxy->port, "/").exit_status, 0);
    EXPECT_TRUE(proxy->WaitForLog("/resumed")) << proxy->log();
    const auto full = StartBridge(port, {"--backend_resumption=false"});
    for (int i = 0; i < 3; ++i) EXPECT_EQ(Curl(full->port, "/").exit_status, 0);
    EXPECT_FALSE(absl::StrContains(full->log(), "/resumed")) << full->log();
  }
}

// nginx reports each connection: resumed ("r") or not ("."), the name, and the client's
// certificate.
TEST_F(BridgeProgramsTest, SessionsWithBackendsAreBoundToNameAndIdentity) {
  testing::LeafSpec both = LeafFor(kFrontName);
  both.dns_names.push_back("other.test");
  WriteCertificate("back", both);
  WriteCertificate("front", both);
  const std::string own = PathOf("own.both");
  const auto become = [&](const std::string& name) {
    testing::LeafSpec leaf;
    leaf.common_name = name;
    leaf.server_auth = false;
    const testing::PemPair pair = pki_.Issue(leaf);
    WriteFile("own.new", pair.chain + pair.key);
    ASSERT_EQ(std::rename(PathOf("own.new").c_str(), own.c_str()), 0);
  };
  become("alice");
  const uint16_t port = FreePort();
  const auto nginx = StartNginx(
      absl::StrCat("http { access_log off; ", TemporaryPaths(), "server { listen 127.0.0.1:", port,
                   " ssl; ssl_verify_client optional_no_ca; ssl_certificate ", PathOf("back.pem"),
                   "; ssl_certificate_key ", PathOf("back.key"), "; location / { return 200 ",
                   "\"$ssl_session_reused $ssl_server_name $ssl_client_s_dn\"; } } }\n"),
      port);
  const auto proxy = StartBridge(port, {"--copy_server_name", absl::StrCat("--backend_cert=", own),
                                        absl::StrCat("--backend_key=", own)});
  const auto get = [&](const std::string& name) {
    const CommandResult result = RunCommand(
        {FindProgram("curl"), "--silent", "--show-error", "--noproxy", "*", "--cacert",
         PathOf("ca.pem"), "--resolve", absl::StrCat(name, ":", proxy->port, ":127.0.0.1"),
         absl::StrCat("https://", name, ":", proxy->port, "/")},
        kPatience);
    EXPECT_EQ(result.exit_status, 0) << result.errors << proxy->log();
    return result.output;
  };
  for (const char* who : {"alice", "bob"}) {
    for (const char* resumed : {".", "r", "r"}) {
      EXPECT_EQ(get("front.test"), absl::StrCat(resumed, " front.test CN=", who)) << proxy->log();
      EXPECT_EQ(get("other.test"), absl::StrCat(resumed, " other.test CN=", who)) << proxy->log();
    }
    if (who == absl::string_view("bob")) break;
    become("bob");
    EXPECT_TRUE(proxy->WaitForLog("reloaded")) << proxy->log();
  }
}

TEST_F(BridgeProgramsTest, ABackendThatRequestsACertificateGetsTheBridgesOwn) {
  testing::LeafSpec leaf;
  leaf.common_name = "the bridge";
  leaf.server_auth = false;
  WriteCertificate("bridge", leaf);
  const uint16_t port = FreePort();
  const auto openssl =
      OpensslBackend(port, {"-Verify", "2", "-verify_return_error", "-CAfile", PathOf("ca.pem")});
  const auto proxy = StartBridge(port, {absl::StrCat("--backend_cert=", PathOf("bridge.pem")),
                                        absl::StrCat("--backend_key=", PathOf("bridge.key"))});
  const CommandResult result = Curl(proxy->port, "/");
  EXPECT_EQ(result.exit_status, 0) << result.errors << proxy->log();
  EXPECT_THAT(result.output, HasSubstr("the bridge"));

  const auto nobody = StartBridge(port);
  EXPECT_NE(Curl(nobody->port, "/").exit_status, 0);
  EXPECT_TRUE(nobody->WaitForLog("back leg")) << nobody->log();
}

TEST_F(BridgeProgramsTest, ACertificateThatBackendsMayRejectCausesAWarning) {
  WriteCertificate("bridge", LeafFor("bridge.test"));
  const auto proxy =
      StartBridge(FreePort(), {absl::StrCat("--backend_cert=", PathOf("bridge.pem")),
                               absl::StrCat("--backend_key=", PathOf("bridge.key"))});
  EXPECT_TRUE(proxy->WaitForLog(
      "warning: --backend_cert: the extended key usage of \"CN=bridge.test\" lacks clientAuth"))
      << proxy->log();
  EXPECT_TRUE(proxy->WaitForLog("[client_auth_missing]")) << proxy->log();
}

TEST_F(BridgeProgramsTest, CasMayBeAFolderAndPinsAreChecked) {
  const uint16_t port = FreePort();
  const auto nginx = NginxBackend(port, false);
  const std::string no_pin = "--backend_pins=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  const auto pinned = StartBridge(port, {no_pin});
  EXPECT_NE(Curl(pinned->port, "/").exit_status, 0);
  ASSERT_TRUE(pinned->WaitForLog("sha256/")) << pinned->log();
  const std::string log = pinned->log();
  const std::string pin = log.substr(log.find("sha256/"), 7 + 44);
  // The test's own folder has ca.pem and other certificates, which are harmless.
  const auto proxy = StartBridge(
      port, {absl::StrCat(no_pin, ",", pin), absl::StrCat("--backend_ca=", PathOf("."))});
  EXPECT_EQ(Curl(proxy->port, "/").exit_status, 0) << proxy->log();
}

TEST_F(BridgeProgramsTest, ChangedCasAreUsedWithoutASignal) {
  const testing::TestPki stranger(absl::Now(), "Stranger CA");
  const uint16_t port = FreePort();
  const auto nginx = NginxBackend(port, false);
  const std::string ca = WriteFile("changing.crt", stranger.ca_pem());
  const auto proxy = StartBridge(port, {absl::StrCat("--backend_ca=", ca)});
  EXPECT_NE(Curl(proxy->port, "/").exit_status, 0);
  EXPECT_TRUE(proxy->WaitForLog("certificate_untrusted")) << proxy->log();
  WriteFile("changing.crt", pki_.ca_pem());
  EXPECT_TRUE(proxy->WaitForLog("reloaded")) << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/").exit_status, 0) << proxy->log();
}

TEST_F(BridgeProgramsTest, TheClientsNameMayBeCopied) {
  WriteCertificate("back", LeafFor(kFrontName));
  const uint16_t port = FreePort();
  const auto nginx = NginxBackend(port, false);
  const auto proxy = StartBridge(port, {"--copy_server_name"});
  const CommandResult result = Curl(proxy->port, "/");
  EXPECT_EQ(result.exit_status, 0) << result.errors << proxy->log();
  EXPECT_THAT(result.output, HasSubstr(kFrontName));
}

TEST_F(BridgeProgramsTest, TheNextBackendIsTriedAfterAFailure) {
  const testing::PemPair other = WriteCertificate("other", LeafFor("other.test"));
  const auto wrong = StartTlsBackend(other);
  const uint16_t port = FreePort();
  const auto nginx = NginxBackend(port, false);
  const auto proxy = StartProxy(Mode::kBridge, absl::StrCat(wrong->address(), "+127.0.0.1:", port));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(Curl(proxy->port, "/").exit_status, 0) << proxy->log();
  EXPECT_EQ(wrong->requests(), 0);
}

}  // namespace
}  // namespace trestle::e2e
