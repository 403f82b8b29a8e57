// libmodsecurity as a guard: denials by rules in each phase, and the rules' view of a request.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/modsecurity/core_rule_set.h"
#include "integrations/modsecurity/modsecurity_guard.h"
#include "tests/integrations/http1/http1_fixture.h"

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
  // Starts a connection with these rules.
  Http1Connection& Start(const std::string& rules) {
    return StartAlone("SecRuleEngine On\nSecRequestBodyAccess On\n" + rules);
  }
  Http1Connection& StartAlone(const std::string& rules, const JudgingLimits& limits = {}) {
    Http1Options options = QuietOptions();
    options.guards.push_back(
        NewModSecurityGuardFactory(*ModSecurityRules::Load(rules, &matches, limits)));
    connection = std::make_unique<Http1Connection>(std::move(options));
    return *connection;
  }

  // Returns the status of the response with the Core Rule Set; empty if the request was passed on.
  std::string CoreStatusOf(const std::string& request) {
    if (core_ == nullptr) core_ = *ModSecurityRules::Load(CoreRuleSet({}), &matches, core_limits);
    Http1Options options = QuietOptions();
    options.guards.push_back(NewModSecurityGuardFactory(core_));
    connection = std::make_unique<Http1Connection>(std::move(options));
    connection->FromClient(request);
    EXPECT_EQ(connection->at_client().empty(), connection->at_backend() == request)
        << connection->blocked();
    return connection->at_client().substr(0, 12);
  }

  // Returns the status of the response to `request`; empty if it was passed on.
  std::string StatusOf(const std::string& rules, const std::string& request) {
    Http1Connection& c = Start(rules);
    c.FromClient(request);
    EXPECT_EQ(c.at_client().empty(), c.at_backend() == request) << c.blocked();
    return c.at_client().substr(0, 12);
  }

  Matches matches;
  std::unique_ptr<Http1Connection> connection;
  // Sufficient for an unoptimised build and sanitizers; only one test is about time.
  JudgingLimits core_limits = {absl::Seconds(60)};

 private:
  std::shared_ptr<const ModSecurityRules> core_;
};

std::string Repeat(int times, const std::string& text) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::string Get(const std::string& target, const std::string& fields = "") {
  return absl::StrCat("GET ", target,
                      " HTTP/1.1\r\nHost: app.test\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n",
                      fields, "\r\n");
}

std::string Post(const std::string& type, const std::string& body, const std::string& fields = "") {
  return absl::StrCat("POST /form HTTP/1.1\r\nHost: app.test\r\nUser-Agent: curl/7.88.1\r\n",
                      "Accept: */*\r\n", type.empty() ? "" : "Content-Type: ", type,
                      type.empty() ? "" : "\r\n", fields, "Content-Length: ", body.size(),
                      "\r\n\r\n", body);
}

constexpr char kForm[] = "application/x-www-form-urlencoded";
constexpr char kMultipart[] = "multipart/form-data; boundary=b";
constexpr char kJson[] = "application/json";

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

TEST_F(ModSecurityTest, RulesSeeTheConnectionAndTheRequestLine) {
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

TEST_F(ModSecurityTest, TheReasonHasNoRawBytes) {
  Http1Connection& c = Start("SecRule ARGS \"@rx evil\" \"id:77,phase:1,deny,log,msg:'Found it'\"");
  c.FromClient("GET /?b=evil%0a%1b[31m HTTP/1.1\r\nHost: app.test\r\n\r\n");
  EXPECT_THAT(c.blocked(), StartsWith("denied by the rules: "));
  EXPECT_THAT(c.blocked(), Not(HasSubstr("\x1b")));
  ASSERT_THAT(matches.messages, Not(IsEmpty()));
  EXPECT_THAT(matches.messages, Each(Not(HasSubstr("\n"))));
  EXPECT_THAT(matches.messages[0], HasSubstr("Found it"));
}

TEST_F(ModSecurityTest, RequestsOfOneConnectionAreInspectedInTurn) {
  Http1Connection& c = Start("SecRule ARGS \"@contains evil\" \"id:1,phase:2,deny\"");
  const std::string good = "GET /?b=good HTTP/1.1\r\nHost: app.test\r\n\r\n";
  c.FromClient(good + good + kGet);
  EXPECT_EQ(c.at_backend(), good + good);
  EXPECT_EQ(c.at_client(), "") << "responses come in order";
  c.FromBackend("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_THAT(c.at_client(), HasSubstr("HTTP/1.1 403 Forbidden"));
}

TEST_F(ModSecurityTest, RulesThatCannotBeLoadedAreReported) {
  for (const char* rules : {"SecNonsense On\n", "Include /nonexistent/rules.conf\n",
                            "SecRule ARGS \"@rx evil\" \"phase:1,deny\"\n"}) {
    const auto loaded = ModSecurityRules::Load(rules);
    ASSERT_FALSE(loaded.ok()) << rules;
    EXPECT_EQ(GetError(loaded.status())->code, ErrorCode::kConfiguration);
    EXPECT_THAT(std::string(loaded.status().message()), HasSubstr("the rules can't be loaded: "));
  }
}

TEST_F(ModSecurityTest, TheCoreRuleSetLoads) {
  const auto rules = ModSecurityRules::Load(CoreRuleSet({}));
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_GT((*rules)->size(), 500);
}

TEST_F(ModSecurityTest, RequestsAtALimitPassAndRequestsOverItAreRejected) {
  const auto arguments = [](int count) {
    std::string form;
    for (int i = 0; i < count; ++i) absl::StrAppend(&form, i > 0 ? "&" : "", "a", i, "=b");
    return form;
  };
  const auto cookies = [](int count) {
    std::string line = "Cookie: ";
    for (int i = 0; i < count; ++i) absl::StrAppend(&line, i > 0 ? "; " : "", "a", i, "=b");
    return Get("/", line + "\r\n");
  };
  const auto items = [](int count) { return "[1" + Repeat(count - 1, ",1") + "]"; };
  const auto text = [](int bytes) { return "<a>" + Repeat(bytes, "a") + "</a>"; };
  // Each nested JSON array is part of an argument's name, so names reach their limit before the
  // depth does.
  const auto nested = [](int depth) { return Repeat(depth, "[") + "1" + Repeat(depth, "]"); };
  const struct {
    std::string at;
    std::string over;
  } rows[] = {
      {Post(kForm, arguments(1000)), Post(kForm, arguments(1001))},
      {Post(kJson, items(1000)), Post(kJson, items(1001))},
      {Post(kJson, nested(64)), Post(kJson, nested(65))},
      {cookies(200), cookies(201)},
      {Post(kForm, "a=" + Repeat(8000, "b")), Post(kForm, "a=" + Repeat(8001, "b"))},
      {Post("text/xml", text(8000)), Post("text/xml", text(8001))},
      {Get("/", "X-A: " + Repeat(8000, "b") + "\r\n"),
       Get("/", "X-A: " + Repeat(8001, "b") + "\r\n")},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(CoreStatusOf(row.at), "") << row.at.substr(0, 300) << connection->blocked();
    EXPECT_EQ(CoreStatusOf(row.over), "HTTP/1.1 400") << row.over.substr(0, 300);
  }
}

TEST_F(ModSecurityTest, EncodedAngleBracketsAreCounted) {
  for (const char* bracket : {"%3C", "%26lt%3B", "%5Cx3c", "%2526lt;"}) {
    EXPECT_EQ(CoreStatusOf(Post(kForm, "a=" + Repeat(600, bracket))), "HTTP/1.1 400") << bracket;
    EXPECT_THAT(connection->blocked(), HasSubstr("(?:<[^<]*+){257}")) << bracket;
  }
  EXPECT_EQ(CoreStatusOf(Get("/?a=" + Repeat(600, "%3C"))), "HTTP/1.1 400");
}

TEST_F(ModSecurityTest, TheNamesInJsonHaveALimit) {
  core_limits.json_name_bytes = 10'000;
  const auto object = [](int values) {
    return "{\"" + Repeat(100, "k") + "\":[1" + Repeat(values - 1, ",1") + "]}";
  };
  EXPECT_EQ(CoreStatusOf(Post(kJson, object(40))), "") << connection->blocked();
  EXPECT_EQ(CoreStatusOf(Post(kJson, object(100))), "HTTP/1.1 400");
  EXPECT_THAT(connection->blocked(), HasSubstr("the names in it are longer than their limit"));
  EXPECT_EQ(CoreStatusOf(Post(kJson, "{\"a\":")), "HTTP/1.1 400");
  EXPECT_EQ(CoreStatusOf(Get("/", "Content-Type: application/json\r\n")), "");
}

// Each of these occupied a thread for seconds to minutes.
TEST_F(ModSecurityTest, BodiesThatTookMinutesAreRejected) {
  for (const std::string& request :
       {Post(kJson, Repeat(60'000, "[") + Repeat(60'000, "]")),
        Post(kJson, Repeat(20'000, "{\"a\":") + "1" + Repeat(20'000, "}")),
        Post(kJson, "[1" + Repeat(60'000, ",1") + "]"),
        Post(kJson, Repeat(60, "{\"" + Repeat(1400, "k") + "\":") + "[1" + Repeat(900, ",1") + "]" +
                        Repeat(60, "}")),
        Post(kForm, "a=" + Repeat(120'000, "+")), Post(kForm, "a=" + Repeat(2600, "%3C")),
        Post(kForm, "a=" + Repeat(1000, "'%3C")), Post(kForm, "a=%3D" + Repeat(4000, "(+"))}) {
    EXPECT_EQ(CoreStatusOf(request), "HTTP/1.1 400") << request.substr(0, 300);
  }
}

TEST_F(ModSecurityTest, ARequestOverTheProcessorTimeIsRejected) {
  core_limits.cpu_time = absl::Nanoseconds(1);
  EXPECT_EQ(CoreStatusOf(Post(kForm, "a=" + Repeat(5000, "b"))), "HTTP/1.1 400");
  EXPECT_THAT(connection->blocked(), HasSubstr("more processor time than its limit"));
  EXPECT_THAT(matches.messages.back(), HasSubstr("it is refused"));
}

TEST_F(ModSecurityTest, AnExpressionOverItsLimitDoesNotPassTheRequest) {
  const std::string rules =
      "SecRuleEngine On\nSecRequestBodyAccess On\n"
      "SecRule ARGS \"@rx ^(a+)+$\" \"id:1,phase:2,pass,nolog\"\n"
      "SecRule ARGS \"@rx evil\" \"id:2,phase:2,deny,status:403\"\n";
  const std::string bomb = Post(kForm, "a=" + Repeat(64, "a") + "!&b=evil");
  Http1Connection& c = StartAlone(rules);
  c.FromClient(bomb);
  EXPECT_EQ(c.at_backend(), "");
  EXPECT_THAT(c.at_client(), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(c.blocked(), HasSubstr("more steps for the request than its limit"));
  // The next connection has its own budget.
  Http1Connection& next = StartAlone(rules);
  next.FromClient(Post(kForm, "a=b"));
  EXPECT_EQ(next.at_backend(), Post(kForm, "a=b"));
}

TEST_F(ModSecurityTest, WithDetectOnlyAnExcessIsReportedAndTheRequestPasses) {
  CoreRuleSetOptions options;
  options.detect_only = true;
  JudgingLimits limits;
  limits.cpu_time = absl::Nanoseconds(1);
  const std::string large = Post(kForm, "a=" + Repeat(5000, "b"));
  Http1Connection& c = StartAlone(CoreRuleSet(options), limits);
  c.FromClient(large + large);
  EXPECT_EQ(c.at_backend(), large + large);
  EXPECT_THAT(matches.messages.back(), HasSubstr("it is passed on unjudged"));

  // The same for a limit of the rules: expensive requests are not inspected at all.
  for (const std::string& over :
       {Post(kForm, "a=" + Repeat(5700, "<")), Post(kForm, "a=" + Repeat(100'000, "+")),
        Get("/", "X-A: " + Repeat(8001, "<") + "\r\n")}) {
    matches.messages.clear();
    Http1Connection& d = StartAlone(CoreRuleSet(options), core_limits);
    d.FromClient(over);
    EXPECT_EQ(d.at_backend(), over);
    EXPECT_THAT(matches.messages, ::testing::SizeIs(1));
    EXPECT_THAT(matches.messages.back(), HasSubstr("value")) << over.substr(0, 200);
  }
}

// libmodsecurity does not read the parts that parsers read in these bodies.
TEST_F(ModSecurityTest, AmbiguousBodiesAreRejected) {
  const std::string field = "Content-Disposition: form-data; name=\"q\"\r\n";
  const std::string attack = field + "\r\n<script>alert(1)</script>\r\n";
  const std::string good = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n";
  const std::string file =
      "--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n"
      "Content-Type: text/plain\r\n\r\n";
  const std::string end = "--b--\r\n";
  ASSERT_EQ(CoreStatusOf(Post(kMultipart, good + end)), "") << connection->blocked();
  ASSERT_EQ(CoreStatusOf(Post(kMultipart, good + file + "x\r\n--\r\ny\n--\nz\r\n" + end)), "")
      << connection->blocked();
  for (const std::string& body : std::initializer_list<std::string>{
           good + end + "--b\r\n" + attack + end,  // After the last boundary.
           "x\r\n" + good + end,                   // Before the first one.
           "--\r\n" + good + end,                  //
           "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n" + attack + end,  // Doubled.
           "--b\r\n" + field + "Content-Type: a/b\r\nContent-Type: c/d\r\n\r\nx\r\n" + end,
           file + "x\r--b\r" + attack + end,       // A boundary for Werkzeug.
           file + "x\n--b\r\n" + attack + end,     // One for PHP.
           file + "x\r\n--bc\r\n" + attack + end,  //
           "--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\nx\r\n" +
               end,  // A value for formidable.
           "--b\r\n" + field + "Content-Transfer-Encoding: base64\r\n\r\nPHNjcmlwdD4=\r\n" + end,
           "--b\nContent-Disposition: form-data; name=\"a\"\n\nx\n--b--\n",
           "--b\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\nx\r\n" + end,
           "--b\r\nContent-Disposition: form-data; name*=utf-8''q\r\n\r\nx\r\n" + end,
           "--b\r\nContent-Disposition: form-data;\r\n name=\"a\"\r\n\r\nx\r\n" + end,
           good,
       }) {
    EXPECT_EQ(CoreStatusOf(Post(kMultipart, body)), "HTTP/1.1 400") << body;
  }
  for (const char* type :
       {"", "multipart/mixed; boundary=b", "multipart/related; boundary=b",
        "multipart/form-data; boundary=b,c", "multipart/form-data; boundary=\"b\"",
        "multipart/form-data; boundary=b; boundary=c", "multipart/form-data", "text/plain",
        "application/octet-stream"}) {
    EXPECT_EQ(CoreStatusOf(Post(type, good + end)), "HTTP/1.1 400") << type;
  }
  EXPECT_EQ(CoreStatusOf(Post(kForm, "a=b", "Content-Encoding: gzip\r\n")), "HTTP/1.1 400");
  EXPECT_EQ(CoreStatusOf(Post(kForm, "a=b", "Content-Type: text/xml\r\n")), "HTTP/1.1 400");
  EXPECT_EQ(CoreStatusOf(Post(kJson, "{\"<script>\": []}")), "HTTP/1.1 400");
  EXPECT_EQ(CoreStatusOf(Post(kJson, "{\"a\": []}")), "");
}

TEST_F(ModSecurityTest, NewConnectionsUseTheCurrentRules) {
  const auto load = [&](const std::string& word) {
    return *ModSecurityRules::Load("SecRuleEngine On\nSecRule ARGS \"@streq " + word +
                                   "\" \"id:1,phase:1,deny\"\n");
  };
  const auto in_use = std::make_shared<ModSecurityRulesInUse>(load("evil"));
  const auto start = [&] {
    Http1Options options = QuietOptions();
    options.guards.push_back(
        NewModSecurityGuardFactory(std::shared_ptr<const ModSecurityRulesInUse>(in_use)));
    return std::make_unique<Http1Connection>(std::move(options));
  };
  const auto old_one = start();
  in_use->Replace(load("good"));
  const auto new_one = start();
  old_one->FromClient(kGet);
  new_one->FromClient(kGet);
  EXPECT_THAT(old_one->at_client(), StartsWith("HTTP/1.1 403"));
  EXPECT_EQ(new_one->at_backend(), kGet);
}

TEST_F(ModSecurityTest, LimitsOfInspectionMustBePositive) {
  EXPECT_FALSE(ModSecurityRules::Load("", nullptr, {absl::ZeroDuration()}).ok());
  EXPECT_FALSE(ModSecurityRules::Load("", nullptr, {absl::Seconds(1), 0}).ok());
  EXPECT_FALSE(ModSecurityRules::Load("", nullptr, {absl::Seconds(1), 1, 0}).ok());
}

}  // namespace
}  // namespace trestle
