// HttpGateway by the options of routes: redirects, other targets, conditions, weights and sticky
// cookies.

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/http/gateway_routes.h"
#include "integrations/http/sticky_cookie.h"
#include "tests/integrations/http/gateway_fixture.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class GatewayRoutingTest : public GatewayFixture {
 protected:
  void Use(absl::string_view file) {
    options.routes = *GatewayRoutes::Create(*ParseGatewayRoutesFile(file));
  }

  /// Returns what a new client gets for a request to which A or B answers with `answer`.
  std::string Ask(const std::string& request, absl::string_view answer = kOk) {
    const auto client = Connect();
    const size_t a_bytes = a.empty() ? 0 : a.back()->received().size();
    Send(*client, request);
    const bool of_a = !a.empty() && a.back()->received().size() > a_bytes;
    if (of_a || !b.empty()) Send(*(of_a ? a : b).back(), answer);
    return client->received();
  }
};

TEST_F(GatewayRoutingTest, ARedirectNeedsNoBackend) {
  Use("app.test=redirect:https://{host}{target}\napp.test/old=redirect:/new{rest} status=301");
  EXPECT_THAT(Ask(Get("/x?y")), HasSubstr("308 Permanent Redirect\r\nlocation: "
                                          "https://app.test/x?y\r\n"));
  EXPECT_EQ(Report().reason, HttpReason::kRedirected);
  EXPECT_EQ(Report().route, "app.test/");
  EXPECT_EQ(Report().tries, 0);
  EXPECT_THAT(Ask(Get("/old/x")), HasSubstr("301 Moved Permanently\r\nlocation: /new/x\r\n"));
  EXPECT_THAT(Ask("OPTIONS * HTTP/1.1\r\nHost: app.test\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Ask("GET / HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.1 421 "));
  EXPECT_TRUE(a.empty());
}

TEST_F(GatewayRoutingTest, ARedirectToHeadHasNoPage) {
  Use("app.test=redirect:https://{host}/");
  const std::string answer = Ask("HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("location: https://app.test/\r\n"));
  EXPECT_THAT(answer, ::testing::EndsWith("\r\n\r\n"));
}

TEST_F(GatewayRoutingTest, ARewriteChangesTheTargetForTheBackendOnly) {
  Use("app.test/api=http://192.0.2.10:80 rewrite=/v1");
  EXPECT_THAT(Ask(Get("/api/x?y=1")), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(a[0]->received(), StartsWith("GET /v1/x?y=1 HTTP/1.1\r\n"));
  EXPECT_EQ(Report().target, "/api/x?y=1");
}

TEST_F(GatewayRoutingTest, NoPathLeavesItsRewrite) {
  Use("app.test=http://192.0.2.10:80 rewrite=/tenant");
  for (const char* path : {"/../secret", "/%2e%2e/secret", "/a%2f..", "/a;b", "//x"}) {
    EXPECT_THAT(Ask(Get(path)), StartsWith("HTTP/1.1 400 ")) << path;
    EXPECT_EQ(reports.back().reason, HttpReason::kBadRequest);
  }
  EXPECT_TRUE(a.empty());
}

TEST_F(GatewayRoutingTest, RoutesWithTheSameTargetShareNoCachedResponse) {
  options.cache_bytes = 1 << 20;
  Use("app.test/a=http://192.0.2.10:80 rewrite=/\napp.test/b=http://192.0.2.11:80 rewrite=/");
  constexpr char kStored[] =
      "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1\r\n\r\n";
  const auto client = Connect();
  Send(*client, Get("/a/x"));
  Send(*a[0], absl::StrCat(kStored, "A"));
  Send(*client, Get("/b/x"));
  ASSERT_EQ(b.size(), 1u);
  Send(*b[0], absl::StrCat(kStored, "B"));
  Send(*client, Get("/b/x"));
  EXPECT_TRUE(reports.back().cached);
  EXPECT_THAT(client->received(), ::testing::EndsWith("B"));
}

TEST_F(GatewayRoutingTest, WhatDependsOnFieldsIsNotCached) {
  options.cache_bytes = 1 << 20;
  Use("app.test=http://192.0.2.10:80\napp.test=http://192.0.2.11:80 header=x-canary:1");
  constexpr char kStored[] =
      "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1\r\n\r\n";
  const auto client = Connect();
  Send(*client, Get("/"));
  Send(*a[0], absl::StrCat(kStored, "A"));
  for (size_t i = 0; i < 2; ++i) {
    Send(*client, Get("/", "X-Canary: 1\r\n"));
    ASSERT_EQ(b.size(), 1u);
    Send(*b[0], absl::StrCat(kStored, "B"));
    EXPECT_FALSE(reports.back().cached);
  }
  Send(*client, Get("/"));
  EXPECT_TRUE(reports.back().cached);
  EXPECT_THAT(client->received(), ::testing::EndsWith("A"));
}

TEST_F(GatewayRoutingTest, MethodsAndFieldsSelectTheBackend) {
  Use("app.test=http://192.0.2.10:80\napp.test=http://192.0.2.11:80 method=POST");
  const auto client = Connect();
  Send(*client, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n");
  ASSERT_EQ(b.size(), 1u);
  Send(*b[0], kOk);
  Send(*client, Get("/"));
  EXPECT_EQ(a.size(), 1u);
}

TEST_F(GatewayRoutingTest, WeightsDivideRequests) {
  Use("app.test=http://192.0.2.10:80 weight=1 name=a\n"
      "app.test=http://192.0.2.11:80 weight=1 name=b");
  const auto client = Connect();
  int of_a = 0;
  for (int i = 0; i < 200; ++i) {
    const size_t before = a.empty() ? 0 : a[0]->received().size();
    Send(*client, Get("/"));
    const bool at_a = !a.empty() && a[0]->received().size() > before;
    of_a += at_a ? 1 : 0;
    Send(*(at_a ? a : b)[0], kOk);
  }
  EXPECT_GT(of_a, 50);
  EXPECT_LT(of_a, 150);
}

TEST_F(GatewayRoutingTest, AStickyCookieLeadsToTheSameBackend) {
  Use("app.test=http://192.0.2.10:80+192.0.2.11:80 sticky_cookie=at");
  const std::string of_a = absl::StrCat("at=", StickyValue(BackendA()));
  const std::string of_b = absl::StrCat("at=", StickyValue(BackendB()));
  const auto client = Connect("http/1.1");
  Send(*client, Get("/"));
  const bool first_is_a = !a.empty();
  Send(*(first_is_a ? a : b)[0], kOk);
  EXPECT_THAT(client->received(),
              HasSubstr(absl::StrCat("set-cookie: ", first_is_a ? of_a : of_b,
                                     "; Path=/; HttpOnly; SameSite=Lax; Secure\r\n")));
  // With the cookie, always the same one, which isn't told again.
  for (int i = 0; i < 4; ++i) {
    const auto other = Connect();
    Send(*other, Get("/", absl::StrCat("Cookie: x=y; ", of_b, "\r\n")));
    ASSERT_EQ(b.size(), 1u);
    Send(*b[0], kOk);
    EXPECT_EQ(reports.back().backend, BackendB());
    EXPECT_THAT(other->received(), Not(HasSubstr("set-cookie")));
  }
}

TEST_F(GatewayRoutingTest, AStickyCookieOfADeadBackendIsReplaced) {
  Use("app.test=http://192.0.2.10:80+192.0.2.11:80 sticky_cookie=at");
  dialer.Refuse(BackendB(), absl::UnavailableError("refused"));
  const auto client = Connect();
  Send(*client, Get("/", absl::StrCat("Cookie: at=", StickyValue(BackendB()), "\r\n")));
  ASSERT_EQ(a.size(), 1u);
  Send(*a[0], kOk);
  EXPECT_EQ(Report().tries, 2);
  EXPECT_THAT(client->received(), HasSubstr(absl::StrCat("set-cookie: at=", StickyValue(BackendA()),
                                                         "; Path=/; HttpOnly; SameSite=Lax\r\n")));
}

}  // namespace
}  // namespace trestle
