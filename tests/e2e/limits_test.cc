// The limits of the example proxies, with curl and openssl as clients.
#include <signal.h>

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

class LimitsTest : public ProxyTest, public ::testing::WithParamInterface<Mode> {
 protected:
  std::unique_ptr<ProxyProcess> Start(const std::string& limit) {
    return StartProxy(GetParam(), backend_->address(), {limit});
  }

  // Ends the proxy, and returns all that it logged.
  static std::string LogOf(ProxyProcess& proxy) {
    proxy.process.Signal(SIGTERM);
    EXPECT_EQ(proxy.process.WaitForExit(kPatience), 0);
    return proxy.log();
  }

  const std::unique_ptr<HttpBackend> backend_ = StartBackend(GetParam());
};

INSTANTIATE_TEST_SUITE_P(ModesWithHandshakes, LimitsTest,
                         ::testing::Values(Mode::kOffload, Mode::kBridge),
                         [](const auto& info) { return ProgramOf(info.param); });

TEST_P(LimitsTest, FullHandshakesOverTheRateAreRejectedAndResumedOnesAreNot) {
  const auto proxy = Start("--max_handshakes_per_second=0.001");
  const std::string session = PathOf("session.pem");
  EXPECT_EQ(Openssl(proxy->port, "/hello", {"-sess_out", session}).exit_status, 0);
  EXPECT_NE(Curl(proxy->port, "/hello").exit_status, 0);
  const CommandResult resumed = Openssl(proxy->port, "/hello", {"-sess_in", session});
  EXPECT_THAT(resumed.output, HasSubstr("Reused, TLSv1.3"));
  EXPECT_THAT(resumed.output, HasSubstr("hello from backend"));
  const std::string log = LogOf(*proxy);
  EXPECT_THAT(log, HasSubstr("front leg, handshake: over_limit (internal_error)"));
  EXPECT_THAT(log, HasSubstr("refused because of --max_handshakes_per_second: 1\n"));
}

TEST_P(LimitsTest, AClientOverItsOwnRateIsRejected) {
  const auto proxy = Start("--max_handshakes_per_second_per_client=0.001");
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
  EXPECT_NE(Curl(proxy->port, "/hello").exit_status, 0);
  EXPECT_THAT(LogOf(*proxy),
              HasSubstr("refused because of --max_handshakes_per_second_per_client: 1\n"));
}

TEST_P(LimitsTest, OneConnectionTooManyIsReset) {
  const auto proxy = Start("--max_connections=1");
  auto open = ConnectTls(proxy->port);
  ASSERT_NE(open, nullptr);
  EXPECT_EQ(ConnectTls(proxy->port), nullptr);
  open->Write(GetAndCloseRequest("/hello"));
  open->ShutdownWrite();
  EXPECT_THAT(open->ReadToEnd(), ::testing::EndsWith("hello from backend"));
  open.reset();
  EXPECT_TRUE(proxy->WaitForLog("status=\"ok\"")) << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
  EXPECT_THAT(LogOf(*proxy), HasSubstr("refused because of --max_connections: 1\n"));
}

// Sequential clients have no handshakes at the same time.
TEST_P(LimitsTest, SequentialHandshakesDoNotReachTheLimitOfConcurrentOnes) {
  const auto proxy = Start("--max_full_handshakes=1");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
  EXPECT_THAT(LogOf(*proxy), ::testing::Not(HasSubstr("refused because")));
}

}  // namespace
}  // namespace trestle::e2e
