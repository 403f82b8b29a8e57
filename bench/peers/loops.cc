// Measures what a foreign loop costs: the blocks nested in Asio's and libuv's loops, and on Asio's
// own sockets, beside Trestle's own EpollLoop.

#include <cstdio>
#include <filesystem>
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
ABSL_FLAG(std::string, examples, "examples", "folder of Trestle's example programs");

namespace trestle::bench {
namespace {

constexpr char kUsage[] =
    "Measures the cost of foreign loops: the program's own CPU time, user and system, for one "
    "unit\n"
    "of work, beside the same blocks on EpollLoop, in turns. The limit of the ratios is 1.10 for "
    "a\n"
    "nested loop and 1.25 for Asio's own sockets.\n\n"
    "  bazel run //bench/peers:loops                  about ten minutes\n"
    "  bazel run //bench/peers:loops -- --rounds=3 --effort=0.5";

constexpr int kConnections = 32;

// The first is what the others are compared with.
std::vector<Peer> Peers() {
  const std::string folder = absl::GetFlag(FLAGS_examples);
  std::vector<Peer> peers = {{PeerKind::kTrestle, "EpollLoop", folder}};
  peers.push_back({PeerKind::kHost, "nested in Asio", folder + "/asio_host"});
  peers.push_back({PeerKind::kHost, "nested in libuv", folder + "/libuv_host"});
  peers.push_back({PeerKind::kHost, "Asio's own sockets", folder + "/asio_native_host"});
  return peers;
}

// Returns false if a figure could not be measured.
bool Print(const Figure& figure, const Figure& epoll) {
  if (!figure.failure.empty() || !epoll.failure.empty()) {
    std::printf("%-12s %-15s %-20s no figure: %s%s\n", ModeName(figure.mode),
                MetricName(figure.metric), figure.peer.c_str(), figure.failure.c_str(),
                epoll.failure.c_str());
    return false;
  }
  std::printf("%-12s %-15s %-20s %8.2f %-4s %6.2f\n", ModeName(figure.mode),
              MetricName(figure.metric), figure.peer.c_str(), figure.Median(),
              MetricUnit(figure.metric), MedianRatio(figure, epoll));
  return true;
}

bool MeasureAll(const std::string& folder) {
  RunnerOptions options;
  options.peers = Peers();
  options.metrics = {Metric::kFull, Metric::kKept, Metric::kDown, Metric::kUp};
  options.rounds = absl::GetFlag(FLAGS_rounds);
  options.effort = absl::GetFlag(FLAGS_effort);
  const size_t peers = options.peers.size();
  const size_t metrics = options.metrics.size();
  Runner runner(std::move(options), folder);
  std::printf("CPU time, medians; the ratio is to EpollLoop.\n");
  bool complete = true;
  for (const Mode mode : {Mode::kOffload, Mode::kPassthrough, Mode::kBridge}) {
    const std::vector<Figure> figures = runner.Measure(mode, Key::kEcdsa, kConnections);
    for (size_t metric = 0; metric < metrics; ++metric) {
      for (size_t peer = 0; peer < peers; ++peer) {
        complete = Print(figures[peer * metrics + metric], figures[metric]) && complete;
      }
    }
    std::fflush(stdout);
  }
  return complete;
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
