#include "trestle/watch/expiry_alarms.h"

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);

TEST(ExpiryAlarmsTest, EachLifetimeHasItsTimes) {
  const struct {
    double days;
    double warns_days_before;
    double critical_days_before;
  } rows[] = {{6, 2, 0.6},  {10, 10.0 / 3, 1}, {47, 47.0 / 3, 4.7}, {90, 30, 7},
              {100, 30, 7}, {200, 30, 7},      {398, 30, 7}};
  const ExpiryAlarms alarms;
  for (const auto& row : rows) {
    const absl::Duration lifetime = row.days * kDay;
    EXPECT_NEAR(absl::FDivDuration(alarms.WarningTime(lifetime), kDay), row.warns_days_before, 1e-6)
        << row.days;
    EXPECT_NEAR(absl::FDivDuration(alarms.CriticalTime(lifetime), kDay), row.critical_days_before,
                1e-6)
        << row.days;
  }
  EXPECT_EQ(alarms.WarningTime(absl::InfiniteDuration()), 30 * kDay);
  EXPECT_EQ(alarms.CriticalTime(absl::InfiniteDuration()), 7 * kDay);
}

TEST(ExpiryAlarmsTest, TheSeverityRisesAsTimeRunsOut) {
  const ExpiryAlarms alarms;
  EXPECT_EQ(alarms.At(3 * kDay, 6 * kDay), Severity::kFine);
  EXPECT_EQ(alarms.At(2 * kDay, 6 * kDay), Severity::kWarning);
  EXPECT_EQ(alarms.At(absl::Hours(15), 6 * kDay), Severity::kWarning);
  EXPECT_EQ(alarms.At(absl::Hours(14), 6 * kDay), Severity::kCritical);
  EXPECT_EQ(alarms.At(-kDay, 6 * kDay), Severity::kCritical);
  EXPECT_EQ(alarms.At(31 * kDay, 398 * kDay), Severity::kFine);
}

TEST(ExpiryAlarmsTest, NothingIsCriticalBeforeItWarns) {
  ExpiryAlarms alarms;
  alarms.warn_within = 3 * kDay;
  EXPECT_EQ(alarms.CriticalTime(398 * kDay), 3 * kDay);
  EXPECT_TRUE(alarms.Check().ok());
}

TEST(ExpiryAlarmsTest, TimesAndPartsMustBeUsable) {
  const auto code = [](const ExpiryAlarms& alarms) { return GetError(alarms.Check())->code; };
  EXPECT_EQ(code({-kDay, 0.5, kDay, 0.1}), ErrorCode::kConfiguration);
  EXPECT_EQ(code({kDay, 1.5, kDay, 0.1}), ErrorCode::kConfiguration);
  EXPECT_EQ(code({kDay, 0.5, -kDay, 0.1}), ErrorCode::kConfiguration);
  EXPECT_EQ(code({kDay, 0.5, kDay, -0.1}), ErrorCode::kConfiguration);
  EXPECT_TRUE(ExpiryAlarms().Check().ok());
}

TEST(ExpiryAlarmsTest, TimesAreInReadableUnits) {
  const absl::Time now = absl::FromUnixSeconds(1'767'225'600);
  EXPECT_EQ(TimeLeftText(now + 9 * kDay, now), "9 days");
  EXPECT_EQ(TimeLeftText(now + absl::Hours(47), now), "47 hours");
  EXPECT_EQ(TimeLeftText(now + absl::Minutes(1), now), "1 minute");
  EXPECT_EQ(TimeLeftText(now - 3 * kDay, now), "3 days ago");
}

}  // namespace
}  // namespace trestle
