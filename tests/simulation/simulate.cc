// simulate: runs scenarios by seed, and prints the smallest scenario of each seed that fails.
//   bazel run //tests/simulation:simulate -- --seeds=1-10000
// The last line is "N seeds, N failed".
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/simulation/scenario.h"
#include "tests/simulation/world.h"

ABSL_FLAG(std::string, seeds, "1-1000", "the seeds to run: FIRST-LAST, or one seed");
ABSL_FLAG(bool, describe, false, "prints the scenario of each seed");

namespace trestle::simulation {
namespace {

// A seed fixes the scenario and the order of calls. TLS's own random numbers differ between runs,
// and so may the length of a signature. A failure that depends on it comes back in some runs.
constexpr int kRunsToReproduce = 20;

bool ParseSeeds(const std::string& text, uint64_t& first, uint64_t& last) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits('-', 1));
  if (!absl::SimpleAtoi(parts.first, &first)) return false;
  last = first;
  if (!parts.second.empty() && !absl::SimpleAtoi(parts.second, &last)) return false;
  return first <= last;
}

void ReportFailure(const Scenario& scenario, const std::string& wrong) {
  std::printf("seed %llu FAILED: %s\n", static_cast<unsigned long long>(scenario.seed),
              wrong.c_str());
  int again = 0;
  for (int i = 0; i < kRunsToReproduce; ++i) again += !RunScenario(scenario).empty();
  std::printf("  fails in %d of %d further runs\n", again, kRunsToReproduce);
  const Scenario smallest = Minimise(scenario);
  std::printf("  smallest scenario: %s%s", RunScenario(smallest).c_str(),
              ("\n  " + Describe(smallest)).c_str());
  std::fflush(stdout);
}

int Run(uint64_t first, uint64_t last) {
  uint64_t failed = 0;
  absl::Time reported = absl::Now();
  for (uint64_t seed = first; seed <= last; ++seed) {
    const Scenario scenario = MakeScenario(seed);
    if (absl::GetFlag(FLAGS_describe)) std::printf("%s", Describe(scenario).c_str());
    if (std::string wrong = RunScenario(scenario); !wrong.empty()) {
      ++failed;
      ReportFailure(scenario, wrong);
    }
    if (absl::Now() - reported > absl::Seconds(5)) {
      reported = absl::Now();
      std::printf("%llu of %llu seeds, %llu failed so far\n",
                  static_cast<unsigned long long>(seed - first + 1),
                  static_cast<unsigned long long>(last - first + 1),
                  static_cast<unsigned long long>(failed));
      std::fflush(stdout);
    }
  }
  std::printf("%llu seeds, %llu failed\n", static_cast<unsigned long long>(last - first + 1),
              static_cast<unsigned long long>(failed));
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace trestle::simulation

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "Runs simulated connections through a router, a terminator and a bridge, with faults by "
      "seed.\n  bazel run //tests/simulation:simulate -- --seeds=1-10000");
  absl::ParseCommandLine(argc, argv);
  uint64_t first = 0;
  uint64_t last = 0;
  if (!trestle::simulation::ParseSeeds(absl::GetFlag(FLAGS_seeds), first, last)) {
    std::fprintf(stderr,
                 "simulate: --seeds takes FIRST-LAST or one seed, such as 1-1000; got \"%s\"\n",
                 absl::GetFlag(FLAGS_seeds).c_str());
    return 2;
  }
  return trestle::simulation::Run(first, last);
}
