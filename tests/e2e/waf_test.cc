// http_proxy --waf with the OWASP Core Rule Set before a backend of TLS: attacks by curl are
// denied, and its ordinary requests arrive unchanged.

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/bulk_bytes.h"
#include "tests/e2e/proxy_test.h"
#include "tests/support/pcap_reader.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

std::string ReadAll(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::string SumOf(const std::string& text) {
  Sha256 sum;
  sum.Add(text);
  return sum.Sum();
}

/// Returns ordinary prose.
std::string Prose(int seed, int words) {
  constexpr const char* kWords[] = {"the",   "order", "of",     "blue",   "bicycles", "was",
                                    "sent",  "on",    "Monday", "please", "call",     "Ms",
                                    "Keane", "about", "seven",  "spare",  "wheels",   "and"};
  std::string prose;
  for (int i = 0; i < words; ++i) {
    absl::StrAppend(&prose, i > 0 ? " " : "", kWords[(seed * 7 + i * i + i) % 18]);
  }
  return prose;
}

struct Ordinary {
  std::string path;
  std::string content_type;  // Empty: a GET.
  std::string body;
};

// Two hundred requests of the kinds that browsers and programs send.
std::vector<Ordinary> OrdinaryRequests() {
  constexpr const char* kForm = "application/x-www-form-urlencoded";
  std::vector<Ordinary> requests;
  for (int i = 0; i < 100; ++i) {
    requests.push_back({absl::StrCat("/hello?page=", i, "&sort=name&q=",
                                     absl::StrJoin(absl::StrSplit(Prose(i, 4), ' '), "+")),
                        "", ""});
  }
  for (int i = 0; i < 100; ++i) {
    const std::string prose = Prose(i, 20 + i);
    const std::string plus = absl::StrJoin(absl::StrSplit(prose, ' '), "+");
    switch (i % 4) {
      case 0:
        requests.push_back({"/form", kForm, absl::StrCat("id=", i, "&text=", plus, "&ok=true")});
        break;
      case 1:
        requests.push_back(
            {"/json", "application/json",
             absl::StrCat("{\"id\": ", i, ", \"text\": \"", prose,
                          "\", \"tags\": [\"a\", \"b\"], \"nested\": {\"x\": 1.5}}")});
        break;
      case 2:
        requests.push_back({"/xml", "text/xml",
                            absl::StrCat("<?xml version=\"1.0\"?><order><id>", i, "</id><text>",
                                         prose, "</text></order>")});
        break;
      default:
        requests.push_back(
            {"/upload", "multipart/form-data; boundary=edge",
             absl::StrCat("--edge\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n", prose,
                          "\r\n--edge\r\nContent-Disposition: form-data; name=\"photo\"; "
                          "filename=\"photo.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n",
                          std::string(i * 900, static_cast<char>('A' + i % 26)),
                          "\r\n--edge--\r\n")});
    }
  }
  return requests;
}

class WafTest : public ProxyTest {
 protected:
  WafTest() : backend_(StartBackend(Mode::kBridge)) {}

  std::vector<std::string> WafCommand(const std::vector<std::string>& more_flags) const {
    std::vector<std::string> argv = {
        ExampleProgram("http_proxy"),
        "--waf",
        "--listen=127.0.0.1:0",
        "--cert=" + PathOf("front.pem"),
        "--key=" + PathOf("front.key"),
        "--backend_ca=" + PathOf("ca.pem"),
        absl::StrCat("--routes=default=https://", backend_->address(), "@", kBackName),
        "--log_requests"};
    argv.insert(argv.end(), more_flags.begin(), more_flags.end());
    return argv;
  }

  std::unique_ptr<ProxyProcess> StartWaf(const std::vector<std::string>& more_flags = {}) const {
    return StartProgram(WafCommand(more_flags));
  }

  // Returns curl's config file for all of `requests`, on as few connections as curl needs.
  std::string CurlConfig(const std::vector<Ordinary>& requests, uint16_t port) const {
    std::string config;
    for (size_t i = 0; i < requests.size(); ++i) {
      const Ordinary& request = requests[i];
      absl::StrAppend(&config, i > 0 ? "next\n" : "", "silent\nshow-error\nnoproxy = *\n",
                      "cacert = ", PathOf("ca.pem"), "\nresolve = ", kFrontName, ":", port,
                      ":127.0.0.1\nurl = \"https://", kFrontName, ":", port, request.path,
                      "\"\noutput = ", PathOf(absl::StrCat("answer", i)), "\n");
      if (request.content_type.empty()) continue;
      const std::string body = WriteFile(absl::StrCat("body", i), request.body);
      absl::StrAppend(&config, "header = \"Content-Type: ", request.content_type,
                      "\"\ndata-binary = @", body, "\n");
    }
    return config;
  }

  const std::unique_ptr<HttpBackend> backend_;
};

TEST_F(WafTest, OrdinaryRequestsArriveUnchanged) {
  const auto proxy = StartWaf({"--threads=2"});
  const std::vector<Ordinary> requests = OrdinaryRequests();
  ASSERT_EQ(requests.size(), 200u);
  const CommandResult curl = RunCommand(
      {FindProgram("curl"), "--config", WriteFile("requests", CurlConfig(requests, proxy->port))},
      4 * kPatience);
  EXPECT_EQ(curl.exit_status, 0) << curl.errors << proxy->log();
  for (size_t i = 0; i < requests.size(); ++i) {
    const Ordinary& request = requests[i];
    const std::string expected =
        request.content_type.empty() ? "hello from backend" : SumOf(request.body);
    EXPECT_EQ(ReadAll(PathOf(absl::StrCat("answer", i))), expected) << request.path;
  }
  EXPECT_EQ(backend_->requests(), 200);
}

TEST_F(WafTest, ACaptureHasTheAttackThatTheBackendDidNotReceive) {
  const std::string path = PathOf("capture.pcap");
  const auto proxy = StartWaf({"--dangerous_capture_file=" + path});
  const CommandResult curl = Curl(proxy->port, "/hello?id=1%27%20OR%20%271%27=%271", {"--http1.1"});
  EXPECT_EQ(curl.output, "403 Forbidden\n") << curl.errors << proxy->log();
  EXPECT_TRUE(proxy->WaitForLog("\"reason\":\"denied\"")) << proxy->log();
  proxy->process.Signal(SIGTERM);
  EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0);
  const auto streams = ReadStreams(ReadAll(path));
  ASSERT_TRUE(streams.ok()) << streams.status();
  ASSERT_EQ(streams->size(), 1u);
  EXPECT_THAT(streams->front().to_server, HasSubstr("GET /hello?id=1%27%20OR"));
  EXPECT_EQ(backend_->requests(), 0);
}

TEST_F(WafTest, AttacksAreDeniedAndAudited) {
  const std::string audit = PathOf("audit.json");
  const auto proxy = StartWaf({absl::StrCat("--audit_log=", audit)});
  struct Attack {
    const char* rule;  // Of the Core Rule Set.
    std::string path;
    std::vector<std::string> flags;
  };
  const std::vector<Attack> attacks = {
      {"942100", "/hello?id=1%27%20OR%20%271%27=%271", {}},
      {"942100", "/login", {"--data", "user=admin' OR 1=1-- &password=x"}},
      {"941100", "/hello?q=<script>alert(document.cookie)</script>", {}},
      {"941100",
       "/json",
       {"--header", "Content-Type: application/json", "--data",
        "{\"text\": \"<img src=x onerror=alert(1)>\"}"}},
      {"930120", "/hello?file=../../../../etc/passwd", {}},
      {"930110", "/images/../../../../etc/passwd", {"--path-as-is"}},
  };
  for (const Attack& attack : attacks) {
    std::vector<std::string> flags = attack.flags;
    flags.insert(flags.end(), {"--globoff", "--write-out", "%{http_code}"});
    const CommandResult curl = Curl(proxy->port, attack.path, flags);
    EXPECT_EQ(curl.output, "403 Forbidden\n403") << attack.path << curl.errors << proxy->log();
    EXPECT_TRUE(WaitForText(audit, absl::StrCat("\"ruleId\":\"", attack.rule, "\"")));
  }
  EXPECT_EQ(backend_->requests(), 0);
  EXPECT_TRUE(proxy->WaitForLog("\"detail\":\"denied by the rules: ")) << proxy->log();
  EXPECT_THAT(proxy->log(), HasSubstr("waf: [client 127.0.0.1] ModSecurity: Access denied"));
  // The program writes pending lines when it ends.
  proxy->process.Signal(SIGTERM);
  EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0);
  std::vector<std::string> lines = absl::StrSplit(ReadAll(audit), '\n', absl::SkipEmpty());
  EXPECT_EQ(lines.size(), attacks.size());
  EXPECT_THAT(lines[0], HasSubstr("\"http_code\":403"));
}

TEST_F(WafTest, OnlyTheOwnerCanReadTheAuditLogAndItRotates) {
  const std::string audit = PathOf("audit.json");
  const auto proxy = StartWaf({absl::StrCat("--audit_log=", audit)});
  const std::string attack = "/hello?file=../../../../etc/passwd";
  Curl(proxy->port, attack, {"--header", "Cookie: session=secret"});
  ASSERT_TRUE(WaitForText(audit, "session=secret"));
  struct stat info = {};
  ASSERT_EQ(stat(audit.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  ASSERT_EQ(rename(audit.c_str(), (audit + ".1").c_str()), 0);
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("reloaded: ")) << proxy->log();
  Curl(proxy->port, attack, {"--header", "Cookie: session=another"});
  EXPECT_TRUE(WaitForText(audit, "session=another"));
}

TEST_F(WafTest, DetectOnlyDeniesNothing) {
  const auto proxy = StartWaf({"--detect_only"});
  EXPECT_EQ(Curl(proxy->port, "/hello?id=1%27%20OR%20%271%27=%271").output, "hello from backend");
  EXPECT_TRUE(proxy->WaitForLog("SQL Injection Attack Detected")) << proxy->log();
}

TEST_F(WafTest, OwnRulesInspectBodies) {
  const std::string rules = WriteFile(
      "own.conf",
      "SecRuleEngine On\nSecRule ARGS:q \"@streq no\" \"id:1,phase:1,deny,status:406\"\n");
  const auto proxy = StartWaf({absl::StrCat("--rules=", rules), "--max_body=1000"});
  EXPECT_TRUE(proxy->WaitForLog("8 rules loaded")) << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/hello?q=no", {"--write-out", "%{http_code}"}).output.substr(0, 3),
            "406");
  EXPECT_EQ(Curl(proxy->port, "/hello?q=yes").output, "hello from backend");
  EXPECT_EQ(Curl(proxy->port, "/sum", {"--data", std::string(1000, 'x')}).output,
            SumOf(std::string(1000, 'x')));
  EXPECT_EQ(Curl(proxy->port, "/sum", {"--data", std::string(1001, 'x')}).output,
            "413 Content Too Large\n");
}

TEST_F(WafTest, RulesAreReloadedOnlyIfTheyAreValid) {
  const auto rules_against = [](const std::string& word) {
    return absl::StrCat("SecRuleEngine On\nSecRule ARGS:q \"@streq ", word,
                        "\" \"id:1,phase:1,deny,status:406\"\n");
  };
  const auto answer_to = [&](const ProxyProcess& proxy, const std::string& word) {
    return Curl(proxy.port, absl::StrCat("/hello?q=", word), {"--write-out", "%{http_code}"})
        .output;
  };
  const std::string rules = WriteFile("own.conf", rules_against("one"));
  const auto proxy = StartWaf({absl::StrCat("--rules=", rules)});
  EXPECT_THAT(answer_to(*proxy, "one"), HasSubstr("406"));

  WriteFile("own.conf", "SecNonsense On\n");
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog("reload failed, what was loaded before stays in use: "))
      << proxy->log();
  EXPECT_THAT(proxy->log(), HasSubstr("the rules can't be loaded"));
  EXPECT_THAT(answer_to(*proxy, "one"), HasSubstr("406"));

  WriteFile("own.conf", rules_against("two"));
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog("; 8 rules loaded")) << proxy->log();
  EXPECT_EQ(answer_to(*proxy, "one"), "hello from backend200");
  EXPECT_THAT(answer_to(*proxy, "two"), HasSubstr("406"));
}

TEST_F(WafTest, LimitsAreSetByFlags) {
  const auto proxy = StartWaf({"--max_arguments=3", "--max_value=60"});
  const auto status_of = [&](const std::string& path) {
    return Curl(proxy->port, path, {"--write-out", "%{http_code}"}).output;
  };
  EXPECT_EQ(status_of("/hello?a=1&b=2&c=3"), "hello from backend200");
  EXPECT_THAT(status_of("/hello?a=1&b=2&c=3&d=4"), HasSubstr("400"));
  EXPECT_THAT(status_of(absl::StrCat("/hello?a=", std::string(61, 'b'))), HasSubstr("400"));
}

TEST_F(WafTest, ErrorsAreReported) {
  const auto refusal = [&](const std::string& flag) {
    const std::vector<std::string> argv = WafCommand({flag, "--detect_only"});
    const CommandResult result = RunCommand(argv, kPatience);
    EXPECT_GT(result.exit_status, 0);
    return result.errors;
  };
  EXPECT_THAT(refusal("--rules=/nonexistent"), HasSubstr("doesn't go with --rules"));
  EXPECT_THAT(
      refusal("--audit_log=/nonexistent/audit"),
      HasSubstr("--audit_log can't be written: cannot open /nonexistent/audit: No such file"));
  ASSERT_EQ(symlink("/dev/null", PathOf("link").c_str()), 0);
  EXPECT_THAT(refusal("--audit_log=" + PathOf("link")), HasSubstr("it is a symlink"));
  chmod(WriteFile("wide", "").c_str(), 0644);
  EXPECT_THAT(refusal("--audit_log=" + PathOf("wide")), HasSubstr("others have access to it"));
  EXPECT_THAT(refusal("--dangerous_unread_http2"), HasSubstr("has no use here"));
  EXPECT_THAT(refusal("--max_value=0"), HasSubstr("give a positive number"));
  EXPECT_THAT(refusal("--judging_time=0s"), HasSubstr("each limit of judging must be positive"));
}

}  // namespace
}  // namespace trestle::e2e
