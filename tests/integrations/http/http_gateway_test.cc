// HttpGateway with HTTP/1.1 on both legs, over virtual time: routes, kept connections, refusals,
// failures of backends, time limits, drain.

#include "integrations/http/http_gateway.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http/gateway_fixture.h"

namespace trestle {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class HttpGatewayTest : public GatewayFixture {};

TEST_F(HttpGatewayTest, LeadsEachRequestOfAConnectionToItsBackend) {
  const auto client = Connect();
  Send(*client, Get("/x") + Get("/b/y"));
  ASSERT_EQ(a.size(), 1u);
  EXPECT_THAT(a[0]->received(), StartsWith("GET /x HTTP/1.1\r\nhost: app.test\r\n"));
  EXPECT_TRUE(b.empty());  // Its response is the second one.
  Send(*a[0], kOk);
  ASSERT_EQ(b.size(), 1u);
  EXPECT_THAT(b[0]->received(), StartsWith("GET /b/y HTTP/1.1\r\n"));
  Send(*b[0],
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nB\r\n0\r\nx-sum: 1\r\n\r\n");
  EXPECT_EQ(client->received(),
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nB\r\n0\r\nx-sum: 1\r\n\r\n");
  EXPECT_EQ(reports.size(), 2u);
}

TEST_F(HttpGatewayTest, KeepsBackendConnectionsForOtherClients) {
  for (int i = 0; i < 3; ++i) {
    const auto client = Connect();
    Send(*client, Get("/", "Connection: close\r\n"));
    ASSERT_EQ(a.size(), 1u);
    Send(*a[0], kOk);
    EXPECT_THAT(client->received(), EndsWith("connection: close\r\n\r\nok"));
    EXPECT_TRUE(client->saw_end());
    EXPECT_EQ(reports.back().backend_reused, i > 0);
  }
  EXPECT_EQ(gateway().pool_stats().connections, 1u);
  loop.RunFor(absl::Minutes(1));
  EXPECT_EQ(gateway().pool_stats().connections, 0u);
}

TEST_F(HttpGatewayTest, HonoursTheBackendsKeepAliveTimeout) {
  const auto client = Connect();
  Send(*client, Get("/"));
  Send(*a[0], "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n");
  loop.RunFor(absl::Seconds(3));
  EXPECT_EQ(gateway().pool_stats().connections, 1u);
  loop.RunFor(absl::Seconds(3));
  EXPECT_EQ(gateway().pool_stats().connections, 0u);
}

TEST_F(HttpGatewayTest, NeverHandsOutAConnectionWithLeftovers) {
  const auto client = Connect();
  Send(*client, Get("/1"));
  Send(*a[0], absl::StrCat(kOk, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"));
  Send(*client, Get("/2"));
  ASSERT_EQ(a.size(), 2u);
  Send(*a[1], kOk);
  Send(*client, Get("/3"));
  ASSERT_EQ(a.size(), 2u);
  // Bytes that come between two requests.
  Send(*a[1], kOk);
  a[1]->Send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
  loop.RunReady();
  Send(*client, Get("/4"));
  ASSERT_EQ(a.size(), 3u);
  EXPECT_THAT(client->received(), Not(HasSubstr("poison")));
}

TEST_F(HttpGatewayTest, RefusesWithAPageAndAReason) {
  struct Case {
    std::string request;
    int status;
    HttpReason reason;
  };
  const Case cases[] = {
      {"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n", 421, HttpReason::kMisdirected},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, HttpReason::kBadRequest},
      {Get("/a/../b"), 400, HttpReason::kBadRequest},
      {"CONNECT app.test:443 HTTP/1.1\r\nHost: app.test:443\r\n\r\n", 405,
       HttpReason::kMethodNotAllowed},
      {absl::StrCat("GET /", std::string(9000, 'x'), " HTTP/1.1\r\nHost: app.test\r\n\r\n"), 414,
       HttpReason::kTargetTooLong},
      {Get("/", absl::StrCat("X: ", std::string(40000, 'x'), "\r\n")), 431,
       HttpReason::kHeadTooLarge},
      {"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nTransfer-Encoding: "
       "chunked\r\n\r\n0\r\n\r\n",
       400, HttpReason::kBadRequest},
  };
  for (const Case& c : cases) {
    reports.clear();
    const auto client = Connect();
    Send(*client, c.request);
    EXPECT_THAT(client->received(), StartsWith(absl::StrCat("HTTP/1.1 ", c.status))) << c.request;
    EXPECT_EQ(Report().reason, c.reason) << c.request;
  }
  EXPECT_TRUE(a.empty());
}

TEST_F(HttpGatewayTest, ABodyOverTheLimitIs413) {
  options.body_bytes = 10;
  for (const char* framing :
       {"Content-Length: 11\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nb\r\n"}) {
    reports.clear();
    const auto client = Connect();
    Send(*client, absl::StrCat("POST / HTTP/1.1\r\nHost: app.test\r\n", framing, "12345678901"));
    EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 413 "));
    EXPECT_EQ(Report().reason, HttpReason::kBodyTooLarge);
  }
}

TEST_F(HttpGatewayTest, ADeadBackendIs502AndAnotherOneIsTried) {
  dialer.Refuse(BackendB(), absl::UnavailableError("refused"));
  const auto client = Connect();
  Send(*client, Get("/b"));
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 502 Bad Gateway\r\n"));
  EXPECT_EQ(Report().reason, HttpReason::kUnreachable);
  Send(*client, "GET / HTTP/1.1\r\nHost: two.test\r\n\r\n");
  ASSERT_EQ(a.size(), 1u);
  Send(*a[0], kOk);
  EXPECT_EQ(reports.back().status, 200);
  EXPECT_EQ(reports.back().backend, BackendA());
}

TEST_F(HttpGatewayTest, TimeLimitsOfAllPhases) {
  options.timeouts.connect = absl::Seconds(3);
  options.timeouts.first_byte = absl::Seconds(4);
  // No connection.
  dialer.Refuse(BackendB(), absl::UnavailableError("never"), absl::InfiniteDuration());
  const auto unconnected = Connect();
  Send(*unconnected, Get("/b"));
  loop.RunFor(absl::Seconds(3.1));
  EXPECT_THAT(unconnected->received(), StartsWith("HTTP/1.1 504 "));
  EXPECT_EQ(reports.back().reason, HttpReason::kConnectTimeout);
  // No response.
  const auto unanswered = Connect();
  Send(*unanswered, Get("/"));
  loop.RunFor(absl::Seconds(4.1));
  EXPECT_THAT(unanswered->received(), StartsWith("HTTP/1.1 504 "));
  EXPECT_EQ(reports.back().reason, HttpReason::kBackendTimeout);
  // No body.
  const auto silent = Connect();
  Send(*silent, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 9\r\n\r\n123");
  loop.RunFor(absl::Seconds(31));
  EXPECT_THAT(silent->received(), StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(reports.back().reason, HttpReason::kBodyTimeout);
  // No head.
  const auto slow = Connect();
  Send(*slow, "GET / HT");
  loop.RunFor(absl::Seconds(11));
  EXPECT_THAT(slow->received(), StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(reports.back().reason, HttpReason::kHeadTimeout);
}

TEST_F(HttpGatewayTest, ARequestOnAStaleConnectionIsTriedAgain) {
  const auto client = Connect();
  Send(*client, Get("/1"));
  Send(*a[0], kOk);
  client->Send(Get("/2"));
  loop.RunReady();
  ASSERT_EQ(a.size(), 1u);
  a[0]->Abort();  // It was on its way.
  loop.RunReady();
  ASSERT_EQ(a.size(), 2u);
  Send(*a[1], kOk);
  EXPECT_EQ(reports.back().status, 200);
  // A request that may have had an effect is not.
  Send(*client, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n");
  a[1]->Abort();
  loop.RunReady();
  EXPECT_EQ(a.size(), 2u);
  EXPECT_EQ(reports.back().status, 502);
  EXPECT_EQ(reports.back().reason, HttpReason::kBackendClosed);
}

TEST_F(HttpGatewayTest, AResponseThatIsCutLooksCut) {
  const auto client = Connect();
  Send(*client, Get("/"));
  Send(*a[0], "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
  a[0]->End();
  loop.RunReady();
  EXPECT_THAT(client->received(), EndsWith("12345"));
  EXPECT_FALSE(client->failure().ok());
  EXPECT_EQ(Report().reason, HttpReason::kBackendClosed);
}

TEST_F(HttpGatewayTest, AnAmbiguousResponseIs502) {
  for (const char* response :
       {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"}) {
    reports.clear();
    const auto client = Connect();
    Send(*client, Get("/"));
    Send(*a.back(), response);
    EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 502 ")) << response;
    EXPECT_EQ(Report().reason, HttpReason::kBadResponse) << response;
  }
}

TEST_F(HttpGatewayTest, HeadAndEmptyResponsesHaveNoBody) {
  const auto client = Connect();
  Send(*client, "HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n" + Get("/"));
  Send(*a[0], "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
  Send(*a[0], "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(client->received(),
            "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
}

TEST_F(HttpGatewayTest, InformationalResponsesPass) {
  const auto client = Connect();
  Send(*client,
       "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(a[0]->received(), HasSubstr("expect: 100-continue\r\n"));
  EXPECT_EQ(client->received(), "");
  loop.RunFor(absl::Seconds(1.1));  // The backend says nothing.
  EXPECT_EQ(client->received(), "HTTP/1.1 100 Continue\r\n\r\n");
  Send(*client, "hi");
  EXPECT_THAT(a[0]->received(), EndsWith("\r\n\r\nhi"));
  Send(*a[0], absl::StrCat(
                  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", kOk));
  EXPECT_EQ(client->received(),
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
}

TEST_F(HttpGatewayTest, AChangeOfProtocolMakesATunnel) {
  const auto client = Connect();
  Send(*client, Get("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  EXPECT_THAT(a[0]->received(), HasSubstr("upgrade: websocket\r\nconnection: upgrade\r\n"));
  Send(*client, "early");
  EXPECT_THAT(a[0]->received(), Not(HasSubstr("early")));
  Send(*a[0],
       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi");
  EXPECT_THAT(client->received(), EndsWith("\r\n\r\nhi"));
  EXPECT_THAT(a[0]->received(), EndsWith("\r\n\r\nearly"));
  client->End();
  loop.RunReady();
  EXPECT_TRUE(a[0]->saw_end());
  Send(*a[0], "bye");
  a[0]->End();
  loop.RunReady();
  EXPECT_THAT(client->received(), EndsWith("hibye"));
  EXPECT_TRUE(client->saw_end());
}

TEST_F(HttpGatewayTest, ASlowClientHoldsItsBackend) {
  const auto client = Connect();
  client->SetReading(false);
  Send(*client, Get("/"));
  a[0]->Send(absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n",
                          std::string(10'000'000, 'x')));
  loop.RunReady();
  EXPECT_GT(a[0]->unsent_bytes(), 9'000'000u);
  client->SetReading(true);
  loop.RunReady();
  EXPECT_EQ(a[0]->unsent_bytes(), 0u);
  EXPECT_GT(client->received().size(), 10'000'000u);
  EXPECT_EQ(Report().bytes_out, 10'000'000u);
}

TEST_F(HttpGatewayTest, AClientThatLeavesCancelsItsRequest) {
  auto client = Connect();
  Send(*client, Get("/"));
  client->Abort();
  loop.RunReady();
  EXPECT_FALSE(a[0]->failure().ok());
  EXPECT_EQ(Report().reason, HttpReason::kClientGone);
  EXPECT_EQ(gateway().open_requests(), 0u);
  EXPECT_EQ(gateway().open_connections(), 0u);
}

TEST_F(HttpGatewayTest, ADrainClosesIdleConnectionsAndFinishesRequests) {
  const auto idle = Connect();
  const auto busy = Connect();
  Send(*busy, Get("/"));
  gateway().BeginDrain();
  loop.RunReady();
  EXPECT_TRUE(idle->saw_end());
  Send(*a[0], kOk);
  EXPECT_THAT(busy->received(), EndsWith("connection: close\r\n\r\nok"));
  EXPECT_TRUE(busy->saw_end());
}

TEST_F(HttpGatewayTest, RoutesAreReplacedWhileRequestsRun) {
  const auto client = Connect();
  Send(*client, Get("/"));
  ASSERT_TRUE(
      gateway()
          .UseRoutes(*GatewayRoutes::Create(*ParseGatewayRoutes("app.test/=http://192.0.2.11:80")))
          .ok());
  Send(*a[0], kOk);
  Send(*client, Get("/"));
  EXPECT_EQ(b.size(), 1u);
  EXPECT_FALSE(gateway()
                   .UseRoutes(*GatewayRoutes::Create(
                       *ParseGatewayRoutes("app.test/=https://192.0.2.11:80@x.test")))
                   .ok());
}

TEST_F(HttpGatewayTest, AFullPoolMakesRequestsWait) {
  options.pool.connections = 1;
  options.pool.waiting = 1;
  const auto first = Connect();
  const auto second = Connect();
  const auto third = Connect();
  Send(*first, Get("/1"));
  Send(*second, Get("/2"));
  Send(*third, Get("/3"));
  EXPECT_THAT(third->received(), StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(Report().reason, HttpReason::kPoolFull);
  ASSERT_EQ(a.size(), 1u);
  Send(*a[0], kOk);
  EXPECT_THAT(a[0]->received(), HasSubstr("GET /2 "));
  Send(*a[0], kOk);
  EXPECT_THAT(second->received(), EndsWith("ok"));
}

/// Answers when the test says so.
class SlowJudge final : public RequestJudge {
 public:
  size_t body_bytes() const override { return 10; }
  absl::StatusOr<std::unique_ptr<JudgeCall>> Judge(JudgedRequest request,
                                                   JudgeVerdict verdict) override {
    struct Asked final : JudgeCall {
      explicit Asked(SlowJudge& judge) : judge(judge) {}
      ~Asked() override { judge.verdict = nullptr; }
      SlowJudge& judge;
    };
    asked.push_back(std::move(request));
    this->verdict = std::move(verdict);
    return std::make_unique<Asked>(*this);
  }

  std::vector<JudgedRequest> asked;
  JudgeVerdict verdict;  // Of the last request; empty once it was given up.
};

TEST_F(HttpGatewayTest, AJudgeSeesTheWholeRequestFirst) {
  SlowJudge judge;
  options.judge = &judge;
  const auto client = Connect();
  Send(*client,
       "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nab");
  EXPECT_EQ(client->received(), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_TRUE(judge.asked.empty());
  Send(*client, "cd");
  ASSERT_EQ(judge.asked.size(), 1u);
  EXPECT_EQ(judge.asked[0].body, "abcd");
  EXPECT_TRUE(a.empty());
  std::exchange(judge.verdict, nullptr)(std::nullopt);
  loop.RunReady();
  ASSERT_EQ(a.size(), 1u);
  EXPECT_THAT(a[0]->received(), EndsWith("content-length: 4\r\n\r\nabcd"));
  Send(*a[0], kOk);
  EXPECT_THAT(client->received(), EndsWith("\r\n\r\nok"));
  // A refusal.
  Send(*client, Get("/"));
  std::exchange(judge.verdict, nullptr)(HttpRefusal{403, "no"});
  loop.RunReady();
  EXPECT_THAT(client->received(), EndsWith("403 Forbidden\n"));
  EXPECT_EQ(reports.back().reason, HttpReason::kDenied);
  EXPECT_EQ(a.size(), 1u);
  // A verdict that does not come.
  Send(*client, Get("/"));
  loop.RunFor(absl::Seconds(6));
  EXPECT_THAT(client->received(), EndsWith("503 Service Unavailable\n"));
  EXPECT_EQ(reports.back().reason, HttpReason::kJudgeBusy);
  EXPECT_FALSE(judge.verdict);
  // A body that is too long.
  Send(*client,
       "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901");
  EXPECT_THAT(client->received(), EndsWith("413 Content Too Large\n"));
}

TEST_F(HttpGatewayTest, AClientThatLeavesGivesTheVerdictUp) {
  SlowJudge judge;
  options.judge = &judge;
  const auto client = Connect();
  Send(*client, Get("/"));
  EXPECT_TRUE(judge.verdict);
  client->Abort();
  loop.RunReady();
  EXPECT_FALSE(judge.verdict);
  EXPECT_EQ(gateway().open_requests(), 0u);
}

}  // namespace
}  // namespace trestle
