// GatewayRoutes: the text of routes, its errors, the checks of routes, and the choice among them.

#include "integrations/http/gateway_routes.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/http/route_target.h"
#include "integrations/http/sticky_cookie.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

struct Query {
  std::string path = "/";
  std::string method = "GET";
  std::vector<std::pair<std::string, std::string>> fields = {};
  uint64_t random = 0;
  std::string host = "app.test";
  std::string client = "198.51.100.1:5";
};

/// Returns the route's name, or the status of the refusal.
std::string Find(const GatewayRoutes& routes, const Query& query) {
  HttpFields fields;
  for (const auto& [name, value] : query.fields) fields.Add(name, value);
  const Endpoint client = *Endpoint::Parse(query.client);
  HttpRefusal refusal;
  const auto route =
      routes.Find({query.host, query.path, query.method, fields, query.random, client}, refusal);
  return route != nullptr ? route->name() : absl::StrCat(refusal.status);
}

std::shared_ptr<const GatewayRoutes> FromFile(absl::string_view text) {
  auto routes = ParseGatewayRoutesFile(text);
  EXPECT_TRUE(routes.ok()) << routes.status();
  auto table = GatewayRoutes::Create(*std::move(routes));
  EXPECT_TRUE(table.ok()) << table.status();
  return *table;
}

std::string ErrorOf(const absl::Status& status) { return ErrorText(GetError(status)); }

TEST(GatewayRoutesTest, ParsesTheCommandLineForm) {
  const auto routes = ParseGatewayRoutes(
      "app.test/=http://127.0.0.1:8080, app.test/api=https://127.0.0.1:9443+127.0.0.1:9444@api.in, "
      "default=h2c://127.0.0.1:1+h2c://unix:/run/a.sock");
  ASSERT_TRUE(routes.ok()) << routes.status();
  ASSERT_EQ(routes->size(), 3u);
  EXPECT_EQ((*routes)[1].path, "/api");
  EXPECT_EQ((*routes)[1].scheme, BackendScheme::kHttps);
  EXPECT_EQ((*routes)[1].backend_name, "api.in");
  EXPECT_EQ((*routes)[1].backends.endpoints.size(), 2u);
  EXPECT_EQ((*routes)[2].host, "");
  EXPECT_EQ((*routes)[2].scheme, BackendScheme::kH2c);
  const auto table = GatewayRoutes::Create(*routes);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_TRUE((*table)->needs_tls());
  EXPECT_EQ(Find(**table, {"/api/x"}), "app.test/api");
  EXPECT_EQ(Find(**table, {"/apix"}), "app.test/");
  EXPECT_EQ(Find(**table, {"/", "GET", {}, 0, "b.test"}), "default/");
}

TEST(GatewayRoutesTest, TheMostSpecificHostAndTheLongestPathWin) {
  const auto routes = FromFile(
      "a.test=http://192.0.2.1:1\na.test/api=http://192.0.2.1:2\n"
      "a.test/api/v2/=http://192.0.2.1:3\n*.a.test=http://192.0.2.1:4\n"
      "**.a.test/deep=http://192.0.2.1:5\ndefault/any=http://192.0.2.1:6\n");
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
    Query query;
    query.host = host;
    query.path = path;
    EXPECT_EQ(Find(*routes, query), expected) << host << path;
  }
  Query nul;
  nul.host = "a.test";
  nul.path = std::string("/api\0x", 6);
  EXPECT_EQ(Find(*routes, nul), "400");
  Query other;
  other.host = "b.test";
  EXPECT_EQ(Find(*FromFile("a.test=http://192.0.2.1:1"), other), "421");
}

TEST(GatewayRoutesTest, HostsAndPathsAreChecked) {
  for (const char* text :
       {"a..test=http://192.0.2.1:1", "a.*.test=http://192.0.2.1:1",
        "a.test/x/../y=http://192.0.2.1:1", "a.test//x=http://192.0.2.1:1",
        "a.test/%61=http://192.0.2.1:1", "a.test/x?y=http://192.0.2.1:1",
        "a.test/x=http://192.0.2.1:1,A.TEST/x/=http://192.0.2.1:2", "a.test=http://192.0.2.1:0",
        "default=http://192.0.2.1:1,DEFAULT/=http://192.0.2.1:2",
        "a.test=https://192.0.2.1:1@not a name"}) {
    const auto routes = ParseGatewayRoutes(text);
    const absl::Status status =
        routes.ok() ? GatewayRoutes::Create(*routes).status() : routes.status();
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_EQ(GetError(status)->code, ErrorCode::kConfiguration) << text;
  }
}

TEST(GatewayRoutesTest, NamesTheFault) {
  const std::pair<const char*, const char*> cases[] = {
      {"app.test", "is no HOST/PATH=http://IP:PORT"},
      {"app.test=127.0.0.1:1", "has no scheme"},
      {"app.test=ftp://127.0.0.1:1", "one of the schemes"},
      {"app.test=http://127.0.0.1:1+https://127.0.0.1:2", "one of the schemes"},
      {"app.test=https://127.0.0.1:1@", "no name behind its @"},
      {"/x=http://127.0.0.1:1", "has no host"},
      {"app.test=http://localhost", "localhost"},
  };
  for (const auto& [text, problem] : cases) {
    const auto routes = ParseGatewayRoutes(text);
    ASSERT_FALSE(routes.ok()) << text;
    EXPECT_THAT(ErrorOf(routes.status()), HasSubstr(problem)) << text;
  }
  EXPECT_THAT(
      ErrorOf(GatewayRoutes::Create(*ParseGatewayRoutes("a.test=https://127.0.0.1:1")).status()),
      HasSubstr("no name to verify"));
  EXPECT_THAT(
      ErrorOf(
          GatewayRoutes::Create(*ParseGatewayRoutes("a.test=http://127.0.0.1:1@x.test")).status()),
      HasSubstr("only https backends prove"));
}

TEST(GatewayRoutesTest, AFileHasOptionsAndLineNumbers) {
  const auto routes = ParseGatewayRoutesFile("# routes\n\napp.test/ = no\n");
  ASSERT_FALSE(routes.ok());
  EXPECT_THAT(ErrorOf(routes.status()), HasSubstr("line 3: "));
  const auto good = ParseGatewayRoutesFile(
      "app.test=http://127.0.0.1:1+127.0.0.1:2  balance=client_address tries=1 # both\r\n"
      "\tb.test/x=h2c://127.0.0.1:3");
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_EQ((*good)[0].backends.balance, Balance::kClientAddress);
  EXPECT_EQ((*good)[0].backends.max_tries, 1);
  for (const char* text : {"a.test=http://127.0.0.1:1\na.test/=http://127.0.0.1:2",
                           "\na.test=http://127.0.0.1:1 weight=-3", "\na..test=http://127.0.0.1:1",
                           "\na.test/..=http://127.0.0.1:1", "\na.test=https://127.0.0.1:1"}) {
    const auto bad = ParseGatewayRoutesFile(text);
    ASSERT_FALSE(bad.ok()) << text;
    EXPECT_THAT(ErrorOf(bad.status()), HasSubstr("line 2: ")) << text;
  }
}

TEST(GatewayRoutesTest, EveryOptionOfAFileIsRead) {
  const auto routes = ParseGatewayRoutesFile(
      "a.test/x=http://127.0.0.1:1 weight=3 method=GET,HEAD header=X-Canary:1 header=x-beta "
      "rewrite=/y sticky_cookie=at name=\"the # one\" # end\n"
      "a.test/old=redirect:https://{host}/new{rest} status=302\n"
      "a.test/id=https://127.0.0.1:1@api.test verify_name=spiffe://td.test/api\n");
  ASSERT_TRUE(routes.ok()) << routes.status();
  const GatewayRoute& route = (*routes)[0];
  EXPECT_EQ(route.weight, 3u);
  EXPECT_THAT(route.methods, ::testing::ElementsAre("GET", "HEAD"));
  ASSERT_EQ(route.conditions.size(), 2u);
  EXPECT_EQ(route.conditions[0].name, "x-canary");
  EXPECT_EQ(route.conditions[0].value, "1");
  EXPECT_FALSE(route.conditions[1].value.has_value());
  EXPECT_EQ(route.rewrite, "/y");
  EXPECT_EQ(route.sticky_cookie, "at");
  EXPECT_EQ(route.name(), "the # one");
  ASSERT_TRUE((*routes)[1].redirect.has_value());
  EXPECT_EQ((*routes)[1].redirect->location, "https://{host}/new{rest}");
  EXPECT_EQ((*routes)[1].redirect->status, 302);
  EXPECT_EQ((*routes)[2].backend_name, "api.test");
  EXPECT_EQ((*routes)[2].verify_name, "spiffe://td.test/api");
}

TEST(GatewayRoutesTest, FaultsInOptionsHaveTheirLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"a.test=http://127.0.0.1:1 colour=red", "is no option"},
      {"a.test=http://127.0.0.1:1 weight=1000001", "is no option"},
      {"a.test=http://127.0.0.1:1 tries=0", "is no option"},
      {"a.test=http://127.0.0.1:1 balance=fastest", "is no option"},
      {"a.test=http://127.0.0.1:1 name=", "is no option"},
      {"a.test=http://127.0.0.1:1 status=301", "is no option"},
      {"a.test=http://127.0.0.1:1 method=G(T", "a method that isn't one"},
      {"a.test=http://127.0.0.1:1 header=Host:x", "can't depend on the field \"host\""},
      {"a.test=http://127.0.0.1:1 header=a(b", "can't depend on the field"},
      {"a.test=http://127.0.0.1:1 rewrite=y", "a plain path to replace"},
      {"a.test=http://127.0.0.1:1 rewrite=/a/../b", "a plain path to replace"},
      {"a.test=http://127.0.0.1:1 sticky_cookie=a;b", "a name of a cookie"},
      {"a.test=http://127.0.0.1:1 verify_name=b.test", "only https backends prove"},
      {"a.test=https://127.0.0.1:1@b.test verify_name=b..test", "neither a DNS name"},
      {"a.test=http://127.0.0.1:1 name=\"x", "a double quote has no end"},
      {"a.test=redirect:https://b.test status=200", "another status than"},
      {"a.test=redirect:https://b.test rewrite=/x", "no use for backends"},
      {"a.test=redirect:https://b.test verify_name=b.test", "no use for backends"},
      {"a.test=redirect:https://{target}", "needs a host"},
      {"a.test=redirect:https://{rest}/x", "needs a host"},
      {"a.test=redirect:https://{host}.evil.test/", "needs a host"},
      {"a.test=redirect://b.test/", "needs a segment"},
      {"a.test=redirect:/{rest}", "needs a segment"},
      {"a.test=redirect:{target}", "begins with neither"},
      {"a.test=redirect:ftp://b.test", "begins with neither"},
      {"a.test=redirect:/x{query}", "other braces"},
      {"a.test=redirect:/x\\y", "needs percent-encoding"},
      {"a.test=http://127.0.0.1:9", "also in line 1; give each a weight"},
  };
  for (const auto& [text, problem] : cases) {
    const auto routes =
        ParseGatewayRoutesFile(absl::StrCat("a.test=http://127.0.0.1:1 weight=1\n", text));
    ASSERT_FALSE(routes.ok()) << text;
    EXPECT_THAT(ErrorOf(routes.status()), HasSubstr("line 2: ")) << text;
    EXPECT_THAT(ErrorOf(routes.status()), HasSubstr(problem)) << text;
  }
}

TEST(GatewayRoutesTest, TablesThatChooseNothingAreRefused) {
  EXPECT_THAT(ErrorOf(GatewayRoutes::Create({}).status()), HasSubstr("no HTTP route"));
  EXPECT_THAT(ErrorOf(GatewayRoutes::Create(*ParseGatewayRoutes("a.test=http://127.0.0.1:1,"
                                                                "A.test/=http://127.0.0.1:2"))
                          .status()),
              HasSubstr("listed twice"));
  EXPECT_THAT(
      ErrorOf(GatewayRoutes::Create(*ParseGatewayRoutesFile("a.test=http://127.0.0.1:1 weight=0\n"
                                                            "a.test=http://127.0.0.1:2 weight=0\n"))
                  .status()),
      HasSubstr("no weight above 0"));
}

TEST(GatewayRoutesTest, MethodAndFieldsSelect) {
  const auto routes = FromFile(
      "app.test=http://127.0.0.1:1 name=all\n"
      "app.test/api=http://127.0.0.1:2 name=write method=POST,PUT\n"
      "app.test/api=http://127.0.0.1:3 name=canary header=x-canary:1\n"
      "app.test/api=http://127.0.0.1:4 name=both header=x-canary:1 method=POST\n"
      "app.test/any=http://127.0.0.1:5 name=beta header=x-beta\n"
      "default=http://127.0.0.1:6 name=get method=GET\n");
  EXPECT_EQ(Find(*routes, {"/api/x"}), "all");  // A shorter path.
  EXPECT_EQ(Find(*routes, {"/api", "PUT"}), "write");
  EXPECT_EQ(Find(*routes, {"/api", "GET", {{"x-canary", "0"}, {"X-Canary", "1"}}}), "canary");
  EXPECT_EQ(Find(*routes, {"/api", "GET", {{"x-canary", "11"}}}), "all");
  EXPECT_EQ(Find(*routes, {"/api", "POST", {{"x-canary", "1"}}}), "both");
  EXPECT_EQ(Find(*routes, {"/any", "GET", {{"x-beta", ""}}}), "beta");
  EXPECT_EQ(Find(*routes, {"/any"}), "all");
  EXPECT_EQ(Find(*routes, {"/", "GET", {}, 0, "b.test"}), "get");
  EXPECT_EQ(Find(*routes, {"/", "POST", {}, 0, "b.test"}), "404");
}

TEST(GatewayRoutesTest, WeightsDivideRequests) {
  const auto routes = FromFile(
      "app.test=http://127.0.0.1:1 name=old weight=3\n"
      "app.test=http://127.0.0.1:2 name=new weight=1\n"
      "app.test=http://127.0.0.1:3 name=gone weight=0\n"
      "by.test=http://127.0.0.1:1 name=old weight=1 balance=client_address\n"
      "by.test=http://127.0.0.1:2 name=new weight=1\n");
  std::map<std::string, int> count;
  for (uint64_t i = 0; i < 400; ++i) ++count[Find(*routes, {"/", "GET", {}, i * 7919})];
  EXPECT_EQ(count, (std::map<std::string, int>{{"old", 300}, {"new", 100}}));
  // By address, a client stays where it is.
  std::set<std::string> seen;
  for (int client = 0; client < 64; ++client) {
    Query query = {"/", "GET", {}, 0, "by.test", absl::StrCat("198.51.100.", client, ":1")};
    const std::string first = Find(*routes, query);
    query.random = 1;
    EXPECT_EQ(Find(*routes, query), first);
    seen.insert(first);
  }
  EXPECT_EQ(seen.size(), 2u);
}

TEST(GatewayRoutesTest, ACookieLeadsBackToTheRouteOfItsBackend) {
  const auto routes = FromFile(
      "app.test=http://127.0.0.1:1 name=old weight=1 sticky_cookie=at\n"
      "app.test=http://127.0.0.1:2+127.0.0.1:3 name=new weight=0 sticky_cookie=at\n");
  const std::string of_new = StickyValue(*Endpoint::Parse("127.0.0.1:3"));
  EXPECT_EQ(Find(*routes, {"/", "GET", {{"cookie", absl::StrCat("a=b; at=", of_new)}}}), "new");
  EXPECT_EQ(Find(*routes, {"/", "GET", {{"cookie", absl::StrCat("bat=", of_new)}}}), "old");
  EXPECT_EQ(Find(*routes, {"/", "GET", {{"cookie", "at=0000000000000000"}}}), "old");
  EXPECT_EQ(Find(*routes, {"/", "GET", {{"cookie", "at"}}}), "old");
}

TEST(RouteTargetTest, ReplacesThePrefixByWholeSegments) {
  const auto replaced = [](absl::string_view target, absl::string_view prefix,
                           absl::string_view with) {
    return ReplacePrefix(target, prefix, with).value_or("-");
  };
  EXPECT_EQ(replaced("/api/x?q=/api", "/api", "/v1"), "/v1/x?q=/api");
  EXPECT_EQ(replaced("/api", "/api/", "/v1/"), "/v1");
  EXPECT_EQ(replaced("/api?q", "/api", "/"), "/?q");
  EXPECT_EQ(replaced("/api/", "/api", "/"), "/");
  EXPECT_EQ(replaced("/x", "/", "/v1"), "/v1/x");
  EXPECT_EQ(replaced("/%61pi/%7e", "/api", "/v1"), "/v1/%7e");
  EXPECT_EQ(replaced("/apix", "/api", "/v1"), "-");
  EXPECT_EQ(replaced("/../x", "/", "/v1"), "-");
  EXPECT_EQ(replaced("/%2e%2e/x", "/", "/v1"), "-");
  EXPECT_EQ(replaced("*", "/", "/v1"), "-");
}

TEST(RouteTargetTest, FillsInLocations) {
  const auto filled = [](absl::string_view location, absl::string_view target = "/old/x?q",
                         absl::string_view host = "app.test") {
    EXPECT_EQ(CheckLocation(location), absl::OkStatus()) << location;
    return FillLocation(location, host, target, "/old").value_or("-");
  };
  EXPECT_EQ(filled("https://{host}{target}"), "https://app.test/old/x?q");
  EXPECT_EQ(filled("https://{host}:8443{target}"), "https://app.test:8443/old/x?q");
  EXPECT_EQ(filled("http://b.test:1/new{rest}"), "http://b.test:1/new/x?q");
  EXPECT_EQ(filled("https://[2001:db8::1]{rest}"), "https://[2001:db8::1]/x?q");
  EXPECT_EQ(filled("/new"), "/new");
  EXPECT_EQ(filled("/new{rest}", "/old//evil.test"), "/new//evil.test");
  EXPECT_EQ(filled("https://b.test{rest}", "/old"), "https://b.test");
  EXPECT_EQ(filled("https://b.test{rest}", "/old{host}"), "-");
  EXPECT_EQ(filled("https://{host}/", "/old/{rest}"), "https://app.test/");
  EXPECT_EQ(filled("https://{host}/{target}", "/old/{host}"), "https://app.test//old/{host}");
  EXPECT_EQ(filled("https://{host}/", "/old", ""), "-");
  EXPECT_EQ(filled("/new", "*"), "-");
}

TEST(GatewayRoutesTest, ANameIsItsOwnCertificateName) {
  const auto one = ParseGatewayRoute("app.test=https://api.internal:443");
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(one->backend_name, "api.internal");
  ASSERT_EQ(one->backends.names.size(), 1u);
  const auto service = ParseGatewayRoute("app.test=https://_https._tcp.api.internal");
  ASSERT_TRUE(service.ok()) << service.status();
  EXPECT_EQ(service->backend_name, "api.internal");
  const auto two = ParseGatewayRoute("app.test=https://a.internal:443+b.internal:443");
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_EQ(two->backend_name, "") << "the names differ, so that one must be given";
  const auto given = ParseGatewayRoute("app.test=https://api.internal:443@other.internal");
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(given->backend_name, "other.internal");
  EXPECT_TRUE(ParseGatewayRoutesFile("app.test=https://api.internal:443").ok());
}

}  // namespace
}  // namespace trestle
