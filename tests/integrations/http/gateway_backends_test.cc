// HttpGateway with several backends: their order, and the ejection of those that fail.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/http/gateway_routes.h"
#include "tests/integrations/http/gateway_fixture.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/client_tls_config.h"

namespace trestle {
namespace {

using ::testing::StartsWith;

class GatewayBackendsTest : public GatewayFixture {
 protected:
  void Use(absl::string_view route) {
    options.routes = *GatewayRoutes::Create(*ParseGatewayRoutesFile(route));
  }

  /// Makes a request; B answers none. Returns its report.
  HttpRequestReport Ask(const std::string& request) {
    const auto client = Connect();
    const size_t before = reports.size();
    const size_t to_a = a.empty() ? 0 : a.back()->received().size();
    Send(*client, request);
    if (!a.empty() && a.back()->received().size() > to_a) Send(*a.back(), kOk);
    EXPECT_EQ(reports.size(), before + 1);
    return reports.back();
  }
};

TEST_F(GatewayBackendsTest, AFailingBackendIsEjectedForAWhile) {
  Use("app.test=http://192.0.2.11:80+192.0.2.10:80");
  dialer.Refuse(BackendB(), absl::UnavailableError("refused"));
  int failures = 0;
  for (int i = 0; i < 10; ++i) failures += Ask(Get("/")).tries - 1;
  EXPECT_EQ(failures, 3);
  // After the ejection, one request tries it; then it is ejected for twice as long.
  loop.RunFor(absl::Milliseconds(1001));
  for (int i = 0; i < 10; ++i) failures += Ask(Get("/")).tries - 1;
  EXPECT_EQ(failures, 4);
  loop.RunFor(absl::Milliseconds(1999));
  for (int i = 0; i < 10; ++i) failures += Ask(Get("/")).tries - 1;
  EXPECT_EQ(failures, 4);
}

TEST_F(GatewayBackendsTest, EjectionIsAnOption) {
  options.ejection.after_failures = 0;
  Use("app.test=http://192.0.2.11:80+192.0.2.10:80");
  dialer.Refuse(BackendB(), absl::UnavailableError("refused"));
  int failures = 0;
  for (int i = 0; i < 10; ++i) failures += Ask(Get("/")).tries - 1;
  EXPECT_GE(failures, 5);
}

TEST_F(GatewayBackendsTest, TheLastBackendIsTriedAlthoughItIsEjected) {
  Use("app.test=http://192.0.2.11:80");
  dialer.Refuse(BackendB(), absl::UnavailableError("refused"));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Ask(Get("/")).reason, HttpReason::kUnreachable);
  Listen(BackendB(), b);
  const auto client = Connect();
  Send(*client, Get("/"));
  ASSERT_EQ(b.size(), 1u);
  Send(*b[0], kOk);
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(GatewayBackendsTest, TheBackendWithTheFewestRequestsIsNext) {
  Use("app.test=http://192.0.2.10:80+192.0.2.11:80 balance=least_connections");
  const std::string post = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n";
  std::vector<std::unique_ptr<StreamPeer>> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(Connect());
    Send(*clients.back(), post);
  }
  ASSERT_EQ(a.size(), 3u);
  ASSERT_EQ(b.size(), 3u);
  // All requests at A end: by its answer, by its failure, and because the client leaves.
  Send(*a[0], kOk);
  a[1]->Abort();
  loop.RunReady();
  clients[4]->Abort();
  loop.RunReady();
  ASSERT_EQ(reports.size(), 3u);
  for (const HttpRequestReport& report : reports) EXPECT_EQ(report.backend, BackendA());
  for (int i = 0; i < 3; ++i) {
    clients.push_back(Connect());
    Send(*clients.back(), post);
  }
  EXPECT_EQ(b.size(), 3u);
}

// A request that changes the protocol offers a backend http/1.1 only, which the backend may refuse.
TEST_F(GatewayBackendsTest, UpgradesDoNotEjectABackendForOtherRequests) {
  ClientTlsOptions tls;
  tls.ca_pem = testing::TestPki(loop.Now()).ca_pem();
  options.back_tls = *ClientTlsConfig::Create(std::move(tls));
  Use("app.test=https://192.0.2.10:80@a.test tries=1");
  const auto ask = [&](absl::string_view more) {
    const auto client = Connect();
    Send(*client, Get("/", more));
    if (!a.empty()) Send(*a.back(), "no TLS here");
    return reports.back();
  };
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask("Connection: Upgrade\r\nUpgrade: websocket\r\n").reason,
              HttpReason::kBackTlsFailed);
  }
  Use("app.test=https://192.0.2.10:80+192.0.2.11:80@a.test tries=1");
  ASSERT_TRUE(gateway().UseRoutes(options.routes).ok());
  std::vector<Endpoint> tried;
  for (int i = 0; i < 2; ++i) {
    const auto client = Connect();
    Send(*client, Get("/"));
    for (auto* peers : {&a, &b}) {
      if (!peers->empty()) Send(*peers->back(), "no TLS here");
    }
    tried.push_back(reports.back().backend);
  }
  EXPECT_THAT(tried, ::testing::UnorderedElementsAre(BackendA(), BackendB()));
  const auto client = Connect();
  Send(*client, Get("/", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  Send(*b.back(), "no TLS here");
  EXPECT_EQ(reports.back().backend, BackendB());
}

}  // namespace
}  // namespace trestle
