// Health checks of backends in the example programs, with nginx as backends.

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/server_programs.h"
#include "tests/support/socket_folder.h"

namespace trestle::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class HealthTest : public ServerProgramsTest {
 protected:
  // A web server that answers with its name, and /healthz with 503 while `Sick` says so.
  std::string ServerAt(uint16_t port, const std::string& name, bool tls = false) const {
    return absl::StrCat("server { listen 127.0.0.1:", port, tls ? " ssl; " : "; ",
                        tls ? absl::StrCat("ssl_certificate ", PathOf("back.pem"),
                                           "; ssl_certificate_key ", PathOf("back.key"), "; ")
                            : "",
                        "location / { return 200 \"", name, "\"; } location /healthz { if (-f ",
                        PathOf(absl::StrCat("sick.", name)), ") { return 503; } return 204; } } ");
  }

  std::unique_ptr<Process> StartServers(const std::string& servers, uint16_t port) const {
    return StartNginx(absl::StrCat("http { access_log off; ", TemporaryPaths(), servers, "}\n"),
                      port);
  }

  void Sick(const std::string& name) const { WriteFile(absl::StrCat("sick.", name), "x"); }
  void Well(const std::string& name) const {
    std::filesystem::remove(PathOf(absl::StrCat("sick.", name)));
  }

  static std::vector<std::string> Checks(const std::string& kind) {
    return {absl::StrCat("--health_check=", kind), "--health_interval=50ms", "--health_timeout=10s",
            "--admin=127.0.0.1:0"};
  }

  // Asks `count` times, and returns the answers in a row.
  std::string Answers(uint16_t port, int count) const {
    std::string answers;
    for (int i = 0; i < count; ++i) {
      const CommandResult result = Curl(port, "/");
      absl::StrAppend(&answers, result.exit_status == 0 ? result.output : "failed", " ");
    }
    return answers;
  }
};

TEST_F(HealthTest, ASickBackendGetsNoConnectionsUntilItIsWell) {
  const std::vector<uint16_t> ports = FreePorts(2);
  const auto servers =
      StartServers(ServerAt(ports[0], "one") + ServerAt(ports[1], "two"), ports[0]);
  std::vector<std::string> flags = Checks("http");
  flags.push_back("--health_path=/healthz");
  const auto proxy = StartProxy(
      Mode::kOffload, absl::StrCat("127.0.0.1:", ports[0], "+127.0.0.1:", ports[1]), flags);
  const std::string two = absl::StrCat("backend 127.0.0.1:", ports[1]);
  ASSERT_TRUE(proxy->WaitForLog(absl::StrCat(two, " is up (was unchecked), by http\n")))
      << proxy->log();
  EXPECT_THAT(Answers(proxy->port, 2), AllOf(HasSubstr("one"), HasSubstr("two")));
  Sick("two");
  ASSERT_TRUE(proxy->WaitForLog(absl::StrCat(
      two,
      " is down (was up), by http: the backend answered the health check with status 503, "
      "not 200 to 299\n")))
      << proxy->log();
  EXPECT_EQ(Answers(proxy->port, 3), "one one one ");

  const uint16_t admin = AdminPort(*proxy);
  const std::string label =
      absl::StrCat("{backend=\"127.0.0.1:", ports[1], "\",name=\"\",check=\"http\"");
  const std::string metrics =
      WaitForPage(admin, "/metrics", absl::StrCat("trestle_backend_up", label, "} 0"));
  EXPECT_THAT(metrics,
              HasSubstr(absl::StrCat("trestle_backend_health_changes_total", label, "} 1")));
  ExpectPromtoolLikes(metrics.substr(metrics.find("\r\n\r\n") + 4));
  EXPECT_THAT(GetPage(admin, "/"), AllOf(HasSubstr("State of backends"), HasSubstr("down for ")));
  const std::string legs = GetPage(admin, "/legs");
  const Json json = Json::parse(legs.substr(legs.find("\r\n\r\n")));
  ASSERT_EQ(json.at("health").size(), 2u);
  EXPECT_EQ(json.at("routes").at(0).at("backends").size(), 2u) << "the page has all of them";

  Well("two");
  ASSERT_TRUE(proxy->WaitForLog(absl::StrCat(two, " is up (was down), by http\n"))) << proxy->log();
  EXPECT_THAT(Answers(proxy->port, 2), AllOf(HasSubstr("one"), HasSubstr("two")));
}

TEST_F(HealthTest, IfAllAreDownConnectionsFailAtOnceOrTry) {
  const uint16_t port = FreePort();
  const auto servers = StartServers(ServerAt(port, "one"), port);
  Sick("one");
  std::vector<std::string> flags = Checks("http");
  flags.push_back("--health_path=/healthz");
  const std::string backend = absl::StrCat("127.0.0.1:", port);
  const auto tries = StartProxy(Mode::kOffload, backend, flags);
  flags.push_back("--health_all_down=fail");
  const auto fails = StartProxy(Mode::kOffload, backend, flags);
  for (ProxyProcess* const proxy : {tries.get(), fails.get()}) {
    ASSERT_TRUE(proxy->WaitForLog("is down (was unchecked)")) << proxy->log();
  }
  EXPECT_EQ(Answers(tries->port, 1), "one ");
  EXPECT_EQ(Answers(fails->port, 1), "failed ");
  EXPECT_TRUE(fails->WaitForLog("no_backend")) << fails->log();
}

TEST_F(HealthTest, ABridgesChecksVerifyAsItsConnectionsDo) {
  WriteCertificate("back", LeafFor(kBackName));
  const std::vector<uint16_t> ports = FreePorts(2);
  const auto good = StartServers(ServerAt(ports[0], "one", /*tls=*/true), ports[0]);
  WriteCertificate("other", LeafFor("other.test"));
  const auto other =
      StartOpenssl({"-cert", PathOf("other.pem"), "-key", PathOf("other.key"), "-www"}, ports[1]);
  const std::string backends = absl::StrCat("127.0.0.1:", ports[0], "+127.0.0.1:", ports[1]);
  for (const std::string& kind : {"tls", "http"}) {
    const auto bridge = StartProxy(Mode::kBridge, backends, Checks(kind));
    EXPECT_TRUE(bridge->WaitForLog(absl::StrCat("backend 127.0.0.1:", ports[0],
                                                " as back.test is up (was unchecked), by ", kind)))
        << bridge->log();
    EXPECT_TRUE(bridge->WaitForLog(absl::StrCat(
        "backend 127.0.0.1:", ports[1], " as back.test is down (was unchecked), by ", kind, ": ")))
        << bridge->log();
    EXPECT_EQ(Answers(bridge->port, 3), "one one one ");
  }
  const auto tcp = StartProxy(Mode::kBridge, backends, Checks("tcp"));
  EXPECT_TRUE(tcp->WaitForLog(absl::StrCat("127.0.0.1:", ports[1], " is up"))) << tcp->log();
}

TEST_F(HealthTest, PassedBackendsAreCheckedByTlsWithTheirCas) {
  const auto backend = StartBackend(Mode::kPassthrough);
  const RefusingPort gone;
  std::vector<std::string> flags = Checks("tls");
  flags.push_back(absl::StrCat("--probe_ca=", PathOf("ca.pem")));
  const auto proxy =
      StartProxy(Mode::kPassthrough, absl::StrCat(backend->address(), "+", gone.address()), flags);
  EXPECT_TRUE(proxy->WaitForLog(
      absl::StrCat(backend->address(), " as front.test is up (was unchecked), by tls")))
      << proxy->log();
  EXPECT_TRUE(proxy->WaitForLog(
      absl::StrCat(gone.address(), " as front.test is down (was unchecked), by tls")))
      << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
}

TEST_F(HealthTest, RoutesWithoutASingleNameAreCheckedByAGivenOne) {
  const auto backend = StartBackend(Mode::kPassthrough);
  std::vector<std::string> argv = {ExampleProgram("passthrough_proxy"), "--listen=127.0.0.1:0",
                                   absl::StrCat("--routes=*.test=", backend->address()),
                                   absl::StrCat("--probe_ca=", PathOf("ca.pem"))};
  for (const std::string& flag : Checks("tls")) argv.push_back(flag);
  {
    const auto nameless = StartProgram(argv);
    EXPECT_THAT(nameless->log(), HasSubstr("health checks go no further than TCP for backends of "
                                           "*.test: --health_names=*.test=NAME has the name"));
    EXPECT_TRUE(
        nameless->WaitForLog(absl::StrCat(backend->address(), " is up (was unchecked), by tcp")));
  }
  argv.push_back("--health_names=*.test=front.test,default=other.test");
  const auto proxy = StartProgram(argv);
  EXPECT_TRUE(proxy->WaitForLog(
      absl::StrCat(backend->address(), " as front.test is up (was unchecked), by tls")))
      << proxy->log();
  EXPECT_THAT(proxy->log(), Not(HasSubstr("no further than TCP")));
}

TEST_F(HealthTest, AnH2cBackendIsAskedByHttp2) {
  const uint16_t port = FreePort();
  const auto servers = StartServers(
      absl::StrCat("server { listen 127.0.0.1:", port, " http2; location /healthz { if (-f ",
                   PathOf("sick.h2"), ") { return 503; } return 204; } } "),
      port);
  std::vector<std::string> argv = {ExampleProgram("http_proxy"),
                                   "--listen=127.0.0.1:0",
                                   absl::StrCat("--cert=", PathOf("front.pem")),
                                   absl::StrCat("--key=", PathOf("front.key")),
                                   absl::StrCat("--routes=front.test/=h2c://127.0.0.1:", port),
                                   "--health_path=/healthz"};
  for (const std::string& flag : Checks("http")) argv.push_back(flag);
  const auto proxy = StartProgram(argv);
  const std::string backend = absl::StrCat("backend 127.0.0.1:", port);
  ASSERT_TRUE(proxy->WaitForLog(absl::StrCat(backend, " is up (was unchecked), by http\n")))
      << proxy->log();
  Sick("h2");
  EXPECT_TRUE(proxy->WaitForLog(absl::StrCat(
      backend,
      " is down (was up), by http: the backend answered the health check with status 503")))
      << proxy->log();
}

TEST_F(HealthTest, AGatewayUsesBackendsThatAreUp) {
  const std::vector<uint16_t> ports = FreePorts(2);
  const auto servers =
      StartServers(ServerAt(ports[0], "one") + ServerAt(ports[1], "two"), ports[0]);
  Sick("one");
  std::vector<std::string> argv = {
      ExampleProgram("http_proxy"),
      "--listen=127.0.0.1:0",
      absl::StrCat("--cert=", PathOf("front.pem")),
      absl::StrCat("--key=", PathOf("front.key")),
      absl::StrCat("--routes=front.test/=http://127.0.0.1:", ports[0], "+127.0.0.1:", ports[1]),
      "--health_path=/healthz"};
  for (const std::string& flag : Checks("http")) argv.push_back(flag);
  const auto proxy = StartProgram(argv);
  ASSERT_TRUE(proxy->WaitForLog(absl::StrCat("127.0.0.1:", ports[0], " is down"))) << proxy->log();
  EXPECT_EQ(Answers(proxy->port, 3), "two two two ");
}

// Without checks: connections alone show that a backend fails.
TEST_F(HealthTest, AnEjectedBackendIsShownWithItsReason) {
  const std::vector<uint16_t> ports = FreePorts(2);
  const auto servers = StartServers(ServerAt(ports[0], "one"), ports[0]);
  const std::string gone = absl::StrCat("127.0.0.1:", ports[1]);
  const std::string backends = absl::StrCat("127.0.0.1:", ports[0], "+", gone);
  std::vector<std::string> gateway = {ExampleProgram("http_proxy"),
                                      "--listen=127.0.0.1:0",
                                      "--admin=127.0.0.1:0",
                                      "--threads=3",
                                      absl::StrCat("--cert=", PathOf("front.pem")),
                                      absl::StrCat("--key=", PathOf("front.key")),
                                      absl::StrCat("--routes=front.test/=http://", backends)};
  const std::vector<std::string> flags = {"--threads=3", "--admin=127.0.0.1:0"};
  for (const bool http : {false, true}) {
    const auto proxy = http ? StartProgram(gateway) : StartProxy(Mode::kOffload, backends, flags);
    EXPECT_THAT(Answers(proxy->port, 20), Not(HasSubstr("failed")));
    EXPECT_TRUE(proxy->WaitForLog(
        absl::StrCat("backend ", gone, " is ejected (was unchecked), by connections: ")))
        << "of all threads together: " << proxy->log();
    const uint16_t admin = AdminPort(*proxy);
    const std::string label = absl::StrCat("{backend=\"", gone, "\",name=\"\",check=\"none\"");
    const std::string metrics = WaitForPage(
        admin, "/metrics", absl::StrCat("trestle_backend_state", label, ",state=\"ejected\"} 1"));
    EXPECT_THAT(metrics, HasSubstr(absl::StrCat("trestle_backend_up", label, "} 0")));
    EXPECT_THAT(GetPage(admin, "/"), HasSubstr("<b>by connections: "));
    const std::string legs = GetPage(admin, "/legs");
    const Json health = Json::parse(legs.substr(legs.find("\r\n\r\n"))).at("health");
    EXPECT_EQ(health.size(), 2u);

    const auto back = StartServers(ServerAt(ports[1], "two"), ports[1]);
    EXPECT_TRUE(WaitUntil([&] {
      Answers(proxy->port, 1);
      return absl::StrContains(proxy->log(), "is unchecked (was ejected), by connections\n");
    })) << proxy->log();
    WaitForPage(admin, "/metrics", absl::StrCat("trestle_backend_up", label, "} 1"));
  }
}

TEST_F(HealthTest, AFileDrainsBackends) {
  const std::vector<uint16_t> ports = FreePorts(2);
  const auto servers =
      StartServers(ServerAt(ports[0], "one") + ServerAt(ports[1], "two"), ports[0]);
  const std::string address = absl::StrCat("127.0.0.1:", ports[1]);
  const std::string flag = absl::StrCat("--drain_file=", PathOf("drained"));
  const auto proxy =
      StartProxy(Mode::kOffload, absl::StrCat("127.0.0.1:", ports[0], "+", address), {flag});
  EXPECT_THAT(Answers(proxy->port, 2), AllOf(HasSubstr("one"), HasSubstr("two")));
  WriteFile("drained", address + "  # disk is full\n");
  ASSERT_TRUE(proxy->WaitForLog(
      absl::StrCat("backend ", address, " is draining (was unchecked), by drain file\n")))
      << proxy->log();
  EXPECT_EQ(Answers(proxy->port, 3), "one one one ");
  WriteFile("drained", "nowhere\n");
  ASSERT_TRUE(proxy->WaitForLog("is wrong, what it said before goes on: line 1: ")) << proxy->log();
  EXPECT_EQ(Answers(proxy->port, 3), "one one one ");
  std::filesystem::remove(PathOf("drained"));
  ASSERT_TRUE(proxy->WaitForLog(absl::StrCat("backend ", address, " is unchecked (was draining)")))
      << proxy->log();
  EXPECT_THAT(Answers(proxy->port, 2), AllOf(HasSubstr("one"), HasSubstr("two")));
}

TEST_F(HealthTest, CallsDrainBackendsBesideTheFile) {
  const std::vector<uint16_t> ports = FreePorts(2);
  const auto servers =
      StartServers(ServerAt(ports[0], "one") + ServerAt(ports[1], "two"), ports[0]);
  const std::string two = absl::StrCat("127.0.0.1:", ports[1]);
  const SocketFolder folder;
  const std::string socket = folder.PathOf("calls");
  const auto proxy =
      StartProxy(Mode::kOffload, absl::StrCat("127.0.0.1:", ports[0], "+", two),
                 {absl::StrCat("--drain_file=", PathOf("drained")), "--admin=127.0.0.1:0",
                  absl::StrCat("--admin_calls=unix:", socket)});
  const auto call = [&](const std::string& what, const std::string& backend) {
    return RunCommand(
               {FindProgram("curl"), "-sS", "--unix-socket", socket, "-X", "POST", "-H",
                "Trestle-Call: yes", absl::StrCat("http://localhost/", what, "?backend=", backend)},
               kPatience)
        .output;
  };
  EXPECT_THAT(Answers(proxy->port, 2), AllOf(HasSubstr("one"), HasSubstr("two")));
  EXPECT_EQ(call("drain", two), absl::StrCat(two, " is draining, by call\n"));
  EXPECT_EQ(Answers(proxy->port, 3), "one one one ") << "at once";
  EXPECT_TRUE(
      proxy->WaitForLog(absl::StrCat("backend ", two, " is draining (was unchecked), by call\n")));
  EXPECT_EQ(call("drain", "192.0.2.1:443"), "no route has the backend 192.0.2.1:443\n");

  const uint16_t admin = AdminPort(*proxy);
  WaitForPage(admin, "/metrics",
              absl::StrCat("trestle_backend_state{backend=\"", two,
                           "\",name=\"\",check=\"none\",state=\"draining\"} 1"));
  EXPECT_THAT(GetPage(admin, "/"), HasSubstr("<b>by call</b>"));

  WriteFile("drained", two + "\n");
  EXPECT_TRUE(proxy->WaitForLog("drain file: 1 backend\n"));
  EXPECT_EQ(call("undrain", two), absl::StrCat(two, " is draining, by drain file\n"));
  EXPECT_EQ(Answers(proxy->port, 3), "one one one ");
  EXPECT_EQ(call("drain", two), absl::StrCat(two, " is draining, by call, drain file\n"));
  std::filesystem::remove(PathOf("drained"));
  EXPECT_TRUE(WaitUntil([&] {
    return call("undrain", two) == absl::StrCat(two, " is unchecked, by none\n");
  })) << proxy->log();
  EXPECT_THAT(Answers(proxy->port, 2), AllOf(HasSubstr("one"), HasSubstr("two")));
}

TEST_F(HealthTest, CallsAreForThisMachineOnly) {
  std::vector<std::string> argv = {ExampleProgram("terminating_proxy"),
                                   "--admin_calls=0.0.0.0:9101"};
  for (const std::string& flag : FlagsFor(Mode::kOffload, "192.0.2.1:80")) argv.push_back(flag);
  const CommandResult result = RunCommand(argv, kPatience);
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.errors, HasSubstr("calls have no authentication"));
}

TEST_F(HealthTest, FlagsAreChecked) {
  const auto refuse = [&](const std::vector<std::string>& more, const std::string& words) {
    std::vector<std::string> argv = {ExampleProgram("terminating_proxy"), "--check"};
    for (const std::string& flag : FlagsFor(Mode::kOffload, "192.0.2.1:80")) argv.push_back(flag);
    argv.insert(argv.end(), more.begin(), more.end());
    const CommandResult result = RunCommand(argv, kPatience);
    EXPECT_EQ(result.exit_status, 1) << result.output;
    EXPECT_THAT(result.errors, HasSubstr(words));
  };
  const std::string http = "--health_check=http";
  refuse({"--health_check=ping"}, "--health_check has \"ping\"; write none, tcp, tls or http");
  refuse({http, "--health_path=x"}, "the path of a health check begins with /");
  refuse({http, "--health_host=a b"}, "the host of a health check can't be \"a b\"");
  refuse({http, "--health_status=ok"}, "--health_status has \"ok\"; write 200 or 200-299");
  refuse({http, "--health_status=500-200"}, "a range within 200 to 599");
  refuse({http, "--health_interval=0s"}, "--health_interval must be from 10ms to 24h");
  refuse({http, "--health_fall=0"}, "--health_fall must be at least 1");
  refuse({http, "--health_rise=0"}, "--health_rise must be at least 1");
  refuse({http, "--slow_start=-1s"}, "--slow_start must be from 0 to 24h");
  refuse({http, "--health_names=front.test"}, "--health_names has \"front.test\"; write PATTERN=");
  refuse({http, "--health_names=a.test=*.test"}, "write PATTERN=NAME");
  refuse({http, "--health_all_down=x"}, "--health_all_down has \"x\"; write try or fail");
}

}  // namespace
}  // namespace trestle::e2e
