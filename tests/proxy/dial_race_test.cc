// Backends that don't answer: the next one is dialed after a moment, and the first to accept wins.
#include <memory>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/testing/client_hello_kit.h"

namespace trestle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DialRaceTest : public ::testing::Test {
 protected:
  void Start(Balance balance = Balance::kRoundRobin, EjectionOptions ejection = {}) {
    SniPassthroughRouterOptions options;
    Backends all({backends[0]->endpoint, backends[1]->endpoint, backends[2]->endpoint}, balance);
    all.group = group;
    options.routes = *RouteTable::Create({{"", std::move(all)}});
    options.connection.ejection = ejection;
    router = *SniPassthroughRouter::Create(loop, dialer, options, &observer);
  }

  StreamPeer& Connect() {
    clients.push_back(std::make_unique<StreamPeer>(loop, ConnectTo(*router, loop)));
    clients.back()->Send(testing::InRecords(testing::ClassicHello("a.test").Message()));
    loop.RunReady();
    return *clients.back();
  }

  // Packets to the backend vanish, as those to an address of a network without IPv6.
  void Vanish(int i) {
    dialer.Refuse(backends[i]->endpoint, absl::OkStatus(), absl::InfiniteDuration());
  }

  void AcceptLate(int i, absl::Duration delay) {
    const auto accept = [this, i](std::unique_ptr<Transport> raw) {
      backends[i]->peers.push_back(std::make_unique<StreamPeer>(loop, std::move(raw)));
    };
    dialer.Listen(backends[i]->endpoint, accept, delay);
  }

  std::vector<size_t> Counts() const {
    return {backends[0]->peers.size(), backends[1]->peers.size(), backends[2]->peers.size()};
  }

  testing::SimulatedLoop loop;
  testing::MemoryDialer dialer{loop};
  std::unique_ptr<TestBackend> backends[3] = {std::make_unique<TestBackend>(loop, dialer, 1),
                                              std::make_unique<TestBackend>(loop, dialer, 2),
                                              std::make_unique<TestBackend>(loop, dialer, 3)};
  std::shared_ptr<BackendGroup> group;  // Null: the endpoints.
  RecordingObserver observer;
  std::unique_ptr<SniPassthroughRouter> router;
  std::vector<std::unique_ptr<StreamPeer>> clients;
};

TEST_F(DialRaceTest, ABackendThatNeverAnswersCostsAMomentOnly) {
  Start();
  Vanish(0);
  Connect();
  EXPECT_EQ(dialer.dials(), 1u);
  loop.RunFor(absl::Milliseconds(250));
  EXPECT_EQ(dialer.dials(), 2u);
  EXPECT_THAT(Counts(), ElementsAre(0, 1, 0));
  ASSERT_EQ(observer.established.size(), 1u);
  EXPECT_EQ(observer.established[0].back.peer, backends[1]->endpoint);
  EXPECT_EQ(observer.established[0].times.dial, absl::Milliseconds(250));
  EXPECT_TRUE(observer.established[0].failed_tries.empty());
}

TEST_F(DialRaceTest, ABackendThatAnswersInTimeIsAlone) {
  Start();
  AcceptLate(0, absl::Milliseconds(240));
  Connect();
  loop.RunFor(absl::Seconds(5));
  EXPECT_EQ(dialer.dials(), 1u);
  EXPECT_EQ(observer.established.size(), 1u);
}

TEST_F(DialRaceTest, TheFirstToAnswerWinsAndTheOtherIsNotBlamed) {
  Start(Balance::kRoundRobin, {1, absl::Minutes(1), absl::Minutes(1)});
  AcceptLate(0, absl::Milliseconds(400));
  Connect();
  loop.RunFor(absl::Milliseconds(300));
  EXPECT_EQ(observer.established.at(0).back.peer, backends[1]->endpoint);
  loop.RunFor(absl::Seconds(20));
  for (int i = 0; i < 2; ++i) Connect();
  EXPECT_EQ(dialer.dials(), 4u) << "the slow one is next in turn, and not ejected";
  EXPECT_EQ(observer.established.size(), 2u);
  loop.RunFor(absl::Seconds(1));
  EXPECT_EQ(observer.established.size(), 3u);
}

TEST_F(DialRaceTest, ABackendThatNeverAnswersIsEjected) {
  Start(Balance::kRoundRobin, {1, absl::Minutes(1), absl::Minutes(1)});
  Vanish(0);
  Connect();
  loop.RunFor(absl::Milliseconds(300));
  EXPECT_EQ(observer.established.size(), 1u);
  loop.RunFor(absl::Seconds(10));  // The dial goes on without its connection.
  for (int i = 0; i < 4; ++i) Connect();
  EXPECT_EQ(observer.established.size(), 5u) << "at once";
  EXPECT_EQ(dialer.dials(), 6u);
}

TEST_F(DialRaceTest, AFailureDialsTheNextAtOnce) {
  Start();
  Vanish(0);
  dialer.Refuse(backends[1]->endpoint, absl::UnavailableError("refused"));
  Connect();
  loop.RunFor(absl::Milliseconds(250));
  EXPECT_THAT(Counts(), ElementsAre(0, 0, 1));
  ASSERT_EQ(observer.established.size(), 1u);
  const ConnectionReport& report = observer.established[0];
  ASSERT_EQ(report.failed_tries.size(), 1u);
  EXPECT_EQ(report.failed_tries[0].backend, backends[1]->endpoint);
  EXPECT_EQ(report.back.peer, backends[2]->endpoint);
}

TEST_F(DialRaceTest, IfNoneAnswersTheErrorNamesAll) {
  Start();
  for (int i = 0; i < 3; ++i) Vanish(i);
  Connect();
  loop.RunFor(absl::Seconds(11));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_THAT(observer.error()->detail, HasSubstr("not finished within 10s (192.0.2.1:443, "));
  EXPECT_EQ(dialer.dials(), 3u);
  clients[0]->End();
  loop.RunFor(absl::Minutes(1));
  EXPECT_EQ(router->open_connections(), 0u);
}

TEST_F(DialRaceTest, AConnectionThatIsCutEndsAllItsDials) {
  Start();
  for (int i = 0; i < 3; ++i) Vanish(i);
  Connect();
  loop.RunFor(absl::Milliseconds(300));
  EXPECT_EQ(dialer.dials(), 2u);
  router->Drain(absl::ZeroDuration(), [] {});
  loop.RunFor(absl::Seconds(30));
  EXPECT_EQ(dialer.dials(), 2u);
  EXPECT_EQ(router->open_connections(), 0u);
}

TEST_F(DialRaceTest, BackendsOfAClientAddressDoNotRace) {
  Start(Balance::kClientAddress);
  for (int i = 0; i < 3; ++i) Vanish(i);
  Connect();
  loop.RunFor(absl::Seconds(9));
  EXPECT_EQ(dialer.dials(), 1u);
}

TEST_F(DialRaceTest, ALowerPriorityWaitsForFailures) {
  group = std::make_shared<BackendGroup>();
  group->Replace(std::make_shared<BackendGroup::List>(BackendGroup::List{
      {backends[0]->endpoint, nullptr, 1}, {backends[1]->endpoint, nullptr, 2}}));
  Start();
  Vanish(0);
  Connect();
  loop.RunFor(absl::Seconds(9));
  EXPECT_EQ(dialer.dials(), 1u);
}

TEST_F(DialRaceTest, TheTimeIsPositiveAndMayBeInfinite) {
  SniPassthroughRouterOptions options;
  options.routes = *RouteTable::Create({{"", Backends(backends[0]->endpoint)}});
  options.connection.next_dial_after = absl::InfiniteDuration();
  EXPECT_TRUE(SniPassthroughRouter::Create(loop, dialer, options).ok());
  options.connection.next_dial_after = absl::ZeroDuration();
  EXPECT_THAT(SniPassthroughRouter::Create(loop, dialer, options).status().message(),
              HasSubstr("next_dial_after must be more than zero"));
}

TEST_F(DialRaceTest, DialsThatGoOnAreBounded) {
  Start(Balance::kRoundRobin, {0});  // Nothing is ejected.
  Vanish(0);
  for (int i = 0; i < 120; ++i) Connect();
  loop.RunFor(absl::Seconds(1));
  EXPECT_EQ(observer.established.size(), 120u);
  router.reset();  // With dials in progress.
  loop.RunFor(absl::Minutes(1));
}

}  // namespace
}  // namespace trestle
