// GatewayRoutes: the text of routes, its errors, and the checks of routes.

#include "integrations/http/gateway_routes.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

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
  HttpRefusal refusal;
  EXPECT_EQ((*table)->Find("app.test", "/api/x", refusal)->name(), "app.test/api");
  EXPECT_EQ((*table)->Find("app.test", "/apix", refusal)->name(), "app.test/");
  EXPECT_EQ((*table)->Find("b.test", "/", refusal)->name(), "default/");
}

TEST(GatewayRoutesTest, NamesTheFault) {
  const std::pair<const char*, const char*> cases[] = {
      {"app.test", "is no HOST/PATH=http://IP:PORT"},
      {"app.test=127.0.0.1:1", "has no scheme"},
      {"app.test=ftp://127.0.0.1:1", "one of the schemes"},
      {"app.test=http://127.0.0.1:1+https://127.0.0.1:2", "one of the schemes"},
      {"app.test=https://127.0.0.1:1@", "no name behind its @"},
      {"/x=http://127.0.0.1:1", "has no host"},
      {"app.test=http://localhost:1", "localhost"},
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
                           "\na.test=http://127.0.0.1:1 weight=3", "\na..test=http://127.0.0.1:1",
                           "\na.test/..=http://127.0.0.1:1", "\na.test=https://127.0.0.1:1"}) {
    const auto bad = ParseGatewayRoutesFile(text);
    ASSERT_FALSE(bad.ok()) << text;
    EXPECT_THAT(ErrorOf(bad.status()), HasSubstr("line 2: ")) << text;
  }
}

}  // namespace
}  // namespace trestle
