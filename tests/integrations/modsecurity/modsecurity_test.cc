// libmodsecurity as a guard: denials by rules in each phase, and the rules' view of a request.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/http1/http_guard.h"
#include "integrations/http1/http_message.h"
#include "integrations/modsecurity/core_rule_set.h"
#include "integrations/modsecurity/modsecurity_guard.h"
#include "trestle/base/error.h"

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

/// Judges requests one after the other, as a gateway does.
class Guarded {
 public:
  explicit Guarded(std::shared_ptr<const ModSecurityRules> rules) : rules_(std::move(rules)) {
    connection_.front.peer = *Endpoint::Parse("192.0.2.7:40000");
  }

  /// Judges the requests in `bytes`, up to the first one that is refused.
  void Judge(absl::string_view bytes) {
    while (!bytes.empty() && status_.empty()) {
      const size_t head_size = bytes.find("\r\n\r\n") + 4;
      HttpRefusal refusal;
      Http1Limits limits;
      limits.head_bytes = 1 << 20;
      const auto head = ReadRequestHead(bytes.substr(0, head_size), limits, refusal);
      ASSERT_TRUE(head.has_value()) << refusal.reason;
      const size_t size = head_size + static_cast<size_t>(head->content_length);
      Take(Ask(*head, bytes.substr(head_size, size - head_size)), bytes.substr(0, size));
      bytes.remove_prefix(size);
    }
  }

  const std::string& passed() const { return passed_; }
  /// Returns the status of the refusal as text; empty without one.
  const std::string& status() const { return status_; }
  const std::string& reason() const { return reason_; }

 private:
  std::optional<HttpRefusal> Ask(const HttpRequestHead& head, absl::string_view body) const {
    const std::unique_ptr<HttpGuard> guard = rules_->NewGuard(connection_);
    if (auto no = guard->OnHead(head)) return no;
    if (guard->wants_body() && !body.empty()) {
      if (auto no = guard->OnBody(body)) return no;
    }
    return guard->OnEnd();
  }

  void Take(const std::optional<HttpRefusal>& no, absl::string_view request) {
    if (!no.has_value()) {
      absl::StrAppend(&passed_, request);
    } else {
      status_ = absl::StrCat(no->status);
      reason_ = no->reason;
    }
  }

  const std::shared_ptr<const ModSecurityRules> rules_;
  ConnectionReport connection_;
  std::string passed_;
  std::string status_;
  std::string reason_;
};

class ModSecurityTest : public ::testing::Test {
 protected:
  // Loads these rules.
  Guarded& Start(const std::string& rules) {
    return StartAlone("SecRuleEngine On\nSecRequestBodyAccess On\n" + rules);
  }
  Guarded& StartAlone(const std::string& rules, const JudgingLimits& limits = {}) {
    guarded = std::make_unique<Guarded>(*ModSecurityRules::Load(rules, &matches, limits));
    return *guarded;
  }

  // Returns the status of a refusal by the Core Rule Set; empty if the request was passed on.
  std::string CoreStatusOf(const std::string& request) {
    if (core_ == nullptr) core_ = *ModSecurityRules::Load(CoreRuleSet({}), &matches, core_limits);
    guarded = std::make_unique<Guarded>(core_);
    guarded->Judge(request);
    return guarded->status();
  }

  // Returns the status of a refusal of `request`; empty if it was passed on.
  std::string StatusOf(const std::string& rules, const std::string& request) {
    Guarded& guarded = Start(rules);
    guarded.Judge(request);
    EXPECT_EQ(guarded.passed(), guarded.status().empty() ? request : "");
    return guarded.status();
  }

  Matches matches;
  std::unique_ptr<Guarded> guarded;
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
            "403");
  EXPECT_EQ(StatusOf("SecRule REQUEST_HEADERS:X-Test \"@streq one\" \"id:1,phase:1,deny\"", kGet),
            "403");
  EXPECT_EQ(
      StatusOf("SecRule ARGS_POST \"@contains evil\" \"id:1,phase:2,deny,status:406\"", kPost),
      "406");
  EXPECT_EQ(
      StatusOf("SecRule REQUEST_BODY \"@streq b=evil\" \"id:1,phase:2,deny,status:503\"", kPost),
      "503");
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
            "403");
}

TEST_F(ModSecurityTest, TheReasonHasNoRawBytes) {
  Guarded& c = Start("SecRule ARGS \"@rx evil\" \"id:77,phase:1,deny,log,msg:'Found it'\"");
  c.Judge("GET /?b=evil%0a%1b[31m HTTP/1.1\r\nHost: app.test\r\n\r\n");
  EXPECT_THAT(c.reason(), StartsWith("denied by the rules: "));
  EXPECT_THAT(c.reason(), Not(HasSubstr("\x1b")));
  ASSERT_THAT(matches.messages, Not(IsEmpty()));
  EXPECT_THAT(matches.messages, Each(Not(HasSubstr("\n"))));
  EXPECT_THAT(matches.messages[0], HasSubstr("Found it"));
}

TEST_F(ModSecurityTest, RequestsOfOneConnectionAreInspectedInTurn) {
  Guarded& c = Start("SecRule ARGS \"@contains evil\" \"id:1,phase:2,deny\"");
  const std::string good = "GET /?b=good HTTP/1.1\r\nHost: app.test\r\n\r\n";
  c.Judge(good + good + kGet);
  EXPECT_EQ(c.passed(), good + good);
  EXPECT_EQ(c.status(), "403");
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
    EXPECT_EQ(CoreStatusOf(row.at), "") << row.at.substr(0, 300) << guarded->reason();
    EXPECT_EQ(CoreStatusOf(row.over), "400") << row.over.substr(0, 300);
  }
}

TEST_F(ModSecurityTest, EncodedAngleBracketsAreCounted) {
  for (const char* bracket : {"%3C", "%26lt%3B", "%5Cx3c", "%2526lt;"}) {
    EXPECT_EQ(CoreStatusOf(Post(kForm, "a=" + Repeat(600, bracket))), "400") << bracket;
    EXPECT_THAT(guarded->reason(), HasSubstr("(?:<[^<]*+){257}")) << bracket;
  }
  EXPECT_EQ(CoreStatusOf(Get("/?a=" + Repeat(600, "%3C"))), "400");
}

TEST_F(ModSecurityTest, TheNamesInJsonHaveALimit) {
  core_limits.json_name_bytes = 10'000;
  const auto object = [](int values) {
    return "{\"" + Repeat(100, "k") + "\":[1" + Repeat(values - 1, ",1") + "]}";
  };
  EXPECT_EQ(CoreStatusOf(Post(kJson, object(40))), "") << guarded->reason();
  EXPECT_EQ(CoreStatusOf(Post(kJson, object(100))), "400");
  EXPECT_THAT(guarded->reason(), HasSubstr("the names in it are longer than their limit"));
  EXPECT_EQ(CoreStatusOf(Post(kJson, "{\"a\":")), "400");
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
    EXPECT_EQ(CoreStatusOf(request), "400") << request.substr(0, 300);
  }
}

TEST_F(ModSecurityTest, ARequestOverTheProcessorTimeIsRejected) {
  core_limits.cpu_time = absl::Nanoseconds(1);
  EXPECT_EQ(CoreStatusOf(Post(kForm, "a=" + Repeat(5000, "b"))), "400");
  EXPECT_THAT(guarded->reason(), HasSubstr("more processor time than its limit"));
  EXPECT_THAT(matches.messages.back(), HasSubstr("it is refused"));
}

TEST_F(ModSecurityTest, AnExpressionOverItsLimitDoesNotPassTheRequest) {
  const std::string rules =
      "SecRuleEngine On\nSecRequestBodyAccess On\n"
      "SecRule ARGS \"@rx ^(a+)+$\" \"id:1,phase:2,pass,nolog\"\n"
      "SecRule ARGS \"@rx evil\" \"id:2,phase:2,deny,status:403\"\n";
  const std::string bomb = Post(kForm, "a=" + Repeat(64, "a") + "!&b=evil");
  Guarded& c = StartAlone(rules);
  c.Judge(bomb);
  EXPECT_EQ(c.passed(), "");
  EXPECT_EQ(c.status(), "400");
  EXPECT_THAT(c.reason(), HasSubstr("more steps for the request than its limit"));
  // The next connection has its own budget.
  Guarded& next = StartAlone(rules);
  next.Judge(Post(kForm, "a=b"));
  EXPECT_EQ(next.passed(), Post(kForm, "a=b"));
}

TEST_F(ModSecurityTest, WithDetectOnlyAnExcessIsReportedAndTheRequestPasses) {
  CoreRuleSetOptions options;
  options.detect_only = true;
  JudgingLimits limits;
  limits.cpu_time = absl::Nanoseconds(1);
  const std::string large = Post(kForm, "a=" + Repeat(5000, "b"));
  Guarded& c = StartAlone(CoreRuleSet(options), limits);
  c.Judge(large + large);
  EXPECT_EQ(c.passed(), large + large);
  EXPECT_THAT(matches.messages.back(), HasSubstr("it is passed on unjudged"));

  // The same for a limit of the rules: expensive requests are not inspected at all.
  for (const std::string& over :
       {Post(kForm, "a=" + Repeat(5700, "<")), Post(kForm, "a=" + Repeat(100'000, "+")),
        Get("/", "X-A: " + Repeat(8001, "<") + "\r\n")}) {
    matches.messages.clear();
    Guarded& d = StartAlone(CoreRuleSet(options), core_limits);
    d.Judge(over);
    EXPECT_EQ(d.passed(), over);
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
  ASSERT_EQ(CoreStatusOf(Post(kMultipart, good + end)), "") << guarded->reason();
  ASSERT_EQ(CoreStatusOf(Post(kMultipart, good + file + "x\r\n--\r\ny\n--\nz\r\n" + end)), "")
      << guarded->reason();
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
    EXPECT_EQ(CoreStatusOf(Post(kMultipart, body)), "400") << body;
  }
  for (const char* type :
       {"", "multipart/mixed; boundary=b", "multipart/related; boundary=b",
        "multipart/form-data; boundary=b,c", "multipart/form-data; boundary=\"b\"",
        "multipart/form-data; boundary=b; boundary=c", "multipart/form-data", "text/plain",
        "application/octet-stream"}) {
    EXPECT_EQ(CoreStatusOf(Post(type, good + end)), "400") << type;
  }
  EXPECT_EQ(CoreStatusOf(Post(kForm, "a=b", "Content-Encoding: gzip\r\n")), "400");
  EXPECT_EQ(CoreStatusOf(Post(kForm, "a=b", "Content-Type: text/xml\r\n")), "400");
  EXPECT_EQ(CoreStatusOf(Post(kJson, "{\"<script>\": []}")), "400");
  EXPECT_EQ(CoreStatusOf(Post(kJson, "{\"a\": []}")), "");
}

TEST_F(ModSecurityTest, NewRequestsUseTheCurrentRules) {
  const auto load = [&](const std::string& word) {
    return *ModSecurityRules::Load("SecRuleEngine On\nSecRule ARGS \"@streq " + word +
                                   "\" \"id:1,phase:1,deny\"\n");
  };
  ModSecurityRulesInUse in_use(load("evil"));
  Guarded old_one(in_use.current());
  in_use.Replace(load("good"));
  Guarded new_one(in_use.current());
  old_one.Judge(kGet);
  new_one.Judge(kGet);
  EXPECT_EQ(old_one.status(), "403");
  EXPECT_EQ(new_one.passed(), kGet);
}

TEST_F(ModSecurityTest, RulesOfPhases3And4JudgeResponses) {
  const auto rules = *ModSecurityRules::Load(
      "SecRuleEngine On\nSecResponseBodyAccess On\nSecResponseBodyMimeType text/html\n"
      "SecRule RESPONSE_HEADERS:X-Powered-By \"@contains PHP\" \"id:1,phase:3,deny,status:502\"\n"
      "SecRule RESPONSE_STATUS \"@eq 500\" \"id:2,phase:3,deny,status:503\"\n"
      "SecRule RESPONSE_BODY \"@contains You have an error in your SQL syntax\" "
      "\"id:3,phase:4,deny,log\"\n",
      &matches);
  EXPECT_TRUE(rules->ReadsResponseBody("Text/HTML; charset=utf-8"));
  EXPECT_FALSE(rules->ReadsResponseBody("image/png"));
  EXPECT_FALSE(rules->ReadsResponseBody(""));
  const auto judge = [&](int status, std::vector<HttpField> fields, absl::string_view body) {
    const std::unique_ptr<HttpGuard> guard =
        rules->NewGuard(ConnectionReport(), JudgedParts::kRequestAndResponse);
    HttpRefusal refusal;
    const auto request = ReadRequestHead(kGet, Http1Limits(), refusal);
    EXPECT_FALSE(guard->OnHead(*request).has_value() || guard->OnEnd().has_value());
    EXPECT_TRUE(guard->wants_response());
    std::optional<HttpRefusal> no = guard->OnResponseHead({status, std::move(fields)});
    if (!no.has_value()) no = guard->OnResponseBody(body);
    if (!no.has_value()) no = guard->OnResponseEnd();
    return no.has_value() ? absl::StrCat(no->status) : "";
  };
  const std::vector<HttpField> html = {{"content-type", "text/html"}};
  EXPECT_EQ(judge(200, html, "all is well"), "");
  EXPECT_EQ(judge(200, {{"x-powered-by", "PHP/8"}}, ""), "502");
  EXPECT_EQ(judge(500, html, ""), "503");
  EXPECT_EQ(judge(200, html, "<p>You have an error in your SQL syntax"), "403");
  EXPECT_THAT(matches.messages.back(), HasSubstr("(phase 4)"));
}

TEST_F(ModSecurityTest, LimitsOfInspectionMustBePositive) {
  EXPECT_FALSE(ModSecurityRules::Load("", nullptr, {absl::ZeroDuration()}).ok());
  EXPECT_FALSE(ModSecurityRules::Load("", nullptr, {absl::Seconds(1), 0}).ok());
  EXPECT_FALSE(ModSecurityRules::Load("", nullptr, {absl::Seconds(1), 1, 0}).ok());
}

}  // namespace
}  // namespace trestle
