#include "trestle/proxy/route_text.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

const Backends& BackendsOf(const Route& route) { return std::get<Backends>(route.target); }

TEST(RouteTextTest, ParsesTheCommandLineForm) {
  const auto routes = ParseRouteList("a.test=127.0.0.1:1, *.b.test=[::1]:2+127.0.0.1:3");
  ASSERT_TRUE(routes.ok()) << routes.status();
  ASSERT_EQ(routes->size(), 2u);
  EXPECT_EQ((*routes)[0].pattern, "a.test");
  EXPECT_EQ((*routes)[1].pattern, "*.b.test");
  EXPECT_EQ(BackendsOf((*routes)[1]).endpoints[0].ToString(), "[::1]:2");
  EXPECT_EQ(BackendsOf((*routes)[1]).endpoints[1].ToString(), "127.0.0.1:3");
  EXPECT_TRUE(ParseRouteList("")->empty());
}

TEST(RouteTextTest, DefaultMayBeInAnyCase) {
  for (const char* name : {"default", "Default", "DEFAULT"}) {
    const std::string backend = "127.0.0.1:1";
    EXPECT_EQ(ParseRouteList(name + ("=" + backend))->at(0).pattern, "") << name;
    EXPECT_EQ(ParseRoutesFile(name + (" " + backend))->at(0).pattern, "") << name;
  }
}

TEST(RouteTextTest, AnInvalidListQuotesTheItem) {
  for (const char* bad : {"a.test", "=127.0.0.1:1", "a.test=", "a.test=localhost",
                          "a.test=127.0.0.1:1+", "a.test=127.0.0.1:99999", "a.test=127.0.0.1:0",
                          "a.test=0.0.0.0:1", "a.test=127.0.0.1:1+[::]:1"}) {
    const auto routes = ParseRouteList(bad);
    ASSERT_FALSE(routes.ok()) << bad;
    ASSERT_TRUE(GetError(routes.status()).has_value());
    EXPECT_EQ(GetError(routes.status())->code, ErrorCode::kConfiguration);
  }
}

TEST(RouteTextTest, ParsesAFile) {
  const auto routes = ParseRoutesFile(
      "# comment\n"
      "\n"
      "app.test   127.0.0.1:1   # trailing\r\n"
      "*.apps.test\t127.0.0.1:2+127.0.0.1:3 balance=least_connections tries=2\n"
      "default 127.0.0.1:4 alpn=acme-tls/1");
  ASSERT_TRUE(routes.ok()) << routes.status();
  ASSERT_EQ(routes->size(), 3u);
  EXPECT_EQ((*routes)[0].pattern, "app.test");
  EXPECT_EQ(BackendsOf((*routes)[1]).balance, Balance::kLeastConnections);
  EXPECT_EQ(BackendsOf((*routes)[1]).max_tries, 2);
  EXPECT_EQ((*routes)[2].pattern, "");
  EXPECT_EQ((*routes)[2].alpn, "acme-tls/1");
}

TEST(RouteTextTest, BackendsMayBeNames) {
  const auto backends = ParseBackends("API.internal:443+192.0.2.1:443+_https._tcp.svc.internal");
  ASSERT_TRUE(backends.ok()) << backends.status();
  EXPECT_EQ(backends->endpoints.size(), 1u);
  ASSERT_EQ(backends->names.size(), 2u);
  EXPECT_EQ(backends->names[0].ToString(), "api.internal:443");
  EXPECT_TRUE(backends->names[1].is_service());
  EXPECT_EQ(backends->ToString(), "192.0.2.1:443+api.internal:443+_https._tcp.svc.internal");
}

TEST(RouteTextTest, AnInvalidFileNamesTheLine) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a.test", "NAME BACKEND"},
      {"a.test api.internal", "the port is missing"},
      {"a.test api.internal:0", "from 1 to 65535"},
      {"a.test 127.0.0.1", "127.0.0.1"},
      {"a.test 127.0.0.1:1 balance=fair", "balance=fair"},
      {"a.test 127.0.0.1:1 tries=0", "tries="},
      {"a.test 127.0.0.1:1 tries=256", "tries="},
      {"a.test 127.0.0.1:1 alpn=", "alpn="},
  };
  for (const auto& [line, why] : cases) {
    const auto routes = ParseRoutesFile("ok.test 127.0.0.1:1\n" + line + "\n");
    ASSERT_FALSE(routes.ok()) << line;
    EXPECT_THAT(std::string(routes.status().message()), HasSubstr("line 2: ")) << line;
    EXPECT_THAT(std::string(routes.status().message()), HasSubstr(why));
  }
}

}  // namespace
}  // namespace trestle
