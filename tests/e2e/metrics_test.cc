// The Prometheus integration: what the metrics say, whether promtool likes them, and the admin
// server that offers them.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/prometheus/admin_server.h"
#include "integrations/prometheus/legs_page.h"
#include "integrations/prometheus/proxy_metrics.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/process.h"
#include "tests/e2e/proxy_test.h"
#include "tests/e2e/server_programs.h"
#include "trestle/base/error.h"
#include "trestle/linux/owned_fd.h"

namespace trestle::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::json;

constexpr absl::Duration kDay = absl::Hours(24);

class Counter final : public ConnectionObserver {
 public:
  void OnEstablished(const ConnectionReport&) override { ++established; }
  void OnTurnedAway(Limit) override { ++turned_away; }
  void OnClosed(const ConnectionReport&) override { ++closed; }

  int established = 0;
  int turned_away = 0;
  int closed = 0;
};

class MetricsTest : public ::testing::Test {
 protected:
  static ConnectionReport Bridged(uint64_t id) {
    ConnectionReport report;
    report.id = id;
    report.mode = ProxyMode::kBridge;
    TlsInfo front;
    front.version = "TLSv1.3";
    front.group = "X25519MLKEM768";
    report.front.tls = std::make_shared<const TlsInfo>(front);
    TlsInfo back;
    back.version = "TLSv1.2";
    back.group = "X25519";
    back.resumed = true;
    report.back.tls = std::make_shared<const TlsInfo>(back);
    report.times.front = absl::Milliseconds(3);
    report.times.back = absl::Milliseconds(30);
    report.front.bytes_read = 100;
    report.front.bytes_written = 2000;
    return report;
  }

  CertificateStatus Certificate(const std::string& name, absl::Duration leaf,
                                absl::Duration fails) const {
    CertificateStatus status;
    status.name = name;
    status.updated = now_;
    CertificateInfo certificate;
    certificate.subject = absl::StrCat("CN=", name);
    certificate.not_after = now_ + leaf;
    status.chain = {certificate};
    FutureFailure& failure = status.failure.emplace();
    failure.when = now_ + fails;
    failure.part = ChainPart::kIntermediate;
    failure.subject = "CN=Internal CA";
    failure.detail = "intermediate \"CN=Internal CA\" expires on 2026-01-10";
    return status;
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'767'225'600);
  ProxyMetrics metrics_;
};

TEST_F(MetricsTest, ConnectionsHandshakesAndBytesAreCounted) {
  Counter next;
  const std::unique_ptr<ConnectionObserver> observer = metrics_.NewObserver(&next);
  for (uint64_t id = 1; id <= 3; ++id) observer->OnEstablished(Bridged(id));
  EXPECT_THAT(metrics_.Text(now_), HasSubstr("\ntrestle_open_connections 3\n"));
  observer->OnClosed(Bridged(1));
  observer->OnClosed(Bridged(2));
  ConnectionReport failed = Bridged(4);
  failed.error =
      ToError(MakeError(ErrorCode::kCertificateExpired, Leg::kBack, Phase::kHandshake, "expired"));
  observer->OnClosed(failed);
  ConnectionReport passed;
  passed.mode = ProxyMode::kPassthrough;
  passed.hello.emplace();
  passed.hello->bytes = 1500;
  passed.hello->records = 2;
  observer->OnClosed(passed);
  const std::string text = metrics_.Text(now_);
  EXPECT_EQ(next.established, 3);
  EXPECT_EQ(next.closed, 4);
  for (const char* line :
       {"trestle_open_connections 1", "trestle_connections_total{mode=\"bridge\",result=\"ok\"} 2",
        "trestle_connections_total{mode=\"bridge\",result=\"certificate_expired\"} 1",
        "trestle_connections_total{mode=\"passthrough\",result=\"ok\"} 1",
        "trestle_handshakes_total{group=\"X25519MLKEM768\",leg=\"front\",result=\"ok\","
        "resumed=\"no\",version=\"TLSv1.3\"} 3",
        "trestle_handshakes_total{group=\"X25519\",leg=\"back\",result=\"ok\",resumed=\"yes\","
        "version=\"TLSv1.2\"} 2",
        "trestle_handshakes_total{group=\"\",leg=\"back\","
        "result=\"certificate_expired\",resumed=\"no\",version=\"\"} 1",
        "trestle_refusals_total{leg=\"back\",phase=\"handshake\",reason=\"certificate_expired\"} 1",
        "trestle_handshake_seconds_count{leg=\"back\"} 2",
        "trestle_handshake_seconds_bucket{leg=\"front\",le=\"0.0025\"} 0",
        "trestle_handshake_seconds_bucket{leg=\"front\",le=\"0.005\"} 3",
        "trestle_bytes_total{direction=\"written\",leg=\"front\"} 6000",
        "trestle_hello_bytes_bucket{le=\"1400\"} 0", "trestle_hello_bytes_bucket{le=\"2048\"} 1",
        "trestle_hello_records_sum 2"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", line, "\n")));
  }
  ExpectPromtoolLikes(text);
}

TEST_F(MetricsTest, RefusalsTellWhichLimit) {
  Counter next;
  const std::unique_ptr<ConnectionObserver> observer = metrics_.NewObserver(&next);
  observer->OnTurnedAway(Limit::kConnections);
  observer->OnTurnedAway(Limit::kConnections);
  ConnectionReport refused;
  for (const Limit limit : {Limit::kHandshakesPerSecond, Limit::kHandshakesPerSecondPerClient}) {
    refused.status =
        AtLeg(OverLimitError(limit, Phase::kHandshake, "too many"), Leg::kFront, Phase::kHandshake);
    observer->OnClosed(refused);
  }
  const std::string text = metrics_.Text(now_);
  EXPECT_EQ(next.turned_away, 2);
  for (const char* line :
       {"trestle_refusals_total{leg=\"front\",limit=\"max_connections\",phase=\"hello\","
        "reason=\"over_limit\"} 2",
        "trestle_refusals_total{leg=\"front\",limit=\"max_handshakes_per_second\","
        "phase=\"handshake\",reason=\"over_limit\"} 1",
        "trestle_refusals_total{leg=\"front\",limit=\"max_handshakes_per_second_per_client\","
        "phase=\"handshake\",reason=\"over_limit\"} 1"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", line, "\n")));
  }
  ExpectPromtoolLikes(text);
}

TEST_F(MetricsTest, AHelloIsCountedOnceThoughARouterHandsItOver) {
  const std::unique_ptr<ConnectionObserver> observer = metrics_.NewObserver(nullptr);
  ConnectionReport routed;
  routed.mode = ProxyMode::kPassthrough;
  routed.handed_over = true;
  routed.hello.emplace();
  routed.hello->bytes = 1500;
  routed.hello->records = 2;
  observer->OnClosed(routed);
  ConnectionReport bridged = Bridged(1);
  TlsInfo front = *bridged.front.tls;
  front.hello_bytes = 1500;
  bridged.front.tls = std::make_shared<const TlsInfo>(front);
  observer->OnClosed(bridged);
  EXPECT_THAT(metrics_.Text(now_), AllOf(HasSubstr("\ntrestle_hello_bytes_count 1\n"),
                                         HasSubstr("\ntrestle_hello_bytes_sum 1500\n"),
                                         HasSubstr("\ntrestle_hello_records_count 1\n"),
                                         HasSubstr("\ntrestle_hello_records_sum 2\n")));
}

// As one_port has them: several blocks on a loop, each with its own first connection.
TEST_F(MetricsTest, BlocksThatShareAnObserverAreToldApart) {
  const std::unique_ptr<ConnectionObserver> observer = metrics_.NewObserver(nullptr);
  ConnectionReport one = Bridged(1);
  one.front.peer = *Endpoint::Parse("192.0.2.1:1000");
  ConnectionReport other = Bridged(1);
  other.front.peer = *Endpoint::Parse("192.0.2.1:1001");
  ConnectionReport failed = Bridged(1);
  failed.front.peer = *Endpoint::Parse("192.0.2.1:1002");
  observer->OnEstablished(one);
  observer->OnEstablished(other);
  observer->OnClosed(failed);
  EXPECT_THAT(metrics_.Text(now_), HasSubstr("\ntrestle_open_connections 2\n"));
  observer->OnClosed(one);
  observer->OnClosed(other);
  EXPECT_THAT(metrics_.Text(now_), HasSubstr("\ntrestle_open_connections 0\n"));
}

size_t LinesOf(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST_F(MetricsTest, ClientsCannotMakeSeries) {
  const std::unique_ptr<ConnectionObserver> observer = metrics_.NewObserver(nullptr);
  const auto close = [&](int i) {
    ConnectionReport report = Bridged(static_cast<uint64_t>(i));
    report.server_name = absl::StrCat("n", i, ".test");
    TlsInfo front = *report.front.tls;
    front.server_name = report.server_name;
    front.alpn = absl::StrCat("p", i);
    report.front.tls = std::make_shared<const TlsInfo>(front);
    report.front.peer = *Endpoint::Parse(absl::StrCat("192.0.2.1:", 1000 + i));
    report.hello.emplace();
    report.hello->alpn = {report.front.tls->alpn};
    report.error = ToError(MakeError(ErrorCode::kNoRoute, Leg::kFront, Phase::kHello,
                                     absl::StrCat("no route for ", report.server_name)));
    observer->OnClosed(report);
  };
  close(0);
  const size_t before = LinesOf(metrics_.Text(now_));
  for (int i = 1; i < 500; ++i) close(i);
  EXPECT_EQ(LinesOf(metrics_.Text(now_)), before);
}

TEST_F(MetricsTest, ReloadsAreGenerations) {
  EXPECT_THAT(metrics_.Text(now_), HasSubstr("\ntrestle_reload_generation 1\n"));
  metrics_.CountReload(true);
  metrics_.CountReload(false);
  const std::string text = metrics_.Text(now_);
  EXPECT_THAT(text, AllOf(HasSubstr("\ntrestle_reload_generation 2\n"),
                          HasSubstr("trestle_reloads_total{result=\"ok\"} 1\n"),
                          HasSubstr("trestle_reloads_total{result=\"failed\"} 1\n")));
}

TEST_F(MetricsTest, AcceptFailuresAreCounted) {
  EXPECT_THAT(metrics_.Text(now_), HasSubstr("\ntrestle_accept_failures_total 0\n"));
  metrics_.CountAcceptFailure();
  metrics_.CountAcceptFailure();
  EXPECT_THAT(metrics_.Text(now_), HasSubstr("\ntrestle_accept_failures_total 2\n"));
}

TEST_F(MetricsTest, TicketKeysHaveAnAgeWhereItIsKnown) {
  EXPECT_THAT(metrics_.Text(now_), Not(HasSubstr("trestle_ticket_key_age_seconds")));
  absl::Time since = now_;
  metrics_.SetTicketKeyTime([&](absl::Time) { return since; });
  const std::string text = metrics_.Text(now_ + absl::Hours(2));
  EXPECT_THAT(text, HasSubstr("\ntrestle_ticket_key_age_seconds 7200\n"));
  ExpectPromtoolLikes(text);
  since = absl::InfinitePast();
  EXPECT_THAT(metrics_.Text(now_), Not(HasSubstr("trestle_ticket_key_age_seconds")));
}

TEST_F(MetricsTest, CertificatesCountDownAndBelowZero) {
  std::vector<CertificateStatus> certificates = {
      Certificate("a.test", 90 * kDay, 9 * kDay), Certificate("old.test", -2 * kDay, -2 * kDay),
      // The worst backend of a name stands for it.
      Certificate("two.test", 5 * kDay, 5 * kDay), Certificate("two.test", 4 * kDay, 4 * kDay)};
  certificates.emplace_back().name = "unknown.test";
  certificates[1].status =
      MakeError(ErrorCode::kCertificateExpired, Leg::kBack, Phase::kHandshake, "expired");
  metrics_.SetCertificates(certificates);
  const std::string text = metrics_.Text(now_);
  const auto expect = [&](const std::string& metric, const std::string& name,
                          const std::string& value) {
    EXPECT_THAT(text,
                HasSubstr(absl::StrCat("\ntrestle_certificate_", metric, "{leg=\"back\",name=\"",
                                       name, "\",source=\"probe\"} ", value, "\n")));
  };
  expect("not_after_seconds", "a.test", "7776000");
  expect("verification_fails_seconds", "a.test", "777600");
  expect("good", "a.test", "1");
  expect("not_after_seconds", "old.test", "-172800");
  expect("good", "old.test", "0");
  expect("verification_fails_seconds", "two.test", "345600");
  EXPECT_THAT(text, Not(HasSubstr("unknown.test")));
  ExpectPromtoolLikes(text);
}

TEST_F(MetricsTest, ThePageEscapesWhatCertificatesSay) {
  CertificateStatus evil = Certificate("<script>alert(1)</script>", kDay, kDay);
  evil.chain[0].subject = "CN=\"><img src=x onerror='x'>&";
  const std::string page = LegsPage({{}, {evil}}, now_);
  EXPECT_THAT(page, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("<img")),
                          HasSubstr("&lt;script&gt;"), HasSubstr("&quot;&gt;&lt;img")));
  EXPECT_THAT(LegsPage(LegsView(), now_), HasSubstr("No certificates are watched"));
}

TEST_F(MetricsTest, ThePageNamesThePartAndTheDayNearestFirst) {
  CertificateStatus failing = Certificate("broken.test", 90 * kDay, 90 * kDay);
  failing.status = MakeError(ErrorCode::kTransport, Leg::kBack, Phase::kDial, "nobody is there");
  const std::string page = LegsPage({{},
                                     {Certificate("late.test", 300 * kDay, 300 * kDay),
                                      Certificate("soon.test", 90 * kDay, 9 * kDay), failing}},
                                    now_);
  EXPECT_THAT(page, AllOf(HasSubstr("9 days left"), HasSubstr("expires on 2026-01-10"),
                          HasSubstr("transport: nobody is there")));
  EXPECT_LT(page.find("broken.test"), page.find("soon.test"));
  EXPECT_LT(page.find("soon.test"), page.find("late.test"));
}

TEST_F(MetricsTest, ThePageHasBothLegsOfEachRouteSideBySide) {
  const Endpoint one = *Endpoint::Parse("192.0.2.1:443");
  const Endpoint other = *Endpoint::Parse("192.0.2.2:443");
  LegsView view;
  const auto add = [&](const std::string& name, CertificateSource source, const Endpoint& at) {
    CertificateStatus& status =
        view.certificates.emplace_back(Certificate(name, 300 * kDay, 300 * kDay));
    status.source = source;
    status.endpoint = at;
    status.leg = source == CertificateSource::kOwn ? Leg::kFront : Leg::kBack;
    status.names = {name};
  };
  add("*.app.test", CertificateSource::kOwn, Endpoint());  // 0
  add("other.test", CertificateSource::kOwn, Endpoint());  // 1
  add("back.test", CertificateSource::kSeen, one);         // 2
  add("back.test", CertificateSource::kProbe, one);        // 3
  add("back.test", CertificateSource::kProbe, other);      // 4: of no route.
  add("pass.test", CertificateSource::kProbe, other);      // 5
  view.certificates[3].last_error =
      MakeError(ErrorCode::kTransport, Leg::kBack, Phase::kDial, "nobody is there");
  view.certificates[3].last_error_time = now_ - absl::Hours(5);
  view.routes = {{"x.app.test", ProxyMode::kBridge, {one}, "back.test"},
                 {"pass.test", ProxyMode::kPassthrough, {other}, "pass.test"},
                 {"*.wild.test", ProxyMode::kPassthrough, {other}, "*.wild.test"},
                 {"", ProxyMode::kOffload, {one}, ""}};
  const Json json = Json::parse(LegsJson(view, now_));
  const Json& routes = json.at("routes");
  ASSERT_EQ(routes.size(), 4u);
  EXPECT_EQ(routes[0], Json::parse(R"({"name": "x.app.test", "mode": "bridge",
      "backends": ["192.0.2.1:443"], "front": [0], "back": [2, 3]})"));
  EXPECT_EQ(routes[1].at("front"), Json::array());
  EXPECT_EQ(routes[1].at("back"), Json({5}));
  EXPECT_EQ(routes[2].at("back"), Json::array());
  EXPECT_EQ(routes[3].at("front"), Json({0, 1}));
  EXPECT_EQ(json.at("legs").size(), 6u);
  EXPECT_EQ(json.at("legs")[3].at("last_error").at("text"), "transport: nobody is there");
  EXPECT_TRUE(json.at("legs")[2].at("last_error").is_null());

  const std::string page = LegsPage(view, now_);
  const auto row = [&](const std::string& begin) {
    const size_t at = page.find("<tr><td>" + begin);
    EXPECT_NE(at, std::string::npos) << begin << " in " << page;
    return at == std::string::npos ? "" : page.substr(at, page.find("</tr>", at) - at);
  };
  EXPECT_THAT(row("x.app.test"),
              AllOf(HasSubstr("</span>*.app.test<br><small>own</small>"),
                    HasSubstr("</div></td><td><div class=\"leg fine\">"),
                    HasSubstr("back.test<br><small>seen, 192.0.2.1:443"),
                    HasSubstr("last error, 5 hours ago: transport: nobody is there")));
  EXPECT_THAT(row("pass.test"), HasSubstr("<td>the backend’s, passed through</td><td><div"));
  EXPECT_THAT(row("*.wild.test"), HasSubstr("not watched<br><small>192.0.2.2:443"));
  EXPECT_THAT(row("any name"), HasSubstr("<td>clear text<br><small>192.0.2.1:443"));
  EXPECT_THAT(row("–"), HasSubstr("<td></td><td><div class=\"leg fine\">"));
}

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Every name of a metric in `text`, without what histograms and the like add.
std::set<std::string> MetricNames(absl::string_view text) {
  constexpr absl::string_view kPrefix = "trestle_";
  std::set<std::string> names;
  for (size_t at = text.find(kPrefix); at != absl::string_view::npos;
       at = text.find(kPrefix, at + 1)) {
    absl::string_view name = text.substr(at);
    name = name.substr(0, name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"));
    for (const char* suffix : {"_bucket", "_sum", "_count"}) absl::ConsumeSuffix(&name, suffix);
    names.emplace(name);
  }
  return names;
}

TEST_F(MetricsTest, TheDocumentsUseTheNamesThatThereAre) {
  const std::unique_ptr<ConnectionObserver> observer = metrics_.NewObserver(nullptr);
  ConnectionReport report = Bridged(1);
  report.hello.emplace();
  report.hello->bytes = 1500;
  report.error = ToError(MakeError(ErrorCode::kTimeout, Leg::kBack, Phase::kRelay, "x"));
  observer->OnClosed(report);
  metrics_.SetTicketKeyTime([](absl::Time now) { return now; });
  metrics_.SetLostRecords([] { return std::map<std::string, uint64_t>{{"stderr", 0}}; });
  CertificateStatus certificate = Certificate("a.test", kDay, kDay);
  certificate.chain[0].not_before = now_ - kDay;
  certificate.failure->subject = certificate.chain[0].subject;
  metrics_.SetCertificates({certificate});
  const std::set<std::string> known = MetricNames(metrics_.Text(now_));
  EXPECT_EQ(MetricNames(ReadText("docs/monitoring/README.md")), known);
  for (const char* file : {"docs/monitoring/alerts.yml", "docs/monitoring/dashboard.json"}) {
    for (const std::string& name : MetricNames(ReadText(file))) {
      EXPECT_EQ(known.count(name), 1u) << file << ": " << name;
    }
  }
}

TEST_F(MetricsTest, PromtoolLikesRulesAndTheDashboardsExpressions) {
  const std::string promtool = FindProgram("promtool");
  const CommandResult rules =
      RunCommand({promtool, "check", "rules", "docs/monitoring/alerts.yml"}, kPatience);
  EXPECT_EQ(rules.exit_status, 0) << rules.errors;
  // The dashboard's expressions, as recording rules: promtool parses those.
  const Json dashboard = Json::parse(ReadText("docs/monitoring/dashboard.json"));
  Json recording = Json::array();
  for (const Json& panel : dashboard.at("panels")) {
    for (const Json& target : panel.at("targets")) {
      recording.push_back(
          {{"record", absl::StrCat("dashboard:", recording.size())}, {"expr", target.at("expr")}});
    }
  }
  EXPECT_GE(recording.size(), 10u);
  const Json document = {{"groups", {{{"name", "dashboard"}, {"rules", recording}}}}};
  const char* const folder = std::getenv("TEST_TMPDIR");
  const std::string path = absl::StrCat(folder == nullptr ? "/tmp" : folder, "/dashboard.yml");
  std::ofstream(path) << document.dump();  // JSON is YAML.
  const CommandResult expressions = RunCommand({promtool, "check", "rules", path}, kPatience);
  EXPECT_EQ(expressions.exit_status, 0) << expressions.errors << expressions.output;
}

// What the alarm says of a back leg with a day left.
const Json kWillFailText = {
    {"summary", "back leg of old.test: verification fails in 1d 0h 0m 0s"},
    {"description",
     "Some certificate of the chain ends, not necessarily the leaf. The page of --admin, or "
     "leg_probe, names it and says what to do."}};

TEST_F(MetricsTest, AlarmsComeInTheLastThirdOfAShortLife) {
  // For six days each: one with four days left, one with one.
  CertificateStatus young = Certificate("young.test", 4 * kDay, 4 * kDay);
  CertificateStatus old = Certificate("old.test", kDay, kDay);
  for (CertificateStatus* status : {&young, &old}) {
    status->chain[0].not_before = status->chain[0].not_after - 6 * kDay;
    status->failure->subject = status->chain[0].subject;
  }
  metrics_.SetCertificates({young, old});
  LegsView view;
  view.certificates = {young, old};
  EXPECT_EQ(Json::parse(LegsJson(view, now_)).at("legs")[0].at("severity"), "fine");
  EXPECT_EQ(Json::parse(LegsJson(view, now_)).at("legs")[1].at("severity"), "warning");

  Json series = Json::array();
  const std::vector<std::string> lines = absl::StrSplit(metrics_.Text(now_), '\n');
  for (const std::string& line : lines) {
    const std::vector<std::string> parts = absl::StrSplit(line, ' ');
    if (parts.size() != 2 || parts[0].find("certificate_") == std::string::npos) continue;
    series.push_back({{"series", parts[0]}, {"values", absl::StrCat(parts[1], "+0x60")}});
  }
  const Json labels = {{"leg", "back"}, {"name", "old.test"}, {"severity", "warning"}};
  const Json question = {
      {"eval_time", "30m"},
      {"alertname", "TrestleVerificationWillFail"},
      {"exp_alerts", {{{"exp_labels", labels}, {"exp_annotations", kWillFailText}}}}};
  const Json document = {
      {"rule_files", {std::filesystem::absolute("docs/monitoring/alerts.yml").string()}},
      {"evaluation_interval", "1m"},
      {"tests", {{{"interval", "1m"}, {"input_series", series}, {"alert_rule_test", {question}}}}}};
  const char* const folder = std::getenv("TEST_TMPDIR");
  const std::string path = absl::StrCat(folder == nullptr ? "/tmp" : folder, "/alerts_test.yml");
  std::ofstream(path) << document.dump();
  const CommandResult tested =
      RunCommand({FindProgram("promtool"), "test", "rules", path}, kPatience);
  EXPECT_EQ(tested.exit_status, 0) << tested.errors << tested.output;
}

class AdminServerTest : public MetricsTest {
 protected:
  AdminServerTest() {
    auto server = AdminServer::Start(*Endpoint::Parse("127.0.0.1:0"), metrics_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // Status line, headers and body.
  std::string Get(const std::string& path, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> argv = {FindProgram("curl"), "--silent", "--include", "--max-time",
                                     "20"};
    argv.insert(argv.end(), more.begin(), more.end());
    argv.push_back(absl::StrCat("http://127.0.0.1:", server_->port(), path));
    return RunCommand(argv, kPatience).output;
  }

  static std::string BodyOf(const std::string& reply) {
    return reply.substr(reply.find("\r\n\r\n") + 4);
  }

  std::unique_ptr<AdminServer> server_;
};

TEST_F(AdminServerTest, ServesMetricsLegsAndThePage) {
  metrics_.SetCertificates({Certificate("a.test", 90 * kDay, 9 * kDay)});
  const std::string metrics = Get("/metrics");
  EXPECT_THAT(metrics, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(metrics, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  ExpectPromtoolLikes(BodyOf(metrics));
  const Json legs = Json::parse(BodyOf(Get("/legs")));
  EXPECT_EQ(legs.at("legs").at(0).at("name"), "a.test");
  EXPECT_EQ(legs.at("legs").at(0).at("first_failure").at("part"), "intermediate");
  const std::string page = Get("/");
  EXPECT_THAT(page, AllOf(HasSubstr("Content-Type: text/html"), HasSubstr("default-src 'none'"),
                          HasSubstr("</span>a.test<br>")));
}

TEST_F(AdminServerTest, HealthTurnsWithDraining) {
  EXPECT_THAT(Get("/healthz"), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("\r\n\r\nok\n")));
  server_->SetDraining();
  EXPECT_THAT(Get("/healthz"), AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("draining\n")));
  EXPECT_THAT(Get("/metrics"), StartsWith("HTTP/1.1 200"));
}

TEST_F(AdminServerTest, NothingElseIsServed) {
  EXPECT_THAT(Get("/etc/passwd"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Get("/metrics/"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Get("/../../etc/passwd", {"--path-as-is"}), StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(Get("/", {"--request", "POST", "--data", "x"}), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(Get("/", {"--request", "DELETE"}), StartsWith("HTTP/1.1 405"));
  const std::string head = Get("/", {"--head"});
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(BodyOf(head), "");
  EXPECT_THAT(Get("/", {"--header", "X-Long: " + std::string(20000, 'x')}),
              Not(HasSubstr("HTTP/1.1 200")));
}

TEST_F(AdminServerTest, LostLinesOfLogsAreCounted) {
  EXPECT_THAT(Get("/metrics"), Not(HasSubstr("trestle_log_records_lost_total")));
  metrics_.SetLostRecords([] {
    return std::map<std::string, uint64_t>{{"stderr", 3}, {"audit", 0}};
  });
  const std::string metrics = Get("/metrics");
  EXPECT_THAT(metrics, AllOf(HasSubstr("trestle_log_records_lost_total{log=\"stderr\"} 3\n"),
                             HasSubstr("trestle_log_records_lost_total{log=\"audit\"} 0\n")));
  ExpectPromtoolLikes(BodyOf(metrics));
}

// A TCP connection that sends `text` and then waits.
OwnedFd ConnectAndSend(uint16_t port, absl::string_view text) {
  OwnedFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(text.size()));
  return fd;
}

TEST_F(AdminServerTest, UnfinishedRequestsDoNotSilenceHealth) {
  std::vector<OwnedFd> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(ConnectAndSend(server_->port(), i % 2 == 0 ? "GET / HT" : ""));
  }
  EXPECT_THAT(Get("/healthz", {"--max-time", "5"}), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Get("/metrics", {"--max-time", "5"}), StartsWith("HTTP/1.1 200"));
  // The oldest made room, and the rest has a limit.
  for (const OwnedFd& client : clients) {
    char byte;
    EXPECT_LE(recv(client.get(), &byte, 1, 0), 0);
  }
}

TEST_F(AdminServerTest, ClientsThatTakeNoAnswerDoNotSilenceHealth) {
  std::vector<CertificateStatus> certificates;
  for (int i = 0; i < 5000; ++i) {
    certificates.push_back(Certificate(absl::StrCat(i, ".test"), 90 * kDay, 9 * kDay));
  }
  metrics_.SetCertificates(certificates);
  std::vector<OwnedFd> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(ConnectAndSend(server_->port(), "GET /legs HTTP/1.1\r\n\r\n"));
  }
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200"));
}

TEST_F(AdminServerTest, AHostThatIsNeitherAnAddressNorConfiguredIsRefused) {
  for (const char* host :
       {"127.0.0.1", "127.0.0.1:9100", "[::1]", "[::1]:9100", "localhost", "LOCALHOST:9100"}) {
    EXPECT_THAT(Get("/", {"--header", absl::StrCat("Host: ", host)}), StartsWith("HTTP/1.1 200"))
        << host;
  }
  for (const char* host : {"rebound.example", "rebound.example:9100", "127.0.0.1.example",
                           "localhost.example", ":80"}) {
    EXPECT_THAT(Get("/healthz", {"--header", absl::StrCat("Host: ", host)}),
                StartsWith("HTTP/1.1 421"))
        << host;
  }
  PageServerOptions options;
  options.hosts = {"admin.internal.example"};
  server_ = *AdminServer::Start(*Endpoint::Parse("127.0.0.1:0"), metrics_, options);
  EXPECT_THAT(Get("/", {"--header", "Host: admin.internal.example"}), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Get("/", {"--header", "Host: localhost"}), StartsWith("HTTP/1.1 421"));
  const OwnedFd twice =
      ConnectAndSend(server_->port(), "GET / HTTP/1.1\r\nHost: 1.1.1.1\r\nHost: 1.1.1.1\r\n\r\n");
  std::string answer(12, 'x');
  EXPECT_EQ(recv(twice.get(), &answer[0], answer.size(), MSG_WAITALL), 12);
  EXPECT_EQ(answer, "HTTP/1.1 400");
}

TEST_F(AdminServerTest, ATakenAddressIsAnError) {
  const auto second =
      AdminServer::Start(*Endpoint::Parse(absl::StrCat("127.0.0.1:", server_->port())), metrics_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(GetError(second.status())->code, ErrorCode::kConfiguration);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("cannot serve HTTP on 127.0.0.1:"));
}

}  // namespace
}  // namespace trestle::e2e
