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
#include "integrations/prometheus/legs_page.h"
#include "integrations/prometheus/proxy_metrics.h"
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

// The alert's text for a back leg with one day left.
const Json kWillFailText = {
    {"summary", "back leg of old.test: verification fails in 1d 0h 0m 0s"},
    {"description",
     "Some certificate of the chain ends, not necessarily the leaf. The page of --admin, or "
     "leg_probe, names it and says what to do."}};

TEST_F(MonitoringFilesTest, AlertsFireInTheLastThirdOfAShortLifetime) {
  // Both are valid for six days: one has four days left, one has one.
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
  const e2e::CommandResult tested =
      e2e::RunCommand({e2e::FindProgram("promtool"), "test", "rules", path}, e2e::kPatience);
  EXPECT_EQ(tested.exit_status, 0) << tested.errors << tested.output;
}

}  // namespace
}  // namespace trestle::testing
