// Every way in which a front leg can fail: the client's behaviour, the host's error, and the
// client's alert. A code without a row fails here; an unlisted new code does not compile.

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/front_error_rows.h"
#include "tests/proxy/front_scene.h"
#include "trestle/proxy/tls_terminator.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

/// The part that a code is about.
enum class Place { kFrontLeg, kBackLeg, kSetUp };

/// Returns nothing for values that are no code. Without a default, the compiler reports new codes.
std::optional<Place> PlaceOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotTls:
    case ErrorCode::kMalformedHello:
    case ErrorCode::kHelloTooLarge:
    case ErrorCode::kNoRoute:
    case ErrorCode::kNoCertificate:
    case ErrorCode::kNoCommonParameters:
    case ErrorCode::kPeerAlert:
    case ErrorCode::kCertificateExpired:
    case ErrorCode::kCertificateUntrusted:
    case ErrorCode::kClientCertificateMissing:
    case ErrorCode::kAlpnMismatch:
    case ErrorCode::kNothingSent:
    case ErrorCode::kTruncated:
    case ErrorCode::kTimeout:
    case ErrorCode::kBlockedByInspector:
    case ErrorCode::kOverLimit:
    case ErrorCode::kProtocol:
    case ErrorCode::kTransport:
    case ErrorCode::kCancelled:
    case ErrorCode::kInternal:
      return Place::kFrontLeg;
    case ErrorCode::kNoBackend:
      // named_backends_test.cc.
    case ErrorCode::kNameMismatch:
      // Clients' certificates match no requested name: a name that isn't on the list makes them
      // untrusted. Back legs: tests/tls/verification_test.cc, bad_backends_test.cc.
      return Place::kBackLeg;
    case ErrorCode::kConfiguration:
      // Reported before there are connections: see ConfigurationIsForTheSetUp below, and the tests
      // of every Create().
      return Place::kSetUp;
  }
  return std::nullopt;
}

class FrontErrorsTest : public ::testing::TestWithParam<FrontErrorRow> {};

INSTANTIATE_TEST_SUITE_P(Rows, FrontErrorsTest, ::testing::ValuesIn(FrontErrorRows()),
                         [](const auto& info) { return info.param.name; });

TEST_P(FrontErrorsTest, IsReportedToTheHostAndTheClient) {
  const FrontErrorRow& row = GetParam();
  FrontScene scene;
  row.play(scene);
  scene.Finish();
  ASSERT_FALSE(scene.observer.closed.empty()) << "nothing failed";
  const std::optional<Error>& error = scene.failure();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, row.code) << *error;
  EXPECT_EQ(error->phase, row.phase) << *error;
  EXPECT_NE(error->leg, Leg::kBack) << *error;
  EXPECT_THAT(error->detail, HasSubstr(row.words));
  EXPECT_EQ(scene.alert(), row.alert) << *error;
  if (row.alert != kNoAlert) {
    EXPECT_EQ(error->alert, row.alert) << *error;
  }
}

TEST(FrontErrorsListTest, EveryCodeOfAFrontLegHasARow) {
  const std::vector<FrontErrorRow> rows = FrontErrorRows();
  int codes = 0;
  for (int value = 0; value <= 0xff; ++value) {
    const ErrorCode code = static_cast<ErrorCode>(value);
    const std::optional<Place> place = PlaceOf(code);
    if (!place.has_value()) continue;
    ++codes;
    const bool has_row = std::any_of(rows.begin(), rows.end(),
                                     [code](const FrontErrorRow& row) { return row.code == code; });
    EXPECT_EQ(has_row, *place == Place::kFrontLeg) << EnumName(code);
  }
  EXPECT_GT(codes, 20);
}

/// Returns whether a row's error names the limit; nothing for values that are no limit.
std::optional<bool> IsMetWithinAConnection(Limit limit) {
  switch (limit) {
    case Limit::kFullHandshakes:
    case Limit::kHandshakesPerSecond:
    case Limit::kHandshakesPerSecondPerClient:
    case Limit::kKeyUpdates:
    case Limit::kTasks:
      return true;
    case Limit::kConnections:
      return false;  // EveryCountOfRefusalsHasARow.
    case Limit::kFlows:
    case Limit::kHeldDatagrams:
      return false;  // quic_router_limits_test.
  }
  return std::nullopt;
}

TEST(FrontErrorsListTest, EveryLimitIsNamedByARow) {
  std::set<Limit> named;
  for (const FrontErrorRow& row : FrontErrorRows()) {
    if (row.code != ErrorCode::kOverLimit) continue;
    FrontScene scene;
    row.play(scene);
    scene.Finish();
    const std::optional<Error> error = scene.failure();
    ASSERT_TRUE(error.has_value() && error->limit.has_value()) << row.name;
    EXPECT_TRUE(named.insert(*error->limit).second) << row.name;
  }
  for (int value = 0; value <= 0xff; ++value) {
    const Limit limit = static_cast<Limit>(value);
    const std::optional<bool> met = IsMetWithinAConnection(limit);
    if (!met.has_value()) continue;
    EXPECT_EQ(named.count(limit) > 0, *met) << EnumName(limit);
  }
}

// Each time limit starts with its phase, in either order of the limits.
TEST(FrontErrorsListTest, AHandshakeTimeoutBelowTheHelloTimeoutIsEnforced) {
  FrontScene scene;
  scene.proxy.connection.hello_timeout = absl::Seconds(5);
  scene.proxy.connection.handshake_timeout = absl::Seconds(1);
  scene.Start();
  scene.Connect();
  scene.loop.RunFor(absl::Seconds(3));
  EXPECT_TRUE(scene.observer.closed.empty()) << "the hello's time limit still applies";
  scene.peer().Handshake();
  scene.Say(scene.peer().TakeOutput());
  scene.loop.RunFor(absl::Milliseconds(999));
  EXPECT_TRUE(scene.observer.closed.empty());
  scene.loop.RunFor(absl::Milliseconds(1));
  scene.End();
  scene.Finish();
  ASSERT_EQ(scene.observer.closed.size(), 1u);
  const Error error = *scene.failure();
  EXPECT_EQ(error.code, ErrorCode::kTimeout);
  EXPECT_EQ(error.phase, Phase::kHandshake);
  EXPECT_EQ(error.detail, "not finished within 1s");
}

// A connection over the limit gets a reset, which carries no data and costs nothing.
TEST(FrontErrorsListTest, EveryCountOfRefusalsHasARow) {
  FrontScene scene;
  scene.limits.connections = 1;
  scene.Start();
  scene.Join();
  scene.Join();
  RefusalCounts sum = scene.block().limiter()->refused();
  for (const FrontErrorRow& row : FrontErrorRows()) {
    if (row.code != ErrorCode::kOverLimit) continue;
    FrontScene own;
    row.play(own);
    const RefusalCounts counts = own.block().limiter()->refused();
    sum.full_handshakes += counts.full_handshakes;
    sum.full_handshakes_per_second += counts.full_handshakes_per_second;
    sum.full_handshakes_per_second_per_client += counts.full_handshakes_per_second_per_client;
  }
  EXPECT_EQ(scene.observer.turned_away, std::vector<Limit>{Limit::kConnections});
  static_assert(sizeof(RefusalCounts) == 4 * sizeof(uint64_t), "a new count needs a row");
  EXPECT_EQ(sum.connections, 1u);
  EXPECT_EQ(sum.full_handshakes, 1u);
  EXPECT_EQ(sum.full_handshakes_per_second, 1u);
  EXPECT_EQ(sum.full_handshakes_per_second_per_client, 1u);
}

TEST(FrontErrorsListTest, ConfigurationIsForTheSetUp) {
  FrontScene scene;
  const auto block =
      TlsTerminator::Create(scene.loop, scene.dialer, TlsTerminatorOptions(), &scene.observer);
  const std::optional<Error> error = GetError(block.status());
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, ErrorCode::kConfiguration);
  EXPECT_EQ(error->phase, Phase::kSetUp);
  EXPECT_EQ(error->leg, std::nullopt);
}

}  // namespace
}  // namespace trestle::testing
