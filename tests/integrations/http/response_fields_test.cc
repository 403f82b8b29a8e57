// HttpGateway: rules for the fields of responses, Strict-Transport-Security, and Via.

#include "integrations/http/response_fields.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http/gateway_fixture.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string ErrorOf(const absl::Status& status) { return ErrorText(GetError(status)); }

class ResponseFieldsTest : public GatewayFixture {
 protected:
  static constexpr char kAnswer[] =
      "HTTP/1.1 200 OK\r\nServer: x/1\r\nX-A: 1\r\nX-A: 2\r\n"
      "Strict-Transport-Security: max-age=1\r\nContent-Length: 0\r\n\r\n";

  /// Returns the head of the response to a GET.
  std::string Answer(const std::string& alpn = "", absl::string_view more = "") {
    const auto client = Connect(alpn);
    Send(*client, Get("/", more));
    if (!a.empty()) Send(*a.back(), kAnswer);
    return client->received();
  }
};

TEST_F(ResponseFieldsTest, RulesOfTheGatewayComeBeforeThoseOfTheRoute) {
  options.response_fields = {{"server"}, {{"x-a", "gateway"}, {"x-b", "gateway"}}};
  options.routes = *GatewayRoutes::Create(*ParseGatewayRoutesFile(
      "app.test=http://192.0.2.10:80 response_set=\"X-A: of the route\" response_remove=X-B,x-c"));
  const std::string answer = Answer();
  EXPECT_THAT(answer, HasSubstr("\r\nx-a: of the route\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("server")));
  EXPECT_THAT(answer, Not(HasSubstr("gateway")));
  EXPECT_THAT(answer, Not(HasSubstr("x-a: 1")));
  EXPECT_THAT(answer, HasSubstr("\r\ncontent-length: 0\r\n"));
}

TEST_F(ResponseFieldsTest, TheGatewaysPagesHaveThemToo) {
  options.response_fields.set = {{"x-frame-options", "DENY"}};
  options.hsts.max_age = absl::Hours(1);
  const auto client = Connect("http/1.1");
  Send(*client, Get("/", "Content-Length: 1\r\nContent-Length: 2\r\n"));
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(client->received(), HasSubstr("\r\nx-frame-options: DENY\r\n"));
  EXPECT_THAT(client->received(), HasSubstr("\r\nstrict-transport-security: max-age=3600\r\n"));
}

TEST_F(ResponseFieldsTest, StrictTransportSecurityIsForTls) {
  options.hsts = {absl::Hours(24 * 365), true};
  EXPECT_THAT(Answer("http/1.1"),
              HasSubstr("\r\nstrict-transport-security: max-age=31536000; includeSubDomains\r\n"));
  EXPECT_THAT(Answer("http/1.1"), Not(HasSubstr("max-age=1\r\n")));
  EXPECT_THAT(Answer(), HasSubstr("\r\nstrict-transport-security: max-age=1\r\n"));
}

TEST_F(ResponseFieldsTest, ViaNamesTheGatewayInBothDirections) {
  options.via = "edge-1";
  EXPECT_THAT(Answer("", "Via: 1.0 fred, 1.1 edge-2 (x)\r\n"),
              HasSubstr("\r\nvia: 1.1 edge-1\r\n"));
  EXPECT_THAT(a[0]->received(), HasSubstr("\r\nvia: 1.0 fred, 1.1 edge-2 (x)\r\n"));
  EXPECT_THAT(a[0]->received(), HasSubstr("\r\nvia: 1.1 edge-1\r\n"));
}

TEST_F(ResponseFieldsTest, ALoopIsRefused) {
  options.via = "edge-1";
  EXPECT_THAT(Answer("", "Via: 1.1 other\r\nVia: 1.0 fred,  1.1  edge-1 (x)\r\n"),
              StartsWith("HTTP/1.1 508 Loop Detected\r\n"));
  EXPECT_EQ(Report().reason, HttpReason::kLoop);
  EXPECT_TRUE(a.empty());
}

TEST_F(ResponseFieldsTest, WithoutOptionsNothingChanges) {
  const std::string answer = Answer("http/1.1");
  EXPECT_EQ(answer,
            "HTTP/1.1 200 OK\r\nserver: x/1\r\nx-a: 1\r\nx-a: 2\r\n"
            "strict-transport-security: max-age=1\r\ncontent-length: 0\r\n\r\n");
}

TEST_F(ResponseFieldsTest, BadRulesAreRefused) {
  for (const char* name : {"content-length", "Connection", "a b", "", "via", "transfer-encoding"}) {
    options.response_fields.remove = {name};
    EXPECT_THAT(ErrorOf(HttpGateway::Create(loop, dialer, options).status()),
                HasSubstr("can't change the field"))
        << name;
  }
  options.response_fields = {{}, {{"x-a", "1\r\nx-b: 2"}}};
  EXPECT_THAT(ErrorOf(HttpGateway::Create(loop, dialer, options).status()),
              HasSubstr("a control character"));
  options.response_fields = {};
  options.via = "a b";
  EXPECT_THAT(ErrorOf(HttpGateway::Create(loop, dialer, options).status()), HasSubstr("a token"));
  options.via = "";
  options.hsts = {absl::InfiniteDuration(), false};
  EXPECT_THAT(ErrorOf(HttpGateway::Create(loop, dialer, options).status()), HasSubstr("finite"));
  options.hsts = {absl::ZeroDuration(), true};
  EXPECT_THAT(ErrorOf(HttpGateway::Create(loop, dialer, options).status()),
              HasSubstr("needs an age"));
  EXPECT_THAT(
      ErrorOf(ParseGatewayRoutesFile("a.test=http://127.0.0.1:1 response_set=via:x").status()),
      HasSubstr("line 1: the route \"a.test/\" can't change the field \"via\""));
  EXPECT_THAT(ErrorOf(ParseGatewayRoutesFile("a.test=http://127.0.0.1:1 response_set=x").status()),
              HasSubstr("is no option"));
}

}  // namespace
}  // namespace trestle
