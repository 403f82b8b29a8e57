// The choice among the backends of a route, and the next tries after failures.
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

class BackendChoiceTest : public ::testing::Test {
 protected:
  void StartRouter(Backends backends, absl::Duration next_dial_after = absl::Milliseconds(250)) {
    SniPassthroughRouterOptions options;
    options.connection.next_dial_after = next_dial_after;
    options.routes = *RouteTable::Create({{"", std::move(backends)}});
    router = *SniPassthroughRouter::Create(loop, dialer, options, &observer);
  }

  Backends All(Balance balance) {
    return Backends({backends[0]->endpoint, backends[1]->endpoint, backends[2]->endpoint}, balance);
  }

  StreamPeer& Connect() {
    clients.push_back(std::make_unique<StreamPeer>(loop, ConnectTo(*router, loop)));
    clients.back()->Send(testing::InRecords(testing::ClassicHello("a.test").Message()));
    loop.RunReady();
    return *clients.back();
  }

  void Refuse(int i) { dialer.Refuse(backends[i]->endpoint, absl::UnavailableError("refused")); }

  std::vector<size_t> Counts() const {
    return {backends[0]->peers.size(), backends[1]->peers.size(), backends[2]->peers.size()};
  }

  testing::SimulatedLoop loop;
  testing::MemoryDialer dialer{loop};
  std::unique_ptr<TestBackend> backends[3] = {std::make_unique<TestBackend>(loop, dialer, 1),
                                              std::make_unique<TestBackend>(loop, dialer, 2),
                                              std::make_unique<TestBackend>(loop, dialer, 3)};
  RecordingObserver observer;
  std::unique_ptr<SniPassthroughRouter> router;
  std::vector<std::unique_ptr<StreamPeer>> clients;
};

TEST_F(BackendChoiceTest, RoundRobinTakesTurns) {
  StartRouter(All(Balance::kRoundRobin));
  for (int i = 0; i < 9; ++i) Connect();
  EXPECT_THAT(Counts(), ElementsAre(3, 3, 3));
}

TEST_F(BackendChoiceTest, LeastConnectionsPrefersTheLeastLoaded) {
  StartRouter(All(Balance::kLeastConnections));
  for (int i = 0; i < 3; ++i) Connect();
  EXPECT_THAT(Counts(), ElementsAre(1, 1, 1));
  clients[1]->End();
  backends[1]->peers[0]->End();
  loop.RunReady();
  ASSERT_EQ(observer.closed.size(), 1u);
  Connect();
  EXPECT_THAT(Counts(), ElementsAre(1, 2, 1));
}

TEST_F(BackendChoiceTest, AClientAddressStaysWithItsBackend) {
  StartRouter(All(Balance::kClientAddress));
  for (int i = 0; i < 6; ++i) Connect();
  EXPECT_THAT(Counts(), ::testing::Contains(6));
}

TEST_F(BackendChoiceTest, AFailedDialTriesTheNext) {
  StartRouter(All(Balance::kRoundRobin));
  Refuse(0);
  for (int i = 0; i < 4; ++i) Connect();
  EXPECT_EQ(backends[0]->peers.size(), 0u);
  EXPECT_EQ(backends[1]->peers.size() + backends[2]->peers.size(), 4u);
  EXPECT_TRUE(observer.closed.empty());
}

TEST_F(BackendChoiceTest, TriesAreBounded) {
  Backends two = All(Balance::kRoundRobin);
  two.max_tries = 2;
  StartRouter(two);
  Refuse(0);
  Refuse(1);
  Refuse(2);
  Connect().End();
  loop.RunReady();
  EXPECT_EQ(dialer.dials(), 2u);
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
  EXPECT_EQ(observer.error()->phase, Phase::kDial);
}

TEST_F(BackendChoiceTest, AllTriesShareTheDialTimeout) {
  StartRouter(All(Balance::kRoundRobin), absl::InfiniteDuration());
  for (const auto& backend : backends) {
    dialer.Refuse(backend->endpoint, absl::UnavailableError("slow no"), absl::Seconds(6));
  }
  Connect();
  loop.RunFor(absl::Seconds(11));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(dialer.dials(), 2u);
}

}  // namespace
}  // namespace trestle
