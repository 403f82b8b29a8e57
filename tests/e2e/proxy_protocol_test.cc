// The PROXY protocol with programs in front of and behind a proxy: curl, nginx, haproxy.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_programs.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

// Makes curl print its own address as "127.0.0.1:40000".
const std::vector<std::string> kTellClient = {"--write-out", "\nclient %{local_ip}:%{local_port}"};

class ProxyProtocolTest : public ServerProgramsTest {
 protected:
  // Starts a server that responds with the addresses from a PROXY header.
  std::unique_ptr<Process> HaproxyReceiver(uint16_t port) {
    return StartHaproxy(
        absl::StrCat("frontend told\n  bind 127.0.0.1:", port,
                     " accept-proxy\n  http-request return status 200 content-type text/plain "
                     "lf-string \"told %[src]:%[src_port] name %[fc_pp_authority]\"\n"),
        port);
  }

  std::unique_ptr<Process> NginxReceiver(uint16_t port) {
    return StartNginx(absl::StrCat("http { access_log off; ", TemporaryPaths(),
                                   "server { listen 127.0.0.1:", port,
                                   " proxy_protocol; location / { return 200 \"told "
                                   "$proxy_protocol_addr:$proxy_protocol_port\"; } } }\n"),
                      port);
  }

  // Runs curl through `port`, and expects that the last server received curl's own address.
  void ExpectClientTold(uint16_t port) {
    const CommandResult result = Curl(port, "/", kTellClient);
    ASSERT_EQ(result.exit_status, 0) << result.errors;
    const size_t at = result.output.find("\nclient ");
    ASSERT_NE(at, std::string::npos) << result.output;
    const std::string client = result.output.substr(at + 8);
    EXPECT_THAT(result.output, HasSubstr("told " + client));
  }
};

TEST_F(ProxyProtocolTest, CurlsHeaderIsUsedFromATrustedPeer) {
  const auto backend = StartBackend(Mode::kPassthrough);
  const auto proxy =
      StartProxy(Mode::kPassthrough, backend->address(), {"--proxy_protocol=in:127.0.0.1/8"});
  const CommandResult result = Curl(proxy->port, "/hello", {"--haproxy-protocol"});
  EXPECT_EQ(result.exit_status, 0) << result.errors;
  EXPECT_THAT(result.output, HasSubstr("hello from"));
  EXPECT_TRUE(proxy->WaitForLog(" via=127.0.0.1:")) << proxy->log();
}

TEST_F(ProxyProtocolTest, ATrustedPeerMustSendOneAndOthersMustNot) {
  const auto backend = StartBackend(Mode::kPassthrough);
  const auto trusting =
      StartProxy(Mode::kPassthrough, backend->address(), {"--proxy_protocol=in:127.0.0.1/8"});
  EXPECT_NE(Curl(trusting->port, "/hello").exit_status, 0);
  EXPECT_TRUE(trusting->WaitForLog("protocol")) << trusting->log();
  const auto wary =
      StartProxy(Mode::kPassthrough, backend->address(), {"--proxy_protocol=in:192.0.2.0/24"});
  EXPECT_NE(Curl(wary->port, "/hello", {"--haproxy-protocol"}).exit_status, 0);
  EXPECT_TRUE(wary->WaitForLog("not_tls")) << wary->log();
  EXPECT_EQ(backend->requests(), 0);
}

TEST_F(ProxyProtocolTest, HaproxyParsesOurHeader) {
  const uint16_t port = FreePort();
  const auto receiver = HaproxyReceiver(port);
  for (const char* version : {"v1", "v2"}) {
    const auto proxy = StartProxy(Mode::kOffload, absl::StrCat("127.0.0.1:", port),
                                  {absl::StrCat("--proxy_protocol=out:", version)});
    ExpectClientTold(proxy->port);
    const bool named = absl::StrContains(Curl(proxy->port, "/").output, kFrontName);
    EXPECT_EQ(named, version == std::string("v2")) << "only v2 can carry the name";
  }
}

TEST_F(ProxyProtocolTest, NginxParsesOurHeader) {
  const uint16_t port = FreePort();
  const auto receiver = NginxReceiver(port);
  for (const char* version : {"v1", "v2"}) {
    const auto proxy = StartProxy(Mode::kOffload, absl::StrCat("127.0.0.1:", port),
                                  {absl::StrCat("--proxy_protocol=out:", version)});
    ExpectClientTold(proxy->port);
  }
}

TEST_F(ProxyProtocolTest, TheClientsAddressPassesTwoProxies) {
  const uint16_t port = FreePort();
  const auto receiver = HaproxyReceiver(port);
  const auto inner = StartProxy(Mode::kOffload, absl::StrCat("127.0.0.1:", port),
                                {"--proxy_protocol=in:127.0.0.1/8,out:v2"});
  const auto outer = StartProxy(Mode::kPassthrough, absl::StrCat("127.0.0.1:", inner->port),
                                {"--proxy_protocol=out:v2"});
  ExpectClientTold(outer->port);
}

TEST_F(ProxyProtocolTest, HeadersOfHaproxyAreParsed) {
  const uint16_t receiver_port = FreePort();
  const auto receiver = NginxReceiver(receiver_port);
  const auto proxy = StartProxy(Mode::kOffload, absl::StrCat("127.0.0.1:", receiver_port),
                                {"--proxy_protocol=in:127.0.0.1/8,out:v1"});
  for (const char* how :
       {"send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id"}) {
    const uint16_t port = FreePort();
    const auto sender =
        StartHaproxy(absl::StrCat("listen sender\n  mode tcp\n  bind 127.0.0.1:", port,
                                  "\n  unique-id-format id-%rt\n  server s 127.0.0.1:", proxy->port,
                                  " ", how, "\n"),
                     port);
    ExpectClientTold(port);
  }
}

TEST_F(ProxyProtocolTest, HeadersOfNginxAreParsed) {
  const uint16_t receiver_port = FreePort();
  const auto receiver = HaproxyReceiver(receiver_port);
  const auto proxy = StartProxy(Mode::kOffload, absl::StrCat("127.0.0.1:", receiver_port),
                                {"--proxy_protocol=in:127.0.0.1/8,out:v2"});
  const uint16_t port = FreePort();
  const auto sender =
      StartNginx(absl::StrCat("stream { server { listen 127.0.0.1:", port,
                              "; proxy_pass 127.0.0.1:", proxy->port, "; proxy_protocol on; } }\n"),
                 port);
  ExpectClientTold(port);
}

}  // namespace
}  // namespace trestle::e2e
