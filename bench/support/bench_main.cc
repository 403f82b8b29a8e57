#include "bench/support/bench_main.h"

#include <cstdio>
#include <cstring>
#include <vector>

#include "benchmark/benchmark.h"

namespace trestle::bench {

int RunBenchmarks(int argc, char** argv, const char* how_to_read) {
  // First, so that the same flag on the command line wins.
  static char short_runs[] = "--benchmark_min_time=0.1s";
  std::vector<char*> arguments(argv, argv + argc);
  arguments.insert(arguments.begin() + 1, short_runs);
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--help") == 0) std::printf("%s\n", how_to_read);
  }
  int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;
  std::fprintf(stderr, "%s\n", how_to_read);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace trestle::bench
