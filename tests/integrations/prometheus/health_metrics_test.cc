// Metrics of the health checks of backends, and their bounds.

#include "integrations/prometheus/health_metrics.h"

#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string TextOf(const HealthMetrics& metrics) {
  std::ostringstream text;
  ::prometheus::TextSerializer().Serialize(text, metrics.Collect());
  return absl::StrCat("\n", text.str());
}

HealthStatus Status(const std::string& endpoint, BackendCondition condition) {
  HealthStatus status;
  status.endpoint = *Endpoint::Parse(endpoint);
  status.state.condition = condition;
  status.checks = condition == BackendCondition::kUnchecked ? 0 : 1;
  return status;
}

TEST(HealthMetricsTest, EachBackendHasItsSamples) {
  HealthMetrics metrics;
  EXPECT_EQ(TextOf(metrics), "\n") << "without checks";
  HealthStatus down = Status("192.0.2.1:443", BackendCondition::kDown);
  down.kind = HealthCheckKind::kTls;
  down.name = "api.internal:443";
  down.server_name = "api.internal";
  down.checks = 7;
  down.failures = 3;
  down.changes = 1;
  down.state.ejections = 2;
  down.took = absl::Milliseconds(250);
  metrics.SetBackends({down, Status("192.0.2.2:80", BackendCondition::kUp),
                       Status("192.0.2.3:80", BackendCondition::kUnchecked),
                       Status("192.0.2.4:80", BackendCondition::kEjected)});
  const std::string text = TextOf(metrics);
  const std::string of_down = "{backend=\"192.0.2.1:443\",name=\"api.internal\",check=\"tls\"";
  for (const std::string& line :
       {absl::StrCat("up", of_down, "} 0"),
        absl::StrCat("health_checks_total", of_down, ",result=\"good\"} 4"),
        absl::StrCat("health_checks_total", of_down, ",result=\"failed\"} 3"),
        absl::StrCat("health_changes_total", of_down, "} 1"),
        absl::StrCat("health_check_seconds", of_down, "} 0.25"),
        absl::StrCat("state", of_down, ",state=\"down\"} 1"),
        absl::StrCat("state", of_down, ",state=\"up\"} 0"),
        absl::StrCat("ejections_total", of_down, "} 2"),
        std::string("up{backend=\"192.0.2.2:80\",name=\"\",check=\"tcp\"} 1"),
        std::string("up{backend=\"192.0.2.3:80\",name=\"\",check=\"tcp\"} 1"),
        std::string("up{backend=\"192.0.2.4:80\",name=\"\",check=\"tcp\"} 0"),
        std::string("state{backend=\"192.0.2.4:80\",name=\"\",check=\"tcp\",state=\"ejected\"} "
                    "1")}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\ntrestle_backend_", line, "\n")));
  }
  EXPECT_THAT(text, Not(HasSubstr("check_seconds{backend=\"192.0.2.3:80\""))) << "not checked yet";
}

TEST(HealthMetricsTest, LabelsAreBoundedAndUnique) {
  HealthMetrics metrics;
  std::vector<HealthStatus> backends;
  for (size_t i = 0; i < HealthMetrics::kMaxBackends + 2; ++i) {
    backends.push_back(Status(absl::StrCat("192.0.2.1:", 1000 + i), BackendCondition::kUp));
  }
  // Of another list, with a check of its own: the worst counts.
  backends.push_back(Status("192.0.2.1:1000", BackendCondition::kDown));
  metrics.SetBackends(std::move(backends));
  const std::string text = TextOf(metrics);
  EXPECT_THAT(text, HasSubstr("\ntrestle_backend_up{backend=\"192.0.2.1:1000\",name=\"\","
                              "check=\"tcp\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("\ntrestle_backend_up{backend=\"192.0.2.1:1999\""));
  EXPECT_THAT(text, Not(HasSubstr("192.0.2.1:2000")));
  EXPECT_THAT(
      text,
      HasSubstr("\ntrestle_backend_up{backend=\"other\",name=\"other\",check=\"other\"} 1\n"));
}

}  // namespace
}  // namespace trestle
