// /readyz of --admin: what a proxy waits for at its start. Health checks by HAProxy with PROXY
// headers.

#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_programs.h"

namespace trestle::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ReadyTest : public ServerProgramsTest {
 protected:
  std::unique_ptr<ProxyProcess> Start(const std::string& backend,
                                      std::vector<std::string> more = {}) const {
    more.push_back("--admin=127.0.0.1:0");
    return StartProxy(Mode::kOffload, backend, more);
  }

  const std::unique_ptr<HttpBackend> backend_ = StartBackend(Mode::kOffload);
};

TEST_F(ReadyTest, ItIsReadyOnceABackendAcceptsConnections) {
  const uint16_t port = FreePort();
  const auto proxy = Start(absl::StrCat("127.0.0.1:", port));
  const uint16_t admin = AdminPort(*proxy);
  EXPECT_THAT(WaitForPage(admin, "/readyz", "no backend"),
              AllOf(HasSubstr("503 Service Unavailable"),
                    HasSubstr("not ready: no backend answers for all names\n")));
  EXPECT_THAT(GetPage(admin, "/healthz"), HasSubstr("200 OK")) << "no reason for a restart";
  EXPECT_THAT(proxy->log(), Not(HasSubstr("\nready\n")));
  const auto server =
      StartOpenssl({"-cert", PathOf("front.pem"), "-key", PathOf("front.key")}, port);
  EXPECT_THAT(WaitForPage(admin, "/readyz", "200 OK"), HasSubstr("\r\n\r\nready\n"));
  EXPECT_TRUE(proxy->WaitForLog("\nready\n")) << proxy->log();
}

TEST_F(ReadyTest, TheFlagTellsWhichBackendsMustBeThere) {
  const RefusingPort gone;
  const std::string routes =
      absl::StrCat("--routes=a.test=", backend_->address(), ",b.test=", gone.address());
  const auto start = [&](const std::string& wanted) {
    return StartProgram({ExampleProgram("passthrough_proxy"), "--listen=127.0.0.1:0",
                         "--admin=127.0.0.1:0", routes, absl::StrCat("--ready_backends=", wanted)});
  };
  const auto any = start("any");
  WaitForPage(AdminPort(*any), "/readyz", "200 OK");
  const auto none = start("none");
  WaitForPage(AdminPort(*none), "/readyz", "200 OK");
  const auto all = start("all");
  WaitForPage(AdminPort(*all), "/readyz", "not ready: no backend answers for b.test\n");
  const CommandResult wrong =
      RunCommand({ExampleProgram("passthrough_proxy"), "--listen=127.0.0.1:0",
                  "--admin=127.0.0.1:0", routes, "--ready_backends=some"},
                 kPatience);
  EXPECT_EQ(wrong.exit_status, 1);
  EXPECT_THAT(wrong.errors, HasSubstr("--ready_backends has \"some\"; write any, all or none"));
}

TEST_F(ReadyTest, ItWaitsForAValidCertificate) {
  testing::LeafSpec leaf = LeafFor(kFrontName);
  leaf.not_before = absl::Now() + absl::Hours(1);
  WriteCertificate("front", leaf);
  const auto proxy = Start(backend_->address());
  const uint16_t admin = AdminPort(*proxy);
  WaitForPage(admin, "/readyz", "not ready: no certificate is valid\n");
  WriteCertificate("front", LeafFor(kFrontName));
  WaitForPage(admin, "/readyz", "200 OK");
}

TEST_F(ReadyTest, ItWaitsForTheFleetsKeysButNotForEver) {
  const uint16_t port = FreePort();
  const std::string flag = absl::StrCat("--ticket_keys_redis=127.0.0.1:", port);
  const auto without = Start(backend_->address(), {flag});
  WaitForPage(AdminPort(*without), "/readyz", "not ready: no ticket keys from Redis\n");
  WaitForPage(AdminPort(*without), "/readyz", "200 OK");
  EXPECT_THAT(without->log(), Not(HasSubstr("taken from Redis")));

  const auto redis = StartServer({FindProgram("redis-server"), "--port", absl::StrCat(port),
                                  "--bind", "127.0.0.1", "--save", "", "--dir", PathOf("")},
                                 port);
  const auto with = Start(backend_->address(), {flag});
  WaitForPage(AdminPort(*with), "/readyz", "200 OK");
  EXPECT_THAT(with->log(), HasSubstr("in Redis"));
}

TEST_F(ReadyTest, ItIsNotReadyWhileItDrains) {
  const auto proxy = Start(backend_->address());
  const uint16_t admin = AdminPort(*proxy);
  WaitForPage(admin, "/readyz", "200 OK");
  const auto open = ConnectTls(proxy->port);  // Keeps the drain from ending immediately.
  ASSERT_NE(open, nullptr);
  proxy->process.Signal(SIGTERM);
  ASSERT_TRUE(proxy->WaitForLog("draining")) << proxy->log();
  EXPECT_THAT(GetPage(admin, "/readyz"), AllOf(HasSubstr("503"), HasSubstr("draining\n")));
}

TEST_F(ReadyTest, HaproxysChecksWithLocalHeadersAreNoFailures) {
  const auto proxy = Start(backend_->address(), {"--proxy_protocol=in:127.0.0.1/8"});
  const uint16_t admin = AdminPort(*proxy);
  const std::vector<uint16_t> ports = FreePorts(2);
  const auto haproxy = StartHaproxy(
      absl::StrCat("frontend edge\n  mode tcp\n  bind 127.0.0.1:", ports[0],
                   "\n  default_backend proxies\nbackend proxies\n  mode tcp\n  server one "
                   "127.0.0.1:",
                   proxy->port,
                   " check inter 50ms check-send-proxy send-proxy-v2\nfrontend page\n"
                   "  bind 127.0.0.1:",
                   ports[1], "\n  stats enable\n  stats uri /\n"),
      ports[1]);
  const auto status = [&] { return GetPage(ports[1], "/;csv"); };
  EXPECT_TRUE(WaitUntil([&] { return absl::StrContains(status(), "L4OK"); })) << status();
  WaitForPage(admin, "/metrics", "result=\"nothing_sent\"");
  EXPECT_EQ(Curl(ports[0], "/hello").output, "hello from backend");
  EXPECT_TRUE(proxy->WaitForLog(" via=127.0.0.1:")) << proxy->log();
  const std::string metrics = GetPage(admin, "/metrics");
  for (const char* failure : {"truncated", "not_tls", "protocol", "transport", "internal"}) {
    EXPECT_THAT(metrics, Not(HasSubstr(absl::StrCat("result=\"", failure, "\"")))) << metrics;
  }

  proxy->process.Signal(SIGTERM);
  EXPECT_TRUE(WaitUntil([&] { return absl::StrContains(status(), "DOWN"); })) << status();
}

}  // namespace
}  // namespace trestle::e2e
