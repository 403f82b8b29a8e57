// RunBenchmarks: a main() for benchmarks: Google Benchmark's flags, short runs by default, --help,
// --version, and a line or two on how to read the columns.
#ifndef TRESTLE_BENCH_SUPPORT_BENCH_MAIN_H_
#define TRESTLE_BENCH_SUPPORT_BENCH_MAIN_H_

namespace trestle::bench {

/// `how_to_read` is shown above the results. Returns main()'s result.
int RunBenchmarks(int argc, char** argv, const char* how_to_read);

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_SUPPORT_BENCH_MAIN_H_
