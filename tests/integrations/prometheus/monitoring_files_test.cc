// docs/monitoring: the alerts, the dashboard and the list of metrics match the exported metrics.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "integrations/prometheus/gateway_metrics.h"
#include "integrations/prometheus/health_metrics.h"
#include "integrations/prometheus/legs_page.h"
#include "integrations/prometheus/name_metrics.h"
#include "integrations/prometheus/proxy_metrics.h"
#include "integrations/prometheus/spiffe_metrics.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/process.h"
#include "tests/e2e/proxy_test.h"
#include "tests/integrations/prometheus/metrics_fixture.h"
#include "trestle/base/error.h"

namespace trestle::testing {
namespace {

using Json = nlohmann::json;

using MonitoringFilesTest = MetricsTest;

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Returns every metric name in `text`, without the suffixes of histograms and the like.
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

TEST_F(MonitoringFilesTest, TheDocumentsUseExistingNames) {
  const std::unique_ptr<ConnectionObserver> observer = metrics_.NewObserver(nullptr);
  ConnectionReport report = Bridged(1);
  report.hello.emplace();
  report.hello->bytes = 1500;
  report.error = ToError(MakeError(ErrorCode::kTimeout, Leg::kBack, Phase::kRelay, "x"));
  observer->OnClosed(report);
  report.quic_version = 1;
  observer->OnEstablished(report);
  observer->OnDatagramsDropped(DatagramDrop::kNoFlow, 1);
  observer->OnClosed(report);
  metrics_.SetTicketKeyTime([](absl::Time now) { return now; });
  metrics_.SetEchCounts([] { return EchCounts(); });
  metrics_.SetLostRecords([] { return std::map<std::string, uint64_t>{{"stderr", 0}}; });
  const auto gateway = std::make_shared<GatewayMetrics>();
  HttpRequestReport request;
  request.reason = HttpReason::kDenied;
  gateway->NewObserver(nullptr)->OnRequest(request);
  gateway->SetPools(0, {BackendTargetStats()});
  metrics_.Add(gateway);
  const auto names = std::make_shared<NameMetrics>();
  NameStatus name;
  name.endpoints = {*Endpoint::Parse("192.0.2.1:443")};
  names->SetNames({name});
  metrics_.Add(names);
  const auto health = std::make_shared<HealthMetrics>();
  HealthStatus backend;
  backend.state.condition = BackendCondition::kUp;
  backend.checks = 1;
  health->SetBackends({backend});
  metrics_.Add(health);
  const auto spiffe = std::make_shared<SpiffeMetrics>();
  spiffe->Set({});
  metrics_.Add(spiffe);
  CertificateStatus certificate = Certificate("a.test", kDay, kDay);
  certificate.chain[0].not_before = now_ - kDay;
  certificate.failure->subject = certificate.chain[0].subject;
  certificate.renewal = RenewalInfo{now_, now_ + kDay, ""};
  metrics_.SetCertificates({certificate});
  const std::set<std::string> known = MetricNames(metrics_.Text(now_));
  EXPECT_EQ(MetricNames(ReadText("docs/monitoring/README.md")), known);
  for (const char* file : {"docs/monitoring/alerts.yml", "docs/monitoring/dashboard.json"}) {
    for (const std::string& name : MetricNames(ReadText(file))) {
      EXPECT_EQ(known.count(name), 1u) << file << ": " << name;
    }
  }
}

TEST_F(MonitoringFilesTest, PromtoolAcceptsRulesAndTheDashboardsExpressions) {
  const std::string promtool = e2e::FindProgram("promtool");
  const e2e::CommandResult rules =
      e2e::RunCommand({promtool, "check", "rules", "docs/monitoring/alerts.yml"}, e2e::kPatience);
  EXPECT_EQ(rules.exit_status, 0) << rules.errors;
  // promtool parses recording rules, so the dashboard's expressions are written as such.
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
  const e2e::CommandResult expressions =
      e2e::RunCommand({promtool, "check", "rules", path}, e2e::kPatience);
  EXPECT_EQ(expressions.exit_status, 0) << expressions.errors << expressions.output;
}

// Certificates of several lifetimes, and the rules of alerts.yml about their metrics.
class AlertRulesTest : public MonitoringFilesTest {
 protected:
  // Adds a certificate that is valid for `lifetime`, of which `left` is left.
  void Add(const std::string& name, absl::Duration lifetime, absl::Duration left) {
    CertificateStatus& status = certificates_.emplace_back(Certificate(name, left, left));
    status.chain[0].not_before = status.chain[0].not_after - lifetime;
    status.failure->subject = status.chain[0].subject;
    SetAlarms(status);
  }

  // The alert of a back leg, as promtool writes it.
  static Json Alert(const std::string& name, const std::string& severity, const std::string& left) {
    Json annotations = {
        {"summary", absl::StrCat("back leg of ", name, ": verification fails in ", left)}};
    if (severity == "warning") {
      annotations["description"] =
          "Some certificate of the chain ends, not necessarily the leaf. The page of --admin, or "
          "leg_probe, names it and says what to do.";
    }
    return {{"exp_labels", {{"leg", "back"}, {"name", name}, {"severity", severity}}},
            {"exp_annotations", annotations}};
  }

  // Lets promtool evaluate the rules after `hours` over the metrics of now, which count down.
  void Expect(int hours, const std::vector<Json>& warnings, const std::vector<Json>& criticals) {
    metrics_.SetCertificates(certificates_);
    Json series = Json::array();
    const std::vector<std::string> lines = absl::StrSplit(metrics_.Text(now_), '\n');
    for (const std::string& line : lines) {
      const std::vector<std::string> parts = absl::StrSplit(line, ' ');
      if (parts.size() != 2 || parts[0].find("certificate_") == std::string::npos) continue;
      const bool counts_down = parts[0].find("alarm_seconds") != std::string::npos ||
                               parts[0].find("fails_seconds") != std::string::npos;
      series.push_back({{"series", parts[0]},
                        {"values", absl::StrCat(parts[1], counts_down ? "-60" : "+0", "x9000")}});
    }
    const std::string when = absl::StrCat(hours, "h");
    const Json questions = {{{"eval_time", when},
                             {"alertname", "TrestleVerificationWillFail"},
                             {"exp_alerts", warnings}},
                            {{"eval_time", when},
                             {"alertname", "TrestleVerificationFailsSoon"},
                             {"exp_alerts", criticals}}};
    const Json document = {
        {"rule_files", {std::filesystem::absolute("docs/monitoring/alerts.yml").string()}},
        {"evaluation_interval", "1m"},
        {"tests",
         {{{"interval", "1m"}, {"input_series", series}, {"alert_rule_test", questions}}}}};
    const char* const folder = std::getenv("TEST_TMPDIR");
    const std::string path = absl::StrCat(folder == nullptr ? "/tmp" : folder, "/alerts_test.yml");
    std::ofstream(path) << document.dump();
    const e2e::CommandResult tested =
        e2e::RunCommand({e2e::FindProgram("promtool"), "test", "rules", path}, e2e::kPatience);
    EXPECT_EQ(tested.exit_status, 0) << tested.errors << tested.output;
  }

  std::vector<CertificateStatus> certificates_;
};

TEST_F(AlertRulesTest, FireInTheLastThirdAndTheLastTenthOfALifetime) {
  Add("six_young.test", 6 * kDay, 4 * kDay);
  Add("six_old.test", 6 * kDay, kDay + absl::Minutes(30));
  Add("six_ending.test", 6 * kDay, absl::Hours(12) + absl::Minutes(30));
  Add("47_young.test", 47 * kDay, 20 * kDay);
  Add("47_old.test", 47 * kDay, 10 * kDay + absl::Minutes(30));
  Add("47_ending.test", 47 * kDay, 4 * kDay + absl::Minutes(30));
  LegsView view;
  view.certificates = certificates_;
  std::vector<std::string> severities;
  const Json page = Json::parse(LegsJson(view, now_));
  for (const Json& leg : page.at("legs")) severities.push_back(leg.at("severity"));
  EXPECT_EQ(severities, std::vector<std::string>(
                            {"fine", "warning", "critical", "fine", "warning", "critical"}));

  Expect(/*hours=*/0, {},
         {Alert("six_ending.test", "critical", "12h 30m 0s"),
          Alert("47_ending.test", "critical", "4d 0h 30m 0s")});
}

TEST_F(AlertRulesTest, AreSilentForAYearAndFireInItsLastWeeks) {
  Add("year.test", 398 * kDay, 31 * kDay);
  Add("year_old.test", 398 * kDay, 20 * kDay + absl::Hours(1));
  Add("year_ending.test", 398 * kDay, 6 * kDay + absl::Hours(1));
  Expect(/*hours=*/1,
         {Alert("year_old.test", "warning", "20d 0h 0m 0s"),
          Alert("year_ending.test", "warning", "6d 0h 0m 0s")},
         {Alert("year_ending.test", "critical", "6d 0h 0m 0s")});
}

// The worst of two certificates of one name counts, each by its own lifetime.
TEST_F(AlertRulesTest, DontMixTheCertificatesOfOneName) {
  Add("mixed.test", 6 * kDay, 4 * kDay);     // Fine, but with the fewest seconds left.
  Add("mixed.test", 398 * kDay, 31 * kDay);  // Fine, but with the smallest part left.
  Expect(/*hours=*/1, {}, {});
}

}  // namespace
}  // namespace trestle::testing
