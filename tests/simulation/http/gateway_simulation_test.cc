// 1,500 seeds of a simulated gateway, which are about 20,000 requests. More:
//   bazel run //tests/simulation/http:gateway_simulate -- --requests=1000000
#include <cstdint>

#include "gtest/gtest.h"
#include "tests/simulation/http/gateway_world.h"

namespace trestle {
namespace {

constexpr uint64_t kSeeds = 1'500;
constexpr uint64_t kParts = 10;

class GatewaySimulationTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(GatewaySimulationTest, KeepsEveryPromise) {
  uint64_t requests = 0;
  uint64_t complete = 0;
  for (uint64_t i = 0; i < kSeeds / kParts; ++i) {
    const uint64_t seed = GetParam() * kSeeds / kParts + i;
    const GatewayRun run = RunGatewaySeed(seed);
    EXPECT_EQ(run.wrong, "") << "seed " << seed;
    requests += run.requests;
    complete += run.complete;
  }
  // A simulation in which everything fails would show little.
  EXPECT_GT(requests, 1'000u);
  EXPECT_GT(complete, requests / 3);
  EXPECT_LT(complete, requests);
}

INSTANTIATE_TEST_SUITE_P(Seeds, GatewaySimulationTest, ::testing::Range<uint64_t>(0, kParts));

}  // namespace
}  // namespace trestle
