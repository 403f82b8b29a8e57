// RunBenchmarks: a main() for benchmarks. It adds --help, --version, short runs by default and a
// note on the columns to Google Benchmark's flags.
#ifndef TRESTLE_BENCH_SUPPORT_BENCH_MAIN_H_
#define TRESTLE_BENCH_SUPPORT_BENCH_MAIN_H_

namespace trestle::bench {

/// Prints `how_to_read` above the results. Returns main()'s result.
int RunBenchmarks(int argc, char** argv, const char* how_to_read);

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_SUPPORT_BENCH_MAIN_H_
