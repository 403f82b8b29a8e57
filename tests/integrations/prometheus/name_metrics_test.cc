// Metrics of the names of backends, and their bounds.

#include "integrations/prometheus/name_metrics.h"

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

std::string TextOf(const NameMetrics& metrics) {
  std::ostringstream text;
  ::prometheus::TextSerializer().Serialize(text, metrics.Collect());
  return absl::StrCat("\n", text.str());
}

NameStatus Status(const std::string& name, NameCondition condition, int addresses) {
  NameStatus status;
  status.target = *NamedTarget::Parse(name);
  status.condition = condition;
  for (int i = 1; i <= addresses; ++i) {
    status.endpoints.push_back(*Endpoint::Parse(absl::StrCat("192.0.2.", i, ":443")));
  }
  return status;
}

TEST(NameMetricsTest, EachNameHasItsSamples) {
  NameMetrics metrics;
  EXPECT_EQ(TextOf(metrics), "\n") << "without names";
  NameStatus kept = Status("a.test:443", NameCondition::kKept, 2);
  kept.answer_age = absl::Seconds(90);
  kept.lookups = 9;
  kept.failures = 4;
  kept.changes = 1;
  kept.refused = 3;
  metrics.SetNames({kept, Status("b.test:443", NameCondition::kLost, 0)});
  const std::string text = TextOf(metrics);
  for (const char* line :
       {"addresses{name=\"a.test:443\"} 2", "condition{name=\"a.test:443\",condition=\"kept\"} 1",
        "condition{name=\"a.test:443\",condition=\"current\"} 0",
        "answer_age_seconds{name=\"a.test:443\"} 90", "lookups_total{name=\"a.test:443\"} 9",
        "failures_total{name=\"a.test:443\"} 4", "changes_total{name=\"a.test:443\"} 1",
        "refused_addresses_total{name=\"a.test:443\"} 3", "addresses{name=\"b.test:443\"} 0",
        "condition{name=\"b.test:443\",condition=\"lost\"} 1"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\ntrestle_backend_name_", line, "\n")));
  }
  EXPECT_THAT(text, Not(HasSubstr("age_seconds{name=\"b.test:443\"}"))) << "no answer, no age";
}

TEST(NameMetricsTest, LabelsAreBounded) {
  NameMetrics metrics;
  std::vector<NameStatus> names;
  for (size_t i = 0; i < NameMetrics::kMaxNames + 2; ++i) {
    names.push_back(Status(absl::StrCat("n", i, ".test:443"), NameCondition::kCurrent, 1));
    names.back().answer_age = absl::Seconds(static_cast<int64_t>(i));
  }
  metrics.SetNames(std::move(names));
  const std::string text = TextOf(metrics);
  EXPECT_THAT(text, HasSubstr("\ntrestle_backend_name_addresses{name=\"n999.test:443\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("n1000.test")));
  EXPECT_THAT(text, HasSubstr("\ntrestle_backend_name_addresses{name=\"other\"} 2\n"));
  EXPECT_THAT(
      text,
      HasSubstr("\ntrestle_backend_name_condition{name=\"other\",condition=\"current\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("\ntrestle_backend_name_answer_age_seconds{name=\"other\"} 1001\n"));
}

}  // namespace
}  // namespace trestle
