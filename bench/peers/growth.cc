// Measures how the cost of Trestle's example proxies grows with open connections, routes and
// threads.

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "bench/peers/measurement.h"
#include "bench/peers/peer.h"
#include "bench/peers/process.h"
#include "bench/peers/runner.h"
#include "examples/support/program.h"

ABSL_FLAG(int, rounds, 5, "samples of each figure, taken in turns");
ABSL_FLAG(double, effort, 1, "multiplies the requests of each sample");
ABSL_FLAG(int, open_connections, 5000, "idle connections beside those that are measured");
ABSL_FLAG(int, routes, 100000, "routes of the passthrough proxy");
ABSL_FLAG(std::string, examples, "examples", "folder of Trestle's example proxies");

namespace trestle::bench {
namespace {

constexpr char kUsage[] =
    "Measures how the cost of Trestle's example proxies grows: the proxy's own CPU time, user and\n"
    "system, for one unit of work with little and with much of something, in turns.\n\n"
    "  bazel run //bench/peers:growth                 about ten minutes\n"
    "  bazel run //bench/peers:growth -- --rounds=3 --effort=0.5";

constexpr int kConnections = 32;

/// The same proxy with two loads, and the metrics to measure.
struct Growth {
  Mode mode;
  std::vector<Metric> metrics;
  Peer little;
  Peer much;
};

Peer Proxy(const std::string& label) {
  return {PeerKind::kTrestle, label, absl::GetFlag(FLAGS_examples)};
}

Growth OpenConnections(Mode mode) {
  const int many = absl::GetFlag(FLAGS_open_connections);
  Growth growth = {mode,
                   {Metric::kKept},
                   Proxy("10 open connections"),
                   Proxy(absl::StrCat(many, " open connections"))};
  growth.little.open_connections = 10;
  growth.much.open_connections = many;
  return growth;
}

Growth Routes(const std::string& folder) {
  const int many = absl::GetFlag(FLAGS_routes);
  const std::string path = folder + "/routes";
  std::ofstream file(path);
  for (int i = 1; i < many; ++i) {
    file << "host" << i << ".customer" << i % 1000 << ".example 127.0.0.1:9\n";
  }
  Growth growth = {
      Mode::kPassthrough, {Metric::kFull}, Proxy("1 route"), Proxy(absl::StrCat(many, " routes"))};
  growth.much.flags = {"--routes_file=" + path};
  return growth;
}

Growth Threads() {
  Growth growth = {
      Mode::kOffload, {Metric::kFull, Metric::kKept}, Proxy("1 thread"), Proxy("2 threads")};
  growth.much.flags = {"--threads=2"};
  growth.little.pinned = growth.much.pinned = false;
  return growth;
}

void Print(const Figure& little, const Figure& much) {
  for (const Figure* figure : {&little, &much}) {
    if (figure->failure.empty()) continue;
    std::printf("%-12s %-15s no figure: %s: %s\n", ModeName(figure->mode),
                MetricName(figure->metric), figure->peer.c_str(), figure->failure.c_str());
    return;
  }
  std::printf("%-12s %-15s %20s %8.1f %24s %8.1f %7.2f\n", ModeName(little.mode),
              MetricName(little.metric), little.peer.c_str(), little.Median(), much.peer.c_str(),
              much.Median(), MedianRatio(much, little));
}

// Returns false if a figure could not be measured.
bool Measure(const Growth& growth, const std::string& folder) {
  RunnerOptions options;
  options.peers = {growth.little, growth.much};
  options.metrics = growth.metrics;
  options.rounds = absl::GetFlag(FLAGS_rounds);
  options.effort = absl::GetFlag(FLAGS_effort);
  Runner runner(std::move(options), folder);
  const std::vector<Figure> figures = runner.Measure(growth.mode, Key::kEcdsa, kConnections);
  bool complete = true;
  for (size_t i = 0; i < growth.metrics.size(); ++i) {
    const Figure& little = figures[i];
    const Figure& much = figures[growth.metrics.size() + i];
    Print(little, much);
    complete = complete && little.failure.empty() && much.failure.empty();
  }
  return complete;
}

bool MeasureAll(const std::string& folder) {
  std::printf("CPU time in microseconds, medians; the ratio is the second beside the first.\n");
  bool complete = true;
  for (Mode mode : {Mode::kOffload, Mode::kPassthrough, Mode::kBridge}) {
    complete = Measure(OpenConnections(mode), folder) && complete;
  }
  complete = Measure(Routes(folder), folder) && complete;
  return Measure(Threads(), folder) && complete;
}

}  // namespace
}  // namespace trestle::bench

int main(int argc, char** argv) {
  using namespace trestle::bench;
  trestle::examples::ParseCommandLine(argc, argv, kUsage);
  PrepareToMeasure();
  const std::string folder = MakeFolder();
  const bool complete = MeasureAll(folder);
  std::filesystem::remove_all(folder);
  return complete ? 0 : 1;
}
