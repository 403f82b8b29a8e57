#include "trestle/base/error.h"

#include <optional>
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace trestle {
namespace {

constexpr int kCodes = static_cast<int>(ErrorCode::kInternal) + 1;

TEST(ErrorTest, EveryCodeHasAUniqueNameAndSurvivesTheStatus) {
  std::set<std::string> names;
  for (int i = 0; i < kCodes; ++i) {
    const ErrorCode code = static_cast<ErrorCode>(i);
    EXPECT_TRUE(names.insert(std::string(EnumName(code))).second) << EnumName(code);
    const absl::Status status = MakeError({code, Leg::kBack, Phase::kDial, 200, "why"});
    EXPECT_FALSE(status.ok());
    const std::optional<Error> error = GetError(status);
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code, code);
    EXPECT_EQ(error->leg, Leg::kBack);
    EXPECT_EQ(error->phase, Phase::kDial);
    EXPECT_EQ(error->alert, 200);
    EXPECT_EQ(error->detail, "why");
  }
}

TEST(ErrorTest, UnsetFieldsStayUnset) {
  const absl::Status status = MakeError(ErrorCode::kTimeout, Phase::kRelay, "");
  const std::optional<Error> error = GetError(status);
  ASSERT_TRUE(error.has_value());
  EXPECT_FALSE(error->leg.has_value());
  EXPECT_FALSE(error->alert.has_value());
  EXPECT_FALSE(error->limit.has_value());
  EXPECT_EQ(status.message(), "relay: timeout");
}

TEST(ErrorTest, TheMessageHasPlaceCodeAndReason) {
  const absl::Status status = MakeError({ErrorCode::kPeerAlert, Leg::kBack, Phase::kHandshake, 48,
                                         "the backend doesn't know our CA"});
  EXPECT_EQ(status.message(),
            "back leg, handshake: peer_alert (unknown_ca): the backend doesn't know our CA");
}

TEST(ErrorTest, LimitsAreKeptAndHaveNames) {
  std::set<absl::string_view> names;
  for (const Limit limit :
       {Limit::kConnections, Limit::kFullHandshakes, Limit::kHandshakesPerSecond,
        Limit::kHandshakesPerSecondPerClient, Limit::kKeyUpdates, Limit::kTasks, Limit::kFlows,
        Limit::kHeldDatagrams}) {
    names.insert(EnumName(limit));
    Error error;
    error.code = ErrorCode::kOverLimit;
    error.detail = "too many";
    error.limit = limit;
    const auto read = GetError(AtLeg(MakeError(error), Leg::kFront, Phase::kRelay));
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->limit, limit);
    EXPECT_EQ(read->detail, "too many");
  }
  EXPECT_EQ(names.size(), 8u);
}

TEST(ErrorTest, OtherStatusesCarryNoError) {
  EXPECT_FALSE(GetError(absl::OkStatus()).has_value());
  EXPECT_FALSE(GetError(absl::InternalError("x")).has_value());
}

TEST(ErrorTest, AtLegSetsThePlaceAndKeepsTheRest) {
  const absl::Status made =
      MakeError({ErrorCode::kTruncated, std::nullopt, Phase::kSetUp, 10, "cut"});
  const std::optional<Error> error = GetError(AtLeg(made, Leg::kFront, Phase::kRelay));
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, ErrorCode::kTruncated);
  EXPECT_EQ(error->leg, Leg::kFront);
  EXPECT_EQ(error->phase, Phase::kRelay);
  EXPECT_EQ(error->alert, 10);
  EXPECT_TRUE(AtLeg(absl::OkStatus(), Leg::kFront, Phase::kRelay).ok());
  const std::optional<Error> foreign =
      GetError(AtLeg(absl::UnavailableError("gone"), Leg::kBack, Phase::kDial));
  ASSERT_TRUE(foreign.has_value());
  EXPECT_EQ(foreign->code, ErrorCode::kTransport);
  EXPECT_EQ(foreign->detail, "gone");
}

TEST(ErrorTest, EveryAlertNumberHasAName) {
  std::set<std::string> names;
  for (int alert = 0; alert < 256; ++alert) names.insert(AlertName(static_cast<uint8_t>(alert)));
  EXPECT_EQ(names.size(), 256u);
  EXPECT_EQ(AlertName(0), "close_notify");
  EXPECT_EQ(AlertName(112), "unrecognized_name");
  EXPECT_EQ(AlertName(200), "alert_200");
}

}  // namespace
}  // namespace trestle
