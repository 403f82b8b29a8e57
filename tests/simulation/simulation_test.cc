// 2,000 seeds of the simulation, and a check of the harness itself. More seeds:
//   bazel run //tests/simulation:simulate -- --seeds=1-100000
#include <string>

#include "gtest/gtest.h"
#include "tests/simulation/scenario.h"
#include "tests/simulation/world.h"

namespace trestle::simulation {
namespace {

constexpr int kSeeds = 2'000;
constexpr int kParts = 10;

class SimulationTest : public ::testing::TestWithParam<int> {};

TEST_P(SimulationTest, KeepsEveryPromise) {
  for (int seed = GetParam() * kSeeds / kParts; seed < (GetParam() + 1) * kSeeds / kParts; ++seed) {
    const Scenario scenario = MakeScenario(static_cast<uint64_t>(seed));
    EXPECT_EQ(RunScenario(scenario), "") << Describe(scenario);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SimulationTest, ::testing::Range(0, kParts));

// A client whose transport loses a byte sends no valid TLS: the run must fail, and the smallest
// scenario that shows it has one client.
TEST(SimulationHarnessTest, ALostByteIsFoundAndMinimised) {
  Scenario scenario = MakeScenario(0);
  while (scenario.clients.size() < 3) scenario = MakeScenario(scenario.seed + 1);
  for (ClientPlan& client : scenario.clients) {
    client.opening = Opening::kTls;
    client.end.out = {};
    client.end.truncates = false;
    client.end.leaves = absl::InfiniteDuration();
  }
  scenario.max_connections = scenario.max_handshakes = 0;
  scenario.events.clear();
  scenario.drops_a_byte = true;
  EXPECT_NE(RunScenario(scenario), "");
  const Scenario smallest = Minimise(scenario);
  EXPECT_NE(RunScenario(smallest), "");
  EXPECT_EQ(smallest.clients.size(), 1u) << Describe(smallest);
  EXPECT_EQ(smallest.dials.size(), 1u) << Describe(smallest);
}

}  // namespace
}  // namespace trestle::simulation
