#include "integrations/http1/http_routes.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http1/http1_fixture.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/tls_fixture.h"
#include "trestle/proxy/tls_bridge.h"

namespace trestle {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::MemoryDialer;
using testing::SimulatedLoop;
using ::testing::StartsWith;
using testing::TestPki;

std::shared_ptr<const HttpRoutes> Routes(const std::string& text) {
  return *HttpRoutes::Create(*ParseHttpRoutes(text));
}

std::string Find(const HttpRoutes& routes, const std::string& host, const std::string& path) {
  HttpRefusal refusal;
  const auto target = routes.Find(host, path, refusal);
  return target != nullptr ? target->route : absl::StrCat(refusal.status);
}

TEST(HttpRoutesTest, TheMostSpecificHostAndTheLongestPathWin) {
  const auto routes = Routes(
      "a.test=192.0.2.1:1,a.test/api=192.0.2.1:2,a.test/api/v2/=192.0.2.1:3,*.a.test=192.0.2.1:4,"
      "**.a.test/deep=192.0.2.1:5,default/any=192.0.2.1:6");
  const char* const rows[][3] = {
      {"a.test", "/", "a.test/"},
      {"a.test", "/x/api", "a.test/"},
      {"a.test", "/api", "a.test/api"},
      {"a.test", "/api/", "a.test/api"},
      {"a.test", "/apix", "a.test/"},
      {"a.test", "/API", "a.test/"},
      {"a.test", "/%61pi", "a.test/api"},
      {"a.test", "/api/v2", "a.test/api/v2/"},
      {"a.test", "/api/v2/x", "a.test/api/v2/"},
      {"a.test", "/api/v22", "a.test/api"},
      {"a.test", "*", "a.test/"},
      {"x.a.test", "/", "*.a.test/"},
      {"x.y.a.test", "/deep", "**.a.test/deep"},
      {"x.y.a.test", "/", "404"},
      {"b.test", "/any", "default/any"},
      {"", "/any", "default/any"},
      {"b.test", "/", "404"},
      // A host with one route for all paths: the interpretation of paths doesn't matter.
      {"x.a.test", "/a//../b", "*.a.test/"},
      // A host with one route for some paths has none for others.
      {"b.test", "/any/../secret", "400"},
      {"b.test", "/any/%2e%2e/secret", "400"},
      {"b.test", "/any%2f..%2fsecret", "400"},
      {"b.test", "/%61ny", "default/any"},
      {"a.test", "/api/../x", "400"},
      {"a.test", "/api/%2e%2E/x", "400"},
      {"a.test", "/./api", "400"},
      {"a.test", "//api", "400"},
      {"a.test", "/api%2fx", "400"},
      {"a.test", "/api\\x", "400"},
      {"a.test", "/api%5cx", "400"},
      {"a.test", "/%2561pi", "400"},
      {"a.test", "/%6", "400"},
      {"a.test", "/%zz", "400"},
      {"a.test", "/%00", "400"},
      {"a.test", "/api%7f", "400"},
      {"a.test", "/api\tx", "400"},
      {"a.test", "/x/..;/api", "400"},
  };
  for (const auto& [host, path, expected] : rows) {
    EXPECT_EQ(Find(*routes, host, path), expected) << host << path;
  }
  EXPECT_EQ(Find(*routes, "a.test", std::string("/api\0x", 6)), "400");
  EXPECT_EQ(Find(*Routes("a.test=192.0.2.1:1"), "b.test", "/"), "421");
}

TEST(HttpRoutesTest, ErrorsAreTyped) {
  const char* const rows[][2] = {
      {"", "there is no HTTP route"},
      {"a.test", "is no HOST/PATH=IP:PORT"},
      {"=192.0.2.1:1", "is no HOST/PATH=IP:PORT"},
      {"a.test=", "is no HOST/PATH=IP:PORT"},
      {"/x=192.0.2.1:1", "has no host"},
      {"a.test/x=192.0.2.1", "192.0.2.1"},
      {"a.test=192.0.2.1:1@", "no name behind its @"},
      {"a.test=192.0.2.1:1@not a name", "bad backend name"},
      {"a..test=192.0.2.1:1", "bad host"},
      {"a.*.test=192.0.2.1:1", "bad host"},
      {"a.test/x/../y=192.0.2.1:1", "needs a plain path"},
      {"a.test//x=192.0.2.1:1", "needs a plain path"},
      {"a.test/%61=192.0.2.1:1", "needs a plain path"},
      {"a.test/x?y=192.0.2.1:1", "needs a plain path"},
      {"a.test/x=192.0.2.1:1,A.TEST/x/=192.0.2.1:2", "is listed twice"},
      {"default=192.0.2.1:1,DEFAULT/=192.0.2.1:2", "is listed twice"},
  };
  for (const auto& [text, words] : rows) {
    auto routes = ParseHttpRoutes(text);
    const absl::Status status =
        routes.ok() ? HttpRoutes::Create(*std::move(routes)).status() : routes.status();
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_EQ(GetError(status)->code, ErrorCode::kConfiguration) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(words)) << text;
  }
  HttpRoute empty;
  empty.host = "a.test";
  EXPECT_THAT(std::string(HttpRoutes::Create({empty}).status().message()),
              HasSubstr("there is no backend"));
  HttpRoute nobody;
  nobody.host = "a.test";
  nobody.backends = *Endpoint::Parse("127.0.0.1:0");
  EXPECT_THAT(std::string(HttpRoutes::Create({nobody}).status().message()), HasSubstr("port 0"));
}

TEST(HttpRoutesTest, ParsesBackendsAndNames) {
  const auto routes = *ParseHttpRoutes("a.test/x=192.0.2.1:1+192.0.2.2:1@in.test, b.test=[::1]:2");
  ASSERT_EQ(routes.size(), 2u);
  EXPECT_EQ(routes[0].path, "/x");
  EXPECT_EQ(routes[0].backends.endpoints.size(), 2u);
  EXPECT_EQ(routes[0].backend_name, "in.test");
  EXPECT_EQ(routes[1].backend_name, "");
}

TEST(HttpRoutesTest, TheHttp1ReaderRejectsHttp2) {
  ContentReaderFactory factory =
      NewHttpRouteReaderFactory(*HttpRoutes::Create(*ParseHttpRoutes("a.test=192.0.2.1:1")));
  ConnectionReport report = ReportOfAppTest();
  TlsInfo tls = *report.front.tls;
  tls.alpn = "h2";
  report.front.tls = std::make_shared<const TlsInfo>(std::move(tls));
  const ContentAnswer answer = factory(report)->Read({}, false);
  EXPECT_EQ(answer.action(), ContentAnswer::Action::kRefuse);
  EXPECT_THAT(answer.reason(), HasSubstr("HTTP/2"));
}

/// A bridge that routes by HTTP to two backends, each with its own name.
class HttpRoutingTest : public ::testing::Test {
 protected:
  HttpRoutingTest() : web(loop, dialer, 1), api(loop, dialer, 2) {
    Serve(web, "web.test", at_web);
    Serve(api, "api.test", at_api);
    Start("app.test=192.0.2.1:443@web.test,app.test/api=192.0.2.2:443@api.test");
  }

  void Serve(TestBackend& backend, const std::string& name,
             std::vector<std::unique_ptr<TlsPeer>>& peers) {
    auto config = ServerFor(pki, loop.Now(), {{name}});
    backend.on_accept = [this, config, &peers](std::unique_ptr<Transport> raw) {
      peers.push_back(TlsPeer::Server(loop, std::move(raw), config));
    };
  }

  void Start(const std::string& text) {
    const auto routes = Routes(text);
    Http1Options http = QuietOptions();
    KeepToRoutes(routes, http);
    TlsBridgeOptions options;
    options.front_tls = ServerFor(pki, loop.Now(), {{"app.test"}});
    options.back_tls = ClientOf(pki);
    options.backend_name = "web.test";
    options.content.new_reader = NewHttpRouteReaderFactory(routes);
    options.new_inspector = *NewHttp1InspectorFactory(loop, std::move(http));
    bridge = *TlsBridge::Create(loop, dialer, std::move(options), &observer);
    client = TlsPeer::Client(loop, ConnectTo(*bridge, loop), ClientOf(pki), {"app.test", {}});
    loop.RunReady();
  }

  void Send(absl::string_view bytes) {
    client->Send(bytes);
    loop.RunReady();
  }

  SimulatedLoop loop;
  MemoryDialer dialer{loop};
  TestPki pki{loop.Now()};
  TestBackend web;
  TestBackend api;
  std::vector<std::unique_ptr<TlsPeer>> at_web;
  std::vector<std::unique_ptr<TlsPeer>> at_api;
  RecordingObserver observer;
  std::unique_ptr<TlsBridge> bridge;
  std::unique_ptr<TlsPeer> client;
};

TEST_F(HttpRoutingTest, TheFirstRequestSelectsTheBackend) {
  const std::string request = "GET /api/x HTTP/1.1\r\nHost: app.test\r\n\r\n";
  for (size_t cut = 0; cut < request.size(); ++cut) {
    at_api.clear();
    Start("app.test=192.0.2.1:443@web.test,app.test/api=192.0.2.2:443@api.test");
    if (cut > 0) Send(request.substr(0, cut));
    EXPECT_EQ(at_api.size(), 0u);
    Send(request.substr(cut));
    ASSERT_EQ(at_api.size(), 1u);
    EXPECT_EQ(at_api[0]->info().server_name, "api.test");
    EXPECT_EQ(at_api[0]->received(),
              "GET /api/x HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
  }
  EXPECT_EQ(at_web.size(), 0u);
  EXPECT_EQ(observer.established.back().route, "app.test/api");
}

TEST_F(HttpRoutingTest, WithSplitPathsEachConnectionCarriesOneRequest) {
  Send("GET /api HTTP/1.1\r\nHost: app.test\r\n\r\nGET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
  ASSERT_EQ(at_api.size(), 1u);
  EXPECT_THAT(at_api[0]->received(), EndsWith("Connection: close\r\n\r\n"));
  EXPECT_THAT(at_api[0]->received(), StartsWith("GET /api "));
  at_api[0]->Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
  at_api[0]->End();
  loop.RunReady();
  EXPECT_THAT(client->received(), EndsWith("ok"));
  EXPECT_TRUE(client->saw_end());
}

TEST_F(HttpRoutingTest, WithoutSplitPathsAConnectionCarriesSeveralRequests) {
  Start("app.test=192.0.2.1:443@web.test,*.app.test=192.0.2.2:443@api.test");
  const std::string request = "GET /x HTTP/1.1\r\nHost: app.test\r\n\r\n";
  Send(request + request);
  ASSERT_EQ(at_web.size(), 1u);
  EXPECT_EQ(at_web[0]->received(), request + request);
}

TEST_F(HttpRoutingTest, ARequestForAnotherBackendIsMisdirected) {
  const auto routes = Routes("app.test=192.0.2.1:1,b.test=192.0.2.2:1");
  ConnectionReport report = ReportOfAppTest();
  report.route = "app.test/";
  Http1Options options = QuietOptions();
  options.hosts = Http1Options::HostPolicy::kAny;
  KeepToRoutes(routes, options);
  Http1Connection c(std::move(options), report);
  const std::string good = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
  c.FromClient(good + "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n");
  EXPECT_EQ(c.at_backend(), good);
  c.FromBackend("HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_THAT(c.at_client(), HasSubstr("\r\n\r\nHTTP/1.1 421 Misdirected Request\r\n"));
  EXPECT_THAT(c.blocked(), HasSubstr("another backend"));
}

TEST_F(HttpRoutingTest, RejectionsPrecedeTheDial) {
  const char* const rows[][2] = {
      {"GET / HTTP/1.1\r\nHost: b.test\r\n\r\n", "421"},
      {"GET /api/../x HTTP/1.1\r\nHost: app.test\r\n\r\n", "400"},
      {"GET / HTTP/1.1\nHost: app.test\r\n\r\n", "400"},
      {"\x16\x03\x01\n", "400"},
  };
  for (const auto& [request, status] : rows) {
    Start("app.test=192.0.2.1:443@web.test,app.test/api=192.0.2.2:443@api.test");
    Send(request);
    EXPECT_THAT(client->received(), StartsWith(absl::StrCat("HTTP/1.1 ", status, " "))) << request;
    EXPECT_TRUE(client->saw_end());
  }
  EXPECT_EQ(dialer.dials(), 0u);
}

TEST_F(HttpRoutingTest, APathWithoutARouteIsNotFound) {
  Start("app.test/api=192.0.2.2:443@api.test");
  Send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 404 Not Found\r\n"));
}

}  // namespace
}  // namespace trestle
