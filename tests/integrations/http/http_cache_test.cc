// The cache of an HttpGateway: what is stored, served, validated and given up (RFC 9111).

#include "integrations/http/http_cache.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http/gateway_fixture.h"

namespace trestle {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class HttpCacheTest : public GatewayFixture {
 protected:
  HttpCacheTest() { options.cache_bytes = 1 << 20; }

  /// Sends a request on a connection of its own. If it reaches the backend, `response` answers it.
  std::string Ask(const std::string& request, const std::string& response) {
    const auto client = Connect();
    const size_t before = ReceivedByBackend();
    Send(*client, request);
    fetched = ReceivedByBackend() > before;
    if (fetched) Send(*a.back(), response);
    return client->received();
  }

  size_t ReceivedByBackend() const {
    size_t bytes = 0;
    for (const auto& peer : a) bytes += peer->received().size();
    return bytes;
  }

  bool fetched = false;  // By the last `Ask`.
};

std::string Response(absl::string_view fields, absl::string_view body = "hi", int status = 200) {
  return absl::StrCat("HTTP/1.1 ", status, " -\r\n", fields, "Content-Length: ", body.size(),
                      "\r\n\r\n", body);
}

TEST_F(HttpCacheTest, ServesWhatIsFreshAndFetchesWhatIsNot) {
  const std::string response = Response("Cache-Control: max-age=60\r\nAge: 5\r\n");
  Ask(Get("/"), response);
  EXPECT_TRUE(fetched);
  loop.RunFor(absl::Seconds(10));
  const std::string cached = Ask(Get("/"), "");
  EXPECT_FALSE(fetched);
  EXPECT_THAT(cached, HasSubstr("age: 15\r\n"));
  EXPECT_THAT(cached, HasSubstr("cache-status: trestle; hit\r\n"));
  EXPECT_THAT(cached, EndsWith("content-length: 2\r\n\r\nhi"));
  EXPECT_TRUE(reports.back().cached);
  EXPECT_EQ(reports.back().status, 200);
  EXPECT_THAT(Ask("HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n", ""),
              EndsWith("content-length: 2\r\n\r\n"));
  EXPECT_FALSE(fetched);
  loop.RunFor(absl::Seconds(46));
  Ask(Get("/"), response);
  EXPECT_TRUE(fetched);
}

TEST_F(HttpCacheTest, StoresNothingThatIsDoubtful) {
  for (const char* fields :
       {"", "Cache-Control: no-store\r\n", "Cache-Control: max-age=9, private\r\n",
        "Cache-Control: max-age=9, no-cache\r\n", "Cache-Control: max-age=9\r\nSet-Cookie: a=b\r\n",
        "Cache-Control: max-age=9\r\nVary: *\r\n", "Cache-Control: max-age=0\r\n",
        "Cache-Control: max-age=x\r\n", "Cache-Control: max-age=9, max-age=10\r\n",
        "Expires: 0\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"}) {
    Ask(Get("/"), Response(fields));
    Ask(Get("/"), Response(fields));
    EXPECT_TRUE(fetched) << fields;
  }
  const std::string good = Response("Cache-Control: max-age=60\r\n");
  for (const char* more : {"Authorization: Basic x\r\n", "Cookie: a=b\r\n", "Range: bytes=0-1\r\n",
                           "Cache-Control: no-store\r\n"}) {
    Ask(Get("/more", more), good);
    Ask(Get("/more"), Response(""));
    EXPECT_TRUE(fetched) << more;
  }
  for (const int status : {206, 302, 500}) {
    Ask(Get("/status"), Response("Cache-Control: max-age=60\r\n", "hi", status));
    Ask(Get("/status"), Response(""));
    EXPECT_TRUE(fetched) << status;
  }
}

TEST_F(HttpCacheTest, AKeyIsAuthorityAndTargetAndVary) {
  const std::string response = Response("Cache-Control: max-age=60\r\nVary: Accept-Language\r\n");
  Ask(Get("/", "Accept-Language: de\r\n"), response);
  Ask(Get("/", "Accept-Language: de\r\n"), "");
  EXPECT_FALSE(fetched);
  for (const std::string& other :
       {Get("/", "Accept-Language: fr\r\n"), Get("/?"), Get("/%20", "Accept-Language: de\r\n"),
        std::string("GET / HTTP/1.1\r\nHost: app.test:80\r\nAccept-Language: de\r\n\r\n")}) {
    Ask(other, response);
    EXPECT_TRUE(fetched) << other;
  }
}

TEST_F(HttpCacheTest, ValidatesWhatIsStale) {
  Ask(Get("/"), Response("Cache-Control: max-age=5\r\nETag: \"1\"\r\nX: old\r\n"));
  loop.RunFor(absl::Seconds(6));
  const std::string refreshed =
      Ask(Get("/"), "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=5\r\nX: new\r\n\r\n");
  EXPECT_THAT(a.back()->received(), HasSubstr("if-none-match: \"1\"\r\n"));
  EXPECT_THAT(refreshed, HasSubstr("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(refreshed, HasSubstr("x: new\r\n"));
  EXPECT_THAT(refreshed, EndsWith("\r\n\r\nhi"));
  Ask(Get("/"), "");
  EXPECT_FALSE(fetched);
  // A client's own condition, and its demand.
  EXPECT_THAT(Ask(Get("/", "If-None-Match: W/\"1\", \"2\"\r\n"), ""),
              HasSubstr("HTTP/1.1 304 Not Modified\r\n"));
  EXPECT_FALSE(fetched);
  Ask(Get("/", "Cache-Control: no-cache\r\n"), Response("Cache-Control: max-age=5\r\n", "newer"));
  EXPECT_TRUE(fetched);
  EXPECT_THAT(Ask(Get("/"), ""), EndsWith("newer"));
}

TEST_F(HttpCacheTest, OneRequestFetchesForAllThatWait) {
  Peers clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(Connect());
    Send(*clients.back(), Get("/"));
  }
  ASSERT_EQ(a.size(), 1u);
  Send(*a[0], Response("Cache-Control: max-age=5\r\n"));
  for (const auto& client : clients) EXPECT_THAT(client->received(), EndsWith("\r\n\r\nhi"));
  EXPECT_EQ(a.size(), 1u);
  // Where the response can't be stored, each fetches its own.
  clients.clear();
  for (int i = 0; i < 3; ++i) {
    clients.push_back(Connect());
    Send(*clients.back(), Get("/own"));
  }
  Send(*a[0], Response(""));
  EXPECT_EQ(a.size(), 3u);
  Send(*a[1], Response(""));
  Send(*a[2], Response(""));
  // A fetch that is given up lets the next one go on.
  loop.RunFor(absl::Minutes(1));
  a.clear();
  Send(*clients[0], Get("/left"));
  Send(*clients[1], Get("/left"));
  ASSERT_EQ(a.size(), 1u);
  clients[0]->Abort();
  loop.RunReady();
  ASSERT_EQ(a.size(), 2u);
  Send(*a[1], Response(""));
  EXPECT_THAT(clients[1]->received(), EndsWith("\r\n\r\nhi"));
}

TEST_F(HttpCacheTest, ServesStaleResponsesOnErrorsWhereAllowed) {
  Ask(Get("/"), Response("Cache-Control: max-age=5, stale-if-error=60\r\n"));
  Ask(Get("/strict"), Response("Cache-Control: max-age=5\r\n", "strict"));
  loop.RunFor(absl::Seconds(10));
  EXPECT_THAT(Ask(Get("/"), Response("", "bad", 503)), EndsWith("\r\n\r\nhi"));
  EXPECT_THAT(Ask(Get("/strict"), Response("", "bad", 503)), EndsWith("bad"));
  dialer.Refuse(BackendA(), absl::UnavailableError("refused"));
  a.clear();
  loop.RunReady();
  EXPECT_THAT(Ask(Get("/"), ""), EndsWith("\r\n\r\nhi"));
  EXPECT_THAT(Ask(Get("/strict"), ""), HasSubstr("502 Bad Gateway"));
}

TEST_F(HttpCacheTest, WritesInvalidate) {
  Ask(Get("/"), Response("Cache-Control: max-age=60\r\n"));
  Ask("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n", Response("", "no", 400));
  Ask(Get("/"), "");
  EXPECT_FALSE(fetched);
  Ask("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n", Response(""));
  Ask(Get("/"), Response(""));
  EXPECT_TRUE(fetched);
}

TEST_F(HttpCacheTest, ACutResponseIsNotStored) {
  const auto client = Connect();
  Send(*client, Get("/"));
  Send(*a[0], "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 9\r\n\r\nhalf");
  a[0]->Abort();
  loop.RunReady();
  EXPECT_THAT(Ask(Get("/"), Response("", "whole")), EndsWith("whole"));
}

TEST(HttpCacheBytesTest, StaysWithinItsBytes) {
  HttpCache cache(100'000);
  HttpRequest request;
  request.method = "GET";
  for (int i = 0; i < 1000; ++i) {
    auto response = std::make_shared<CachedResponse>();
    response->body = std::string(static_cast<size_t>(i) * 20, 'x');
    cache.Store(absl::StrCat("https app.test /", i), response);
    EXPECT_LE(cache.bytes(), 100'000u);
  }
  EXPECT_NE(cache.Find("https app.test /999", request), nullptr);
  EXPECT_EQ(cache.Find("https app.test /1", request), nullptr);
  cache.Clear();
  EXPECT_EQ(cache.bytes(), 0u);
}

}  // namespace
}  // namespace trestle
