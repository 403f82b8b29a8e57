#include "bench/support/bench_main.h"

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "examples/support/help_text.h"

namespace trestle::bench {

namespace {

// The flags of Google Benchmark that are useful here.
std::string BenchmarkFlags() {
  return examples::FlagGroupText(
      "Google Benchmark",
      {{"benchmark_color", "auto, true or false", "auto"},
       {"benchmark_filter",
        "regular expression for the rows to measure; begins with \"-\": all others", "all"},
       {"benchmark_format", "console, json or csv", "console"},
       {"benchmark_list_tests", "prints the names of the rows, and measures nothing", ""},
       {"benchmark_min_time", "time for each row, as in 2s, or iterations, as in 100x", "0.1s"},
       {"benchmark_out", "also writes results to this file", ""},
       {"benchmark_out_format", "json, console or csv", "json"},
       {"benchmark_repetitions", "measures each row so often, with mean and deviation", "1"}});
}

}  // namespace

int RunBenchmarks(int argc, char** argv, const char* how_to_read) {
  examples::AnswerHelpAndVersion(argc, argv, absl::StrCat(how_to_read, "\n", BenchmarkFlags()));
  // Comes first, so that the same flag on the command line takes precedence.
  static char short_runs[] = "--benchmark_min_time=0.1s";
  std::vector<char*> arguments(argv, argv + argc);
  arguments.insert(arguments.begin() + 1, short_runs);
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
