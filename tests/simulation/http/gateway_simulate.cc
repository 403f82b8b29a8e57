// gateway_simulate: runs a simulated gateway by seeds until so many requests were made, and prints
// the seeds that fail.
//   bazel run //tests/simulation/http:gateway_simulate -- --requests=1000000
// The last line is "N requests in N seeds, N complete, N failed".
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "tests/simulation/http/gateway_world.h"

ABSL_FLAG(uint64_t, first_seed, 0, "the first seed");
ABSL_FLAG(uint64_t, requests, 100'000, "the number of requests after which no seed follows");

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "Runs simulated requests through an HTTP gateway, with faults by seed.\n"
      "  bazel run //tests/simulation/http:gateway_simulate -- --requests=1000000");
  absl::ParseCommandLine(argc, argv);
  const uint64_t first = absl::GetFlag(FLAGS_first_seed);
  uint64_t seed = first;
  unsigned long long requests = 0, complete = 0, failed = 0;
  for (; requests < absl::GetFlag(FLAGS_requests); ++seed) {
    const trestle::GatewayRun run = trestle::RunGatewaySeed(seed);
    requests += run.requests;
    complete += run.complete;
    if (run.wrong.empty()) continue;
    ++failed;
    std::printf("seed %llu FAILED: %s\n", static_cast<unsigned long long>(seed), run.wrong.c_str());
    std::fflush(stdout);
  }
  std::printf("%llu requests in %llu seeds, %llu complete, %llu failed\n", requests,
              static_cast<unsigned long long>(seed - first), complete, failed);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
