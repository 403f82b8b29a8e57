// --admin of the example proxies. A backend's intermediate expires before its leaf: the page, the
// metrics, the log and leg_probe name it. All are good again once the backend has renewed it.

#include <signal.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/browser.h"
#include "tests/e2e/server_programs.h"
#include "trestle/testing/test_pki.h"

namespace trestle::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::LeafSpec;
using ::testing::Not;
using testing::PemPair;
using testing::TestPki;

constexpr absl::Duration kDay = absl::Hours(24);

class AdminTest : public ServerProgramsTest {
 protected:
  // Starts a backend whose intermediate expires at `end`; its leaf is valid for a year.
  std::unique_ptr<Process> StartBackendUntil(const std::string& name, absl::Time end,
                                             uint16_t port) const {
    const TestPki intermediate(pki_, {"Internal CA", absl::InfinitePast(), end});
    LeafSpec leaf;
    leaf.dns_names = {name};
    const PemPair pair = intermediate.Issue(leaf);
    const size_t rest = pair.chain.find("-----BEGIN", 1);
    const std::string leaf_path = WriteFile("back.pem", pair.chain.substr(0, rest));
    const std::string rest_path = WriteFile("back.rest", pair.chain.substr(rest));
    const std::string key_path = WriteFile("back.key", pair.key);
    return StartOpenssl({"-cert", leaf_path, "-cert_chain", rest_path, "-key", key_path, "-www"},
                        port);
  }

  static std::string BodyOf(const std::string& reply) {
    return reply.substr(reply.find("\r\n\r\n") + 4);
  }

  static std::string Metric(const std::string& name, const std::string& backend,
                            const std::string& source) {
    return absl::StrCat("\ntrestle_certificate_", name, "{leg=\"back\",name=\"", backend,
                        "\",source=\"", source, "\"} ");
  }

  static double ValueOf(const std::string& metrics, const std::string& metric) {
    const size_t at = metrics.find(metric);
    if (at == std::string::npos) return -1e9;
    const size_t begin = at + metric.size();
    double value = -1e9;
    EXPECT_TRUE(absl::SimpleAtod(metrics.substr(begin, metrics.find('\n', begin) - begin), &value));
    return value;
  }

  const absl::Time end_ = absl::Now() + 9 * kDay + absl::Hours(1);
  const std::string warning_ =
      absl::StrCat("intermediate \"CN=Internal CA\" expires on ",
                   absl::FormatTime("%Y-%m-%d", end_, absl::UTCTimeZone()));
  const std::string warning_html_ =
      absl::StrCat("intermediate &quot;CN=Internal CA&quot; expires on ",
                   absl::FormatTime("%Y-%m-%d", end_, absl::UTCTimeZone()));
};

TEST_F(AdminTest, ABridgeReportsItsBackendsExpiringIntermediateAndItsRenewal) {
  const uint16_t port = FreePort();
  const std::string address = absl::StrCat("127.0.0.1:", port);
  auto backend = StartBackendUntil(kBackName, end_, port);
  const auto proxy =
      StartProxy(Mode::kBridge, address, {"--admin=127.0.0.1:0", "--probe_interval=1s"});
  const uint16_t admin = AdminPort(*proxy);

  // A connection reports the chain to the observer; probes also find it by themselves.
  EXPECT_EQ(Curl(proxy->port, "/").exit_status, 0);
  EXPECT_TRUE(proxy->WaitForLog(
      absl::StrCat("name=back.test source=seen event=will_fail detail=\"verification will fail in "
                   "9 days: ",
                   warning_)))
      << proxy->log();
  EXPECT_TRUE(proxy->WaitForLog("name=back.test source=probe event=will_fail")) << proxy->log();
  const std::string page = WaitForPage(admin, "/", warning_html_);
  EXPECT_THAT(page, AllOf(HasSubstr("9 days left"), HasSubstr("back.test<br><small>probe"),
                          HasSubstr("front.test<br><small>own")));
  const std::string metrics = GetPage(admin, "/metrics");
  for (const char* source : {"probe", "seen"}) {
    EXPECT_NEAR(ValueOf(metrics, Metric("verification_fails_seconds", kBackName, source)),
                absl::ToDoubleSeconds(end_ - absl::Now()), 120);
    EXPECT_GT(ValueOf(metrics, Metric("not_after_seconds", kBackName, source)), 300 * 86400.0);
  }
  EXPECT_THAT(metrics, HasSubstr("trestle_handshakes_total{"));
  ExpectPromtoolLikes(BodyOf(metrics));
  WaitForPage(admin, "/metrics", "\ntrestle_hello_bytes_count 1\n");
  EXPECT_THAT(GetPage(admin, "/legs"), HasSubstr("\"subject\": \"CN=Internal CA\""));
  const std::vector<std::string> probe = {ExampleProgram("leg_probe"),
                                          absl::StrCat("--back=", address, ",", kBackName),
                                          absl::StrCat("--ca=", PathOf("ca.pem"))};
  const CommandResult probed = RunCommand(probe, kPatience);
  EXPECT_EQ(probed.exit_status, 1);
  EXPECT_THAT(probed.output,
              HasSubstr(absl::StrCat("verification will fail in 9 days: ", warning_)));

  backend.reset();
  backend = StartBackendUntil(kBackName, absl::Now() + 300 * kDay, port);
  EXPECT_TRUE(proxy->WaitForLog("source=probe event=renewed detail=\"renewed 9 days before"))
      << proxy->log();
  // The chain seen by connections is also reported, without another connection.
  EXPECT_TRUE(proxy->WaitForLog("source=seen event=renewed")) << proxy->log();
  const absl::Time deadline = absl::Now() + kPatience;
  std::string after;
  do {
    after = GetPage(admin, "/");
  } while (absl::StrContains(after, warning_html_) && absl::Now() < deadline);
  EXPECT_THAT(after, AllOf(Not(HasSubstr(warning_html_)), Not(HasSubstr("class=\"leg warning\"")),
                           Not(HasSubstr("class=\"leg critical\""))));
  EXPECT_GT(
      ValueOf(GetPage(admin, "/metrics"), Metric("verification_fails_seconds", kBackName, "probe")),
      290 * 86400.0);
  EXPECT_EQ(RunCommand(probe, kPatience).exit_status, 0);
}

TEST_F(AdminTest, BehindPassthroughOnlyTheProbeFindsIt) {
  const uint16_t port = FreePort();
  auto backend = StartBackendUntil(kFrontName, end_, port);
  const auto proxy = StartProxy(Mode::kPassthrough, absl::StrCat("127.0.0.1:", port),
                                {"--admin=127.0.0.1:0", "--probe_interval=1s",
                                 absl::StrCat("--probe_ca=", PathOf("ca.pem"))});
  const uint16_t admin = AdminPort(*proxy);
  // No connection uses the proxy, here or later.
  EXPECT_TRUE(proxy->WaitForLog(absl::StrCat(
      "name=front.test source=probe event=will_fail detail=\"verification will fail in "
      "9 days: ",
      warning_)))
      << proxy->log();
  WaitForPage(admin, "/", warning_html_);
  const std::vector<std::string> probe = {ExampleProgram("leg_probe"),
                                          absl::StrCat("--back=127.0.0.1:", port, ",", kFrontName),
                                          absl::StrCat("--ca=", PathOf("ca.pem"))};
  const CommandResult probed = RunCommand(probe, kPatience);
  EXPECT_EQ(probed.exit_status, 1);
  EXPECT_THAT(probed.output,
              HasSubstr(absl::StrCat("verification will fail in 9 days: ", warning_)));
  ExpectPromtoolLikes(BodyOf(GetPage(admin, "/metrics")));
  EXPECT_NEAR(ValueOf(GetPage(admin, "/metrics"),
                      Metric("verification_fails_seconds", kFrontName, "probe")),
              absl::ToDoubleSeconds(end_ - absl::Now()), 120);
  backend.reset();
  EXPECT_TRUE(proxy->WaitForLog("source=probe event=failing")) << proxy->log();
  WaitForPage(admin, "/metrics", Metric("good", kFrontName, "probe") + "0");
  backend = StartBackendUntil(kFrontName, absl::Now() + 300 * kDay, port);
  EXPECT_TRUE(proxy->WaitForLog("source=probe event=renewed")) << proxy->log();
  WaitForPage(admin, "/metrics", Metric("good", kFrontName, "probe") + "1");
  EXPECT_THAT(GetPage(admin, "/"),
              AllOf(Not(HasSubstr("class=\"leg warning\"")), HasSubstr("last error, ")));
  EXPECT_EQ(RunCommand(probe, kPatience).exit_status, 0);
}

TEST_F(AdminTest, ATerminatorShowsItsOwnCertificateAndItsReloads) {
  const auto backend = StartBackend(Mode::kOffload);
  const auto proxy = StartProxy(Mode::kOffload, backend->address(), {"--admin=127.0.0.1:0"});
  const uint16_t admin = AdminPort(*proxy);
  EXPECT_THAT(GetPage(admin, "/"), HasSubstr("front.test<br><small>own"));
  EXPECT_THAT(GetPage(admin, "/metrics"), HasSubstr("\ntrestle_reload_generation 1\n"));
  EXPECT_EQ(Curl(proxy->port, "/").exit_status, 0);
  EXPECT_LT(ValueOf(WaitForPage(admin, "/metrics", "\ntrestle_ticket_key_age_seconds "),
                    "\ntrestle_ticket_key_age_seconds "),
            absl::ToDoubleSeconds(kPatience));
  LeafSpec leaf;
  leaf.dns_names = {kFrontName};
  leaf.not_after = absl::Now() + 2 * kDay;
  WriteCertificate("front", leaf);
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog("name=front.test source=own event=will_fail")) << proxy->log();
  WaitForPage(admin, "/metrics", "\ntrestle_reload_generation 2\n");
  WriteFile("front.key", "nonsense");
  proxy->process.Signal(SIGHUP);
  WaitForPage(admin, "/metrics", "trestle_reloads_total{result=\"failed\"} 1");
  EXPECT_THAT(GetPage(admin, "/metrics"), HasSubstr("\ntrestle_reload_generation 2\n"));
}

// Twelve hours are the last tenth of six days, and most of thirteen hours.
TEST_F(AdminTest, AShortLifetimeAlarmsByItsPart) {
  const auto write = [this](absl::Duration lifetime, absl::Duration left) {
    LeafSpec leaf;
    leaf.dns_names = {kFrontName};
    leaf.not_after = absl::Now() + left;
    leaf.not_before = leaf.not_after - lifetime;
    WriteCertificate("front", leaf);
  };
  const auto alarm = [](const std::string& severity) {
    return absl::StrCat("\ntrestle_certificate_alarm_seconds{leg=\"front\",name=\"", kFrontName,
                        "\",severity=\"", severity, "\",source=\"own\"} ");
  };
  const auto backend = StartBackend(Mode::kOffload);
  write(6 * kDay, absl::Hours(12));
  const auto by_default = StartProxy(Mode::kOffload, backend->address(), {"--admin=127.0.0.1:0"});
  const auto late = StartProxy(Mode::kOffload, backend->address(),
                               {"--admin=127.0.0.1:0", "--critical_part=1/20"});
  EXPECT_TRUE(by_default->WaitForLog("event=will_fail detail=\"verification will fail in 11 hours"))
      << by_default->log();
  EXPECT_TRUE(by_default->WaitForLog("severity=critical\n")) << by_default->log();
  EXPECT_TRUE(late->WaitForLog("severity=warning\n")) << late->log();
  EXPECT_THAT(late->log(), Not(HasSubstr("severity=critical")));
  WaitForPage(AdminPort(*by_default), "/", "class=\"leg critical\"");
  WaitForPage(AdminPort(*late), "/", "class=\"leg warning\"");
  const std::string metrics = GetPage(AdminPort(*by_default), "/metrics");
  EXPECT_LT(ValueOf(metrics, alarm("warning")), -86400.0);
  EXPECT_NEAR(ValueOf(metrics, alarm("critical")), -2.4 * 3600, 120);
  EXPECT_GT(ValueOf(GetPage(AdminPort(*late), "/metrics"), alarm("critical")), 3600.0);

  write(absl::Hours(13), absl::Hours(12));
  const auto young = StartProxy(Mode::kOffload, backend->address(), {"--admin=127.0.0.1:0"});
  WaitForPage(AdminPort(*young), "/", "class=\"leg fine\"");
  EXPECT_THAT(young->log(), Not(HasSubstr("event=will_fail")));
}

TEST_F(AdminTest, ConnectionsThatCannotBeAcceptedAreLoggedAndCounted) {
  const auto backend = StartBackend(Mode::kOffload);
  const auto proxy = StartProxy(Mode::kOffload, backend->address(), {"--admin=127.0.0.1:0"},
                                {FindProgram("prlimit"), "--nofile=100"});
  const uint16_t admin = AdminPort(*proxy);
  std::vector<std::unique_ptr<BlockingStream>> silent;
  for (int i = 0; i < 100; ++i) {
    silent.push_back(BlockingStream::Connect(proxy->port));
    ASSERT_NE(silent.back(), nullptr);
  }
  EXPECT_TRUE(
      proxy->WaitForLog("connections wait: cannot accept a connection: Too many open files"))
      << proxy->log();
  silent.clear();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend")
      << "the connections only waited";
  constexpr char kFailures[] = "\ntrestle_accept_failures_total ";
  EXPECT_GE(ValueOf(WaitForPage(admin, "/metrics", kFailures), kFailures), 1);
}

TEST_F(AdminTest, ACertificateForAnAddressOnlyIsReportedUnderIt) {
  LeafSpec leaf;
  leaf.ip_names = {"127.0.0.1"};
  WriteCertificate("front", leaf);
  const auto backend = StartBackend(Mode::kOffload);
  const auto proxy = StartProxy(Mode::kOffload, backend->address(), {"--admin=127.0.0.1:0"});
  const uint16_t admin = AdminPort(*proxy);
  EXPECT_THAT(GetPage(admin, "/"), HasSubstr("127.0.0.1<br><small>own"));
  EXPECT_THAT(
      GetPage(admin, "/metrics"),
      HasSubstr("trestle_certificate_good{leg=\"front\",name=\"127.0.0.1\",source=\"own\"} 1"));
  WriteCertificate("front", leaf);
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog("reloaded: 127.0.0.1 (ECDSA P-256), valid until")) << proxy->log();
  WaitForPage(admin, "/metrics", "\ntrestle_reload_generation 2\n");
}

TEST_F(AdminTest, AGatewayIsMonitoredLikeABridge) {
  const auto backend = StartBackend(Mode::kBridge);
  const auto proxy =
      StartGateway(absl::StrCat("default=https://", backend->address(), "@", kBackName),
                   {"--admin=127.0.0.1:0", "--probe_interval=1s"});
  EXPECT_THAT(WaitForPage(AdminPort(*proxy), "/", "back.test<br><small>probe"),
              HasSubstr("front.test<br><small>own"));
}

TEST_F(AdminTest, OnOnePortEachRouteIsMonitoredByItsMode) {
  LeafSpec legacy;
  legacy.dns_names = {"legacy.test"};
  LeafSpec back;
  back.dns_names = {kBackName};
  const auto passed = StartTlsBackend(pki_.Issue(legacy));
  const auto bridged = StartTlsBackend(pki_.Issue(back));
  const auto proxy = StartProgram(
      {ExampleProgram("one_port"), "--listen=127.0.0.1:0",
       absl::StrCat("--pass=legacy.test=", passed->address(), ",*.wild.test=", passed->address()),
       absl::StrCat("--bridge=", kBackName, "=", bridged->address()),
       absl::StrCat("--cert=", PathOf("front.pem")), absl::StrCat("--key=", PathOf("front.key")),
       absl::StrCat("--backend_ca=", PathOf("ca.pem")),
       absl::StrCat("--probe_ca=", PathOf("ca.pem")), "--admin=127.0.0.1:0",
       "--probe_interval=1s"});
  const uint16_t admin = AdminPort(*proxy);
  WaitForPage(admin, "/metrics", Metric("good", "legacy.test", "probe") + "1");
  WaitForPage(admin, "/metrics", Metric("good", kBackName, "probe") + "1");
  const std::string page = GetPage(admin, "/");
  // A wildcard is not a name to request.
  EXPECT_THAT(
      page,
      AllOf(HasSubstr("front.test<br><small>own"), HasSubstr("legacy.test<br><small>passthrough"),
            HasSubstr("back.test<br><small>bridge"), HasSubstr("*.wild.test<br><small>passthrough"),
            HasSubstr("<td>not watched<br><small>")));
}

TEST_F(AdminTest, ABrowserShowsThePage) {
  const auto backend = StartTlsBackend(pki_.Issue([] {
    LeafSpec leaf;
    leaf.dns_names = {kBackName};
    leaf.not_after = absl::Now() + 9 * kDay + absl::Hours(1);
    return leaf;
  }()));
  const auto proxy =
      StartProxy(Mode::kBridge, backend->address(), {"--admin=127.0.0.1:0", "--probe_interval=1s"});
  const uint16_t admin = AdminPort(*proxy);
  WaitForPage(admin, "/", "9 days left");
  const std::string picture = PathOf("page.png");
  const Browser browser(PathOf(""));
  const std::string url = absl::StrCat("http://127.0.0.1:", admin, "/");
  // The text as the browser parsed it, with escapes resolved.
  const CommandResult dom = browser.Open(url);
  EXPECT_THAT(dom.output, AllOf(HasSubstr("9 days left"), HasSubstr("<div class=\"leg warning\">"),
                                HasSubstr("leaf \"CN=back.test\" expires on ")))
      << dom.errors;
  const CommandResult shot = browser.Picture(url, picture);
  std::ifstream file(picture, std::ios::binary);
  const std::string png((std::istreambuf_iterator<char>(file)), {});
  EXPECT_THAT(png, ::testing::StartsWith("\x89PNG\r\n")) << shot.errors;
  EXPECT_GT(png.size(), 10000u);  // An empty page takes a tenth of this.
}

TEST_F(AdminTest, RefusalsAreCountedByTheirLimit) {
  const auto backend = StartBackend(Mode::kOffload);
  const auto proxy = StartProxy(Mode::kOffload, backend->address(),
                                {"--admin=127.0.0.1:0", "--max_connections=1"});
  const uint16_t admin = AdminPort(*proxy);
  const auto open = ConnectTls(proxy->port);
  ASSERT_NE(open, nullptr);
  EXPECT_EQ(ConnectTls(proxy->port), nullptr);
  WaitForPage(admin, "/metrics",
              "trestle_refusals_total{leg=\"front\",limit=\"max_connections\",phase=\"hello\","
              "reason=\"over_limit\"} 1");
}

TEST_F(AdminTest, HealthFailsWhileDraining) {
  const auto backend = StartBackend(Mode::kOffload);
  const auto proxy = StartProxy(Mode::kOffload, backend->address(), {"--admin=127.0.0.1:0"});
  const uint16_t admin = AdminPort(*proxy);
  EXPECT_THAT(GetPage(admin, "/healthz"), HasSubstr("200 OK"));
  const auto open = ConnectTls(proxy->port);  // Keeps the drain from ending immediately.
  ASSERT_NE(open, nullptr);
  proxy->process.Signal(SIGTERM);
  ASSERT_TRUE(proxy->WaitForLog("draining")) << proxy->log();
  EXPECT_THAT(GetPage(admin, "/healthz"), HasSubstr("503 Service Unavailable"));
}

TEST_F(AdminTest, HostsThatShareABackendShareItsProbe) {
  LeafSpec back;
  back.dns_names = {kBackName};
  const auto backend = StartTlsBackend(pki_.Issue(back));
  const auto proxy =
      StartGateway(absl::StrCat("a.test=https://", backend->address(), "@", kBackName,
                                ",b.test=https://", backend->address(), "@", kBackName),
                   {"--admin=127.0.0.1:0", "--probe_interval=1s"});
  const uint16_t admin = AdminPort(*proxy);
  WaitForPage(admin, "/metrics", Metric("good", kBackName, "probe") + "1");
  EXPECT_THAT(GetPage(admin, "/"),
              AllOf(HasSubstr("a.test<br><small>bridge"), HasSubstr("b.test<br><small>bridge"),
                    Not(HasSubstr("not watched"))));
}

TEST_F(AdminTest, InvalidFlagsAreReportedInASentence) {
  const std::vector<std::string> flags = {ExampleProgram("passthrough_proxy"),
                                          "--listen=127.0.0.1:0", "--routes=a.test=127.0.0.1:1"};
  const auto expect = [&](const std::vector<std::string>& more, const std::string& text) {
    std::vector<std::string> argv = flags;
    argv.insert(argv.end(), more.begin(), more.end());
    const CommandResult result = RunCommand(argv, kPatience);
    EXPECT_EQ(result.exit_status, 1) << result.errors;
    EXPECT_THAT(result.errors, HasSubstr(text));
  };
  expect({"--admin=here"}, "--admin is wrong");
  expect({"--admin=127.0.0.1:0", "--probe_interval=0s"}, "--probe_interval must be above 0");
  expect({"--admin=127.0.0.1:0", "--probe_ca=/nowhere"}, "cannot read /nowhere");
  expect({"--admin=127.0.0.1:0", "--warn_days=-1"}, "--warn_days must not be negative");
  expect({"--admin=127.0.0.1:0", "--warn_part=2"}, "--warn_part has \"2\"");
  const RefusingPort held;
  expect({absl::StrCat("--admin=127.0.0.1:", held.port())}, "cannot serve HTTP on 127.0.0.1:");
}

}  // namespace
}  // namespace trestle::e2e
