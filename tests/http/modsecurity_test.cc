// libmodsecurity as a guard: what rules deny, in each phase, and what they are told of a request.
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/modsecurity/modsecurity_guard.h"
#include "tests/http/http1_fixture.h"

namespace trestle {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class Matches final : public ModSecurityListener {
 public:
  void OnMatch(absl::string_view message) override { messages.emplace_back(message); }
  std::vector<std::string> messages;
};

class ModSecurityTest : public ::testing::Test {
 protected:
  // A connection behind these rules.
  Http1Connection& Start(const std::string& rules) {
    Http1Options options = QuietOptions();
    options.guards.push_back(NewModSecurityGuardFactory(
        *ModSecurityRules::Load("SecRuleEngine On\nSecRequestBodyAccess On\n" + rules, &matches)));
    connection = std::make_unique<Http1Connection>(std::move(options));
    return *connection;
  }

  // The status of the answer to `request`; empty where it was passed on.
  std::string StatusOf(const std::string& rules, const std::string& request) {
    Http1Connection& c = Start(rules);
    c.FromClient(request);
    EXPECT_EQ(c.at_client().empty(), c.at_backend() == request) << c.blocked();
    return c.at_client().substr(0, 12);
  }

  Matches matches;
  std::unique_ptr<Http1Connection> connection;
};

const char kGet[] = "GET /a?b=evil HTTP/1.1\r\nHost: app.test\r\nX-Test: one\r\n\r\n";
const char kPost[] =
    "POST /a HTTP/1.1\r\nHost: app.test\r\nContent-Type: "
    "application/x-www-form-urlencoded\r\nContent-Length: 6\r\n\r\nb=evil";

TEST_F(ModSecurityTest, RulesOfEachPhaseDeny) {
  EXPECT_EQ(StatusOf("SecRule ARGS \"@contains evil\" \"id:1,phase:1,deny,status:403\"", kGet),
            "HTTP/1.1 403");
  EXPECT_EQ(StatusOf("SecRule REQUEST_HEADERS:X-Test \"@streq one\" \"id:1,phase:1,deny\"", kGet),
            "HTTP/1.1 403");
  EXPECT_EQ(
      StatusOf("SecRule ARGS_POST \"@contains evil\" \"id:1,phase:2,deny,status:406\"", kPost),
      "HTTP/1.1 406");
  EXPECT_EQ(
      StatusOf("SecRule REQUEST_BODY \"@streq b=evil\" \"id:1,phase:2,deny,status:503\"", kPost),
      "HTTP/1.1 503");
  EXPECT_EQ(StatusOf("SecRule ARGS \"@contains good\" \"id:1,phase:2,deny\"", kGet), "");
  EXPECT_EQ(StatusOf("SecRule ARGS \"@contains good\" \"id:1,phase:2,deny\"", kPost), "");
}

TEST_F(ModSecurityTest, RulesKnowTheConnectionAndTheRequestLine) {
  const std::string deny = "\" \"id:1,phase:1,deny\"";
  EXPECT_NE(StatusOf("SecRule REMOTE_ADDR \"@ipMatch 192.0.2.7" + deny, kGet), "");
  EXPECT_NE(StatusOf("SecRule REMOTE_PORT \"@eq 40000" + deny, kGet), "");
  EXPECT_NE(StatusOf("SecRule REQUEST_LINE \"@streq GET /a?b=evil HTTP/1.1" + deny, kGet), "");
  EXPECT_NE(StatusOf("SecRule REQUEST_FILENAME \"@streq /a" + deny, kGet), "");
  EXPECT_NE(StatusOf("SecRule REQUEST_METHOD \"@streq POST" + deny, kPost), "");
}

TEST_F(ModSecurityTest, ARedirectBecomesAForbidden) {
  EXPECT_EQ(StatusOf("SecRule ARGS \"@contains evil\" "
                     "\"id:1,phase:1,deny,status:302,redirect:http://b.test/\"",
                     kGet),
            "HTTP/1.1 403");
}

TEST_F(ModSecurityTest, TheReasonIsToldWithoutRawBytes) {
  Http1Connection& c = Start("SecRule ARGS \"@rx evil\" \"id:77,phase:1,deny,log,msg:'Found it'\"");
  c.FromClient("GET /?b=evil%0a%1b[31m HTTP/1.1\r\nHost: app.test\r\n\r\n");
  EXPECT_THAT(c.blocked(), StartsWith("denied by the rules: "));
  EXPECT_THAT(c.blocked(), Not(HasSubstr("\x1b")));
  ASSERT_THAT(matches.messages, Not(IsEmpty()));
  EXPECT_THAT(matches.messages, Each(Not(HasSubstr("\n"))));
  EXPECT_THAT(matches.messages[0], HasSubstr("Found it"));
}

TEST_F(ModSecurityTest, RequestsOfOneConnectionAreJudgedOneByOne) {
  Http1Connection& c = Start("SecRule ARGS \"@contains evil\" \"id:1,phase:2,deny\"");
  const std::string good = "GET /?b=good HTTP/1.1\r\nHost: app.test\r\n\r\n";
  c.FromClient(good + good + kGet);
  EXPECT_EQ(c.at_backend(), good + good);
  EXPECT_EQ(c.at_client(), "") << "answers come in order";
  c.FromBackend("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_THAT(c.at_client(), HasSubstr("HTTP/1.1 403 Forbidden"));
}

TEST_F(ModSecurityTest, RulesThatCannotBeLoadedAreToldOf) {
  for (const char* rules : {"SecNonsense On\n", "Include /nonexistent/rules.conf\n",
                            "SecRule ARGS \"@rx evil\" \"phase:1,deny\"\n"}) {
    const auto loaded = ModSecurityRules::Load(rules);
    ASSERT_FALSE(loaded.ok()) << rules;
    EXPECT_EQ(GetTlsError(loaded.status())->code, ErrorCode::kConfiguration);
    EXPECT_THAT(std::string(loaded.status().message()), HasSubstr("the rules can't be loaded: "));
  }
}

TEST_F(ModSecurityTest, TheCoreRuleSetLoads) {
  const auto rules = ModSecurityRules::Load(CoreRuleSet({}));
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_GT((*rules)->size(), 500);
}

}  // namespace
}  // namespace trestle
