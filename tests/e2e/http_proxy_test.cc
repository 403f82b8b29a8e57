// examples/http_proxy as users run it: curl and nghttp as clients, node and nginx as backends.

#include <signal.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/bulk_bytes.h"
#include "tests/e2e/server_programs.h"

namespace trestle::e2e {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kVersions[] = {"--http1.1", "--http2"};

class HttpProxyTest : public ServerProgramsTest {
 protected:
  HttpProxyTest() {
    WriteCertificate("back", LeafFor(kBackName));
    node_ = std::make_unique<Process>(
        std::vector<std::string>{FindProgram("node"), "tests/e2e/gateway_backend.js",
                                 PathOf("back.pem"), PathOf("back.key")});
    EXPECT_TRUE(node_->WaitForOutput(".\n", kPatience)) << node_->errors();
    const std::vector<std::string> words = absl::StrSplit(node_->output(), absl::ByAnyChar(" .\n"));
    http1_ = absl::StrCat("127.0.0.1:", words[1]);
    h2c_ = absl::StrCat("127.0.0.1:", words[2]);
    tls_ = absl::StrCat("127.0.0.1:", words[3]);
  }

  std::unique_ptr<ProxyProcess> Start(const std::vector<std::string>& more_flags = {},
                                      const std::string& routes = "") const {
    std::vector<std::string> argv = {
        ExampleProgram("http_proxy"),       "--listen=127.0.0.1:0",
        "--cert=" + PathOf("front.pem"),    "--key=" + PathOf("front.key"),
        "--backend_ca=" + PathOf("ca.pem"), "--log_requests"};
    argv.insert(argv.end(), more_flags.begin(), more_flags.end());
    if (routes != "-") argv.push_back("--routes=" + (routes.empty() ? Routes() : routes));
    return StartProgram(argv);
  }

  /// One route for each kind of backend.
  std::string Routes() const {
    return absl::StrCat(kFrontName, "/=http://", http1_, ",", kFrontName, "/api=https://", tls_,
                        "@", kBackName, ",", kFrontName, "/h2c=h2c://", h2c_);
  }

  std::string Get(const ProxyProcess& proxy, const std::string& version, const std::string& path,
                  std::vector<std::string> flags = {}) const {
    flags.push_back(version);
    const CommandResult curl = Curl(proxy.port, path, flags, 3 * kPatience);
    EXPECT_EQ(curl.exit_status, 0) << version << path << curl.errors << proxy.log();
    return curl.output;
  }

  std::unique_ptr<Process> node_;
  std::string http1_;
  std::string h2c_;
  std::string tls_;
};

TEST_F(HttpProxyTest, EveryPairOfVersionsCarriesBodiesBothWays) {
  const auto proxy = Start();
  std::string upload(5'000'000, '\0');
  for (size_t i = 0; i < upload.size(); ++i) upload[i] = static_cast<char>(i * 2654435761u >> 13);
  Sha256 sum;
  sum.Add(upload);
  const std::string file = WriteFile("upload", upload);
  const std::string expected_sum = sum.Sum();
  const std::pair<std::string, std::string> backends[] = {
      {"", "http1"}, {"/api", "tls"}, {"/h2c", "h2c"}};
  for (const char* version : kVersions) {
    for (const auto& [prefix, name] : backends) {
      EXPECT_EQ(Get(*proxy, version, prefix + "/sum", {"--data-binary", "@" + file}),
                absl::StrCat(name, " POST ", expected_sum));
      EXPECT_EQ(Get(*proxy, version, prefix + "/sum", {"-T", "-", "-H", "Expect:"}),
                absl::StrCat(name, " PUT ",
                             "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
      EXPECT_EQ(Get(*proxy, version, prefix + "/echo", {"--data-binary", "@" + file}), upload);
      EXPECT_EQ(Get(*proxy, version, prefix + "/bytes/20000000",
                    {"-o", "/dev/null", "-w", "%{http_code} %{size_download}"}),
                "200 20000000");
      EXPECT_THAT(Get(*proxy, version, prefix + "/bytes/100", {"--head"}), HasSubstr(" 200"));
    }
  }
}

TEST_F(HttpProxyTest, TrailersAndHintsPass) {
  const auto proxy = Start();
  const std::string nghttp = FindProgram("nghttp");
  for (const std::string prefix : {"", "/api", "/h2c"}) {
    EXPECT_THAT(Get(*proxy, "--http1.1", prefix + "/trailers", {"--raw"}),
                EndsWith("0\r\nx-sum: abc\r\n\r\n"));
    EXPECT_THAT(Get(*proxy, "--http2", prefix + "/hints", {"--include"}), HasSubstr("103"));
    const CommandResult verbose = RunCommand(
        {nghttp, "--verbose", "--no-verify-peer", absl::StrCat("-H:authority: ", kFrontName),
         absl::StrCat("https://127.0.0.1:", proxy->port, prefix, "/trailers")},
        kPatience);
    EXPECT_THAT(verbose.output, HasSubstr("x-sum: abc")) << verbose.errors << proxy->log();
  }
}

TEST_F(HttpProxyTest, BackendsLearnOfTheClient) {
  const auto proxy = Start();
  for (const char* version : kVersions) {
    for (const std::string prefix : {"", "/api", "/h2c"}) {
      const std::string fields =
          Get(*proxy, version, prefix + "/fields",
              {"-H", "X-Forwarded-For: 6.6.6.6", "-H", "X_Real_IP: 6.6.6.6", "-H", "Cookie: a=b"});
      EXPECT_THAT(fields, HasSubstr("\"x-forwarded-for\":\"127.0.0.1\""));
      EXPECT_THAT(fields, HasSubstr("\"x-forwarded-proto\":\"https\""));
      EXPECT_THAT(fields, HasSubstr("\"x-request-id\":"));
      EXPECT_THAT(fields, HasSubstr("\"cookie\":\"a=b\""));
      EXPECT_THAT(fields, ::testing::Not(HasSubstr("6.6.6.6")));
    }
  }
}

TEST_F(HttpProxyTest, FailuresHavePagesAndReasons) {
  const RefusingPort dead;
  WriteCertificate("wrong", LeafFor("wrong.test"));
  const auto proxy = Start(
      {"--backend_timeout=300ms", "--max_body=1000"},
      absl::StrCat(kFrontName, "/=http://", http1_, ",", kFrontName, "/dead=http://",
                   dead.address(), ",", kFrontName, "/name=https://", tls_, "@other.internal"));
  struct Case {
    const char* path;
    std::vector<std::string> flags;
    const char* status;
    const char* reason;
  };
  const Case cases[] = {
      {"/dead", {}, "502", "unreachable"},
      {"/name", {}, "502", "back_tls_failed"},
      {"/never", {}, "504", "backend_timeout"},
      {"/", {"-H", "Host: other.test"}, "421", "misdirected"},
      {"/a%2fb", {}, "400", "bad_request"},
      {"/", {"--data", std::string(2000, 'x')}, "413", "body_too_large"},
  };
  for (const char* version : kVersions) {
    for (const Case& c : cases) {
      std::vector<std::string> flags = c.flags;
      flags.insert(flags.end(), {"-w", " %{http_code}"});
      const std::string page = Get(*proxy, version, c.path, flags);
      EXPECT_THAT(page, StartsWith(c.status)) << version << c.path;
      EXPECT_THAT(page, EndsWith(absl::StrCat("\n ", c.status))) << version << c.path;
      EXPECT_TRUE(proxy->WaitForLog(absl::StrCat("\"reason\":\"", c.reason, "\"")));
    }
  }
}

TEST_F(HttpProxyTest, AnotherBackendTakesOverForADeadOne) {
  const RefusingPort dead;
  const auto proxy = Start({}, absl::StrCat(kFrontName, "/=http://", dead.address(), "+", http1_));
  for (int i = 0; i < 6; ++i) {
    EXPECT_THAT(Get(*proxy, "--http2", "/x"), StartsWith("http1 GET"));
  }
}

TEST_F(HttpProxyTest, ARoutesFileIsLoadedAgain) {
  const std::string file =
      WriteFile("routes", absl::StrCat("# first\n", kFrontName, "=http://", http1_, "\n"));
  const auto proxy = Start({"--routes_file=" + file}, "-");
  EXPECT_THAT(Get(*proxy, "--http2", "/x"), StartsWith("http1 GET"));
  WriteFile("routes", absl::StrCat(kFrontName, "=http://", http1_, "\nbad line\n"));
  EXPECT_TRUE(proxy->WaitForLog("reload failed")) << proxy->log();
  EXPECT_THAT(proxy->log(), HasSubstr("line 2: "));
  EXPECT_THAT(Get(*proxy, "--http2", "/x"), StartsWith("http1 GET"));
  WriteFile("routes", absl::StrCat(kFrontName, "=https://", tls_, "@", kBackName, "\n"));
  EXPECT_TRUE(proxy->WaitForLog("reloaded: ")) << proxy->log();
  EXPECT_TRUE(WaitUntil([&] {
    return absl::StartsWith(Curl(proxy->port, "/x").output, "tls GET");
  })) << proxy->log();
}

TEST_F(HttpProxyTest, RoutesOfAFileHaveOptions) {
  const std::string file = WriteFile(
      "routes", absl::StrCat(kFrontName, "=http://", http1_, " sticky_cookie=at\n", kFrontName,
                             "/v1=https://", tls_, "@", kBackName, " rewrite=/\n", kFrontName,
                             "=h2c://", h2c_, " header=x-canary:1\n", kFrontName,
                             "/old=redirect:https://{host}/new{rest} status=301\n"));
  const auto proxy = Start({"--routes_file=" + file}, "-");
  for (const char* version : kVersions) {
    EXPECT_EQ(Get(*proxy, version, "/v1/bytes/7"), "aaaaaaa");
    EXPECT_THAT(Get(*proxy, version, "/x", {"-H", "X-Canary: 1"}), StartsWith("h2c GET"));
    EXPECT_THAT(Get(*proxy, version, "/x", {"--include"}), HasSubstr("set-cookie: at="));
    EXPECT_EQ(
        Get(*proxy, version, "/old/x?y", {"-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"}),
        absl::StrCat("301 https://", kFrontName, "/new/x?y"));
  }
  EXPECT_TRUE(proxy->WaitForLog("\"reason\":\"redirected\"")) << proxy->log();
}

TEST_F(HttpProxyTest, ResponsesGetAndLoseFields) {
  const auto proxy = Start({"--hsts=1h", "--response_remove=Date,x-powered-by", "--via=edge"});
  for (const char* version : kVersions) {
    const std::string head = Get(*proxy, version, "/x", {"--include"});
    EXPECT_THAT(head, HasSubstr("strict-transport-security: max-age=3600\r\n"));
    EXPECT_THAT(head, HasSubstr("via: 1.1 edge\r\n"));
    EXPECT_THAT(head, ::testing::Not(HasSubstr("date:")));
    EXPECT_THAT(Get(*proxy, version, "/fields"), HasSubstr(" edge\""));
    EXPECT_EQ(Get(*proxy, version, "/x", {"-H", "Via: 1.1 edge"}), "508 Loop Detected\n");
  }
}

TEST_F(HttpProxyTest, TheAdminServerHasRoutesAndPools) {
  const auto proxy = Start({"--admin=127.0.0.1:0", "--threads=2"});
  EXPECT_TRUE(proxy->WaitForLog("admin on 127.0.0.1:")) << proxy->log();
  const std::string log = proxy->log();
  const std::string rest = log.substr(log.find("admin on ") + 9);
  const std::string admin = rest.substr(0, rest.find('\n'));
  const auto page = [&](const std::string& path) {
    return RunCommand({FindProgram("curl"), "--silent", absl::StrCat("http://", admin, path)},
                      kPatience)
        .output;
  };
  EXPECT_THAT(Get(*proxy, "--http2", "/x"), StartsWith("http1 GET"));
  EXPECT_THAT(Get(*proxy, "--http2", "/api/x"), StartsWith("tls GET"));
  EXPECT_THAT(page("/metrics"), HasSubstr(absl::StrCat("trestle_http_requests_total{route=\"",
                                                       kFrontName, "/api\",status=\"2xx\"} 1\n")));
  const std::string pool = absl::StrCat("<td>http://", http1_);
  EXPECT_TRUE(WaitUntil([&] { return absl::StrContains(page("/"), pool); })) << page("/");
  EXPECT_THAT(page("/legs"), HasSubstr(http1_));
}

TEST_F(HttpProxyTest, AClearListenerLeadsToHttps) {
  const auto proxy = Start({"--redirect_listen=127.0.0.1:0", "--threads=2"});
  EXPECT_TRUE(proxy->WaitForLog("redirecting on 127.0.0.1:")) << proxy->log();
  const std::string log = proxy->log();
  const std::string line = log.substr(log.find("redirecting on ") + 15);
  const std::string clear = line.substr(0, line.find('\n'));
  const CommandResult curl = RunCommand(
      {FindProgram("curl"), "--silent", "--location", "--cacert", PathOf("ca.pem"), "--connect-to",
       absl::StrCat(kFrontName, ":80:", clear), "--resolve",
       absl::StrCat(kFrontName, ":", proxy->port, ":127.0.0.1"), "-w",
       " %{num_redirects} %{url_effective}", absl::StrCat("http://", kFrontName, "/x?y")},
      kPatience);
  EXPECT_THAT(curl.output, StartsWith("http1 GET")) << curl.errors << proxy->log();
  EXPECT_THAT(curl.output,
              EndsWith(absl::StrCat(" 1 https://", kFrontName, ":", proxy->port, "/x?y")));
  proxy->process.Signal(SIGTERM);
  EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0) << proxy->log();
}

TEST_F(HttpProxyTest, NginxKeepsItsConnections) {
  const uint16_t port = FreePort();
  const auto nginx =
      StartNginx(absl::StrCat("http {\n", TemporaryPaths(),
                              "access_log off;\nserver {\nlisten 127.0.0.1:", port,
                              ";\nlocation / { return 200 \"$connection\"; }\n}\n}\n"),
                 port);
  const auto proxy = Start({}, absl::StrCat(kFrontName, "/=http://127.0.0.1:", port));
  const std::string first = Get(*proxy, "--http1.1", "/");
  EXPECT_NE(first, "");
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Get(*proxy, i % 2 == 0 ? "--http2" : "--http1.1", "/"), first);
  }
}

TEST_F(HttpProxyTest, ManyStreamsFinishBeforeTheProgramEnds) {
  const auto proxy = Start({"--threads=2"});
  const CommandResult load =
      RunCommand({FindProgram("h2load"), "-n", "2000", "-c", "10", "-m", "20",
                  absl::StrCat("--connect-to=127.0.0.1:", proxy->port),
                  absl::StrCat("https://", kFrontName, ":", proxy->port, "/bytes/1000")},
                 3 * kPatience);
  EXPECT_THAT(load.output, HasSubstr("2000 succeeded, 0 failed")) << load.output << load.errors;
  // A request in progress, with more than both sides' buffers.
  Process busy({FindProgram("curl"), "--silent", "--http2", "--cacert", PathOf("ca.pem"),
                "--resolve", absl::StrCat(kFrontName, ":", proxy->port, ":127.0.0.1"), "--include",
                absl::StrCat("https://", kFrontName, ":", proxy->port, "/bytes/50000000"), "-o",
                PathOf("busy")});
  EXPECT_TRUE(WaitForText(PathOf("busy"), "aaaa"));
  proxy->process.Signal(SIGTERM);
  EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0) << proxy->log();
  EXPECT_THAT(proxy->log(), HasSubstr("drained"));
  EXPECT_EQ(busy.WaitForExit(kPatience), 0);
  EXPECT_THAT(proxy->log(), HasSubstr("\"bytes_out\":50000000"));
}

TEST_F(HttpProxyTest, TheFirewallDeniesAttacksInBothVersions) {
  const auto proxy = Start({"--waf"});
  const std::string long_form = WriteFile("long", "a=" + std::string(140'000, 'x'));
  for (const char* version : kVersions) {
    EXPECT_THAT(Get(*proxy, version, "/x?name=blue"), StartsWith("http1 GET"));
    EXPECT_THAT(Get(*proxy, version, "/api/x", {"--data", "name=blue"}), StartsWith("tls POST"));
    EXPECT_EQ(Get(*proxy, version, "/x?id=1%27%20OR%20%271%27=%271"), "403 Forbidden\n");
    EXPECT_EQ(Get(*proxy, version, "/x", {"--data", "user=admin' OR 1=1-- &password=x"}),
              "403 Forbidden\n");
    EXPECT_EQ(Get(*proxy, version, "/x", {"--data", "@" + long_form}), "413 Content Too Large\n");
  }
  EXPECT_TRUE(proxy->WaitForLog("\"reason\":\"denied\"")) << proxy->log();
  EXPECT_THAT(proxy->log(), HasSubstr("waf: [client 127.0.0.1] ModSecurity: Access denied"));
}

TEST_F(HttpProxyTest, TheFirewallReplacesResponsesThatLeak) {
  const auto proxy = Start({"--waf", "--waf_response_bytes=65536"});
  for (const char* version : kVersions) {
    for (const std::string prefix : {"", "/api", "/h2c"}) {
      EXPECT_EQ(Get(*proxy, version, prefix + "/leak"), "403 Forbidden\n");
      EXPECT_EQ(Get(*proxy, version, prefix + "/bytes/300000").size(), 300'000u);
    }
  }
  EXPECT_TRUE(proxy->WaitForLog("\"reason\":\"response_denied\"")) << proxy->log();
  const auto requests_only = Start({"--waf"});
  EXPECT_THAT(Get(*requests_only, "--http2", "/leak"), HasSubstr("SQL syntax"));
}

TEST_F(HttpProxyTest, FlagsThatDoNotFitAreNamed) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{}, "give one of --routes and --routes_file"},
      {{"--routes=front.test=127.0.0.1:1"}, "has no scheme"},
      {{"--routes=front.test=https://127.0.0.1:1@a.test"}, "--backend_ca is required"},
      {{"--routes=front.test=http://127.0.0.1:1", "--redirect_port=1"},
       "--redirect_port has no use"},
      {{"--routes=front.test=http://127.0.0.1:1", "--redirect_listen=x"},
       "--redirect_listen is wrong"},
      {{"--routes=front.test=http://127.0.0.1:1", "--hsts_subdomains"}, "--hsts is wrong"},
      {{"--routes=front.test=http://127.0.0.1:1", "--response_remove=te"}, "--response_remove "},
      {{"--routes=front.test=http://127.0.0.1:1", "--http_trusted_proxies=10.0.0.0/33"},
       "--http_trusted_proxies is wrong: "},
      {{"--routes=front.test=http://127.0.0.1:1", "--http_upgrades=websocket,h2c"},
       "an upgrade to h2c would let requests pass unread"},
      {{"--routes=front.test=http://127.0.0.1:1", "--dangerous_http_keep=x-forwarded-for"},
       "can't be kept, since it is written here"},
      {{"--routes=front.test=http://127.0.0.1:1", "--proxy_protocol=out:v2"},
       "PROXY headers go to a backend"},
      {{"--routes=a.test=http://127.0.0.1:1,a.test/=http://127.0.0.1:2"}, "is listed twice"},
  };
  for (const auto& [flags, problem] : cases) {
    std::vector<std::string> argv = {ExampleProgram("http_proxy"), "--listen=127.0.0.1:0",
                                     "--cert=" + PathOf("front.pem"),
                                     "--key=" + PathOf("front.key")};
    argv.insert(argv.end(), flags.begin(), flags.end());
    const CommandResult run = RunCommand(argv, kPatience);
    EXPECT_EQ(run.exit_status, 1);
    EXPECT_THAT(run.errors, HasSubstr(problem));
  }
}

}  // namespace
}  // namespace trestle::e2e
