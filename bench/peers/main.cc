// Compares Trestle's example proxies with the other proxies installed on this machine.

#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "bench/peers/measurement.h"
#include "bench/peers/peer.h"
#include "bench/peers/process.h"
#include "bench/peers/report.h"
#include "bench/peers/runner.h"
#include "examples/support/program.h"

ABSL_FLAG(std::vector<std::string>, modes,
          (std::vector<std::string>{"offload", "passthrough", "bridge"}),
          "which of offload, passthrough, bridge");
ABSL_FLAG(std::vector<std::string>, keys, (std::vector<std::string>{"ecdsa", "rsa"}),
          "certificates: ecdsa (P-256), rsa (2048; handshakes only)");
ABSL_FLAG(std::vector<std::string>, connections, (std::vector<std::string>{"32"}),
          "connections at a time");
ABSL_FLAG(std::vector<std::string>, metrics, {},
          "which of full_handshake (X25519MLKEM768 offered, as browsers do), full_x25519, "
          "resumed_handshake, kept_request, bulk_down, bulk_up, idle_connection; default: all");
ABSL_FLAG(std::vector<std::string>, peers, {}, "only peers whose label begins so; default: all");
ABSL_FLAG(int, rounds, 5, "samples of each figure, taken in turns");
ABSL_FLAG(double, effort, 1, "multiplies the requests of each sample");
ABSL_FLAG(int, idle_connections, 1000, "connections held open for idle_connection");
ABSL_FLAG(bool, back_sessions, true, "bridges resume sessions with the backend");
ABSL_FLAG(std::vector<std::string>, peer, {},
          "a further peer by path, as LABEL=nginx:PATH or LABEL=haproxy:PATH; may be repeated. An "
          "nginx needs its stream module built in");
ABSL_FLAG(bool, json, false, "prints JSON instead of the table");
ABSL_FLAG(std::string, svg, "", "also writes a chart to this file");
ABSL_FLAG(std::string, examples, "examples", "folder of Trestle's example proxies");

namespace trestle::bench {
namespace {

constexpr char kUsage[] =
    "Measures what proxies cost in CPU time and memory: Trestle's example proxies, and nginx,\n"
    "haproxy, hitch, stunnel4 and sniproxy where they are installed. Same certificates, client\n"
    "and backend for all, one thread each, on a CPU of its own, loopback only, in turns. Installs\n"
    "nothing.\n\n"
    "  bazel run //bench/peers                              all of it, about ten minutes\n"
    "  bazel run //bench/peers -- --modes=offload --keys=ecdsa --rounds=3 --effort=0.5\n"
    "  bazel run //bench/peers -- --peer='nginx BoringSSL=nginx:/opt/nginx/sbin/nginx'";

bool Wanted(const std::vector<std::string>& wanted, const std::string& name) {
  for (const std::string& prefix : wanted) {
    if (absl::StartsWith(name, prefix)) return true;
  }
  return wanted.empty();
}

Peer PeerFromText(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  const std::string label(parts.first);
  absl::string_view program = parts.second;
  if (absl::ConsumePrefix(&program, "nginx:")) {
    return PeerAt(PeerKind::kNginx, std::string(program), label);
  }
  if (absl::ConsumePrefix(&program, "haproxy:")) {
    return PeerAt(PeerKind::kHaproxy, std::string(program), label);
  }
  std::fprintf(stderr, "--peer=%s is not of the form LABEL=nginx:PATH or LABEL=haproxy:PATH\n",
               std::string(text).c_str());
  std::exit(1);
}

// Joins the values of --peer, because a repeated flag replaces its first value.
std::vector<std::string> JoinPeers(int argc, char** argv) {
  constexpr absl::string_view kFlag = "--peer=";
  std::vector<std::string> arguments;
  std::string peers;
  for (int i = 0; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (absl::ConsumePrefix(&argument, kFlag)) {
      absl::StrAppend(&peers, peers.empty() ? "" : ",", argument);
    } else {
      arguments.emplace_back(argument);
    }
  }
  if (!peers.empty()) arguments.push_back(absl::StrCat(kFlag, peers));
  return arguments;
}

std::vector<Peer> PeersFromFlags() {
  std::vector<Peer> peers = {{PeerKind::kTrestle, kTrestleLabel, absl::GetFlag(FLAGS_examples)}};
  for (Peer& peer : FindInstalledPeers()) peers.push_back(std::move(peer));
  for (const std::string& peer : absl::GetFlag(FLAGS_peer)) peers.push_back(PeerFromText(peer));
  std::vector<Peer> wanted;
  for (Peer& peer : peers) {
    if (Wanted(absl::GetFlag(FLAGS_peers), peer.label)) wanted.push_back(std::move(peer));
  }
  return wanted;
}

// Omits metrics without meaning: passthrough has no keys or sessions, and the key matters to
// handshakes only.
std::vector<Metric> MetricsFor(Mode mode, Key key) {
  std::vector<Metric> metrics;
  for (Metric metric : kAllMetrics) {
    if (mode == Mode::kPassthrough && metric == Metric::kResumed) continue;
    if (key == Key::kRsa && !IsHandshake(metric)) continue;
    if (Wanted(absl::GetFlag(FLAGS_metrics), MetricName(metric))) metrics.push_back(metric);
  }
  return metrics;
}

std::vector<Figure> MeasureAll(const std::vector<Peer>& peers, const std::string& folder) {
  std::vector<Figure> figures;
  for (Mode mode : {Mode::kOffload, Mode::kPassthrough, Mode::kBridge}) {
    if (!Wanted(absl::GetFlag(FLAGS_modes), ModeName(mode))) continue;
    for (Key key : {Key::kEcdsa, Key::kRsa}) {
      if (!Wanted(absl::GetFlag(FLAGS_keys), key == Key::kRsa ? "rsa" : "ecdsa")) continue;
      if (mode == Mode::kPassthrough && key == Key::kRsa) continue;
      RunnerOptions options;
      options.peers = peers;
      options.metrics = MetricsFor(mode, key);
      options.rounds = absl::GetFlag(FLAGS_rounds);
      options.effort = absl::GetFlag(FLAGS_effort);
      options.idle_connections = absl::GetFlag(FLAGS_idle_connections);
      options.back_sessions = absl::GetFlag(FLAGS_back_sessions);
      if (options.metrics.empty()) continue;
      Runner runner(options, folder);
      for (const std::string& text : absl::GetFlag(FLAGS_connections)) {
        int connections = 0;
        CHECK(absl::SimpleAtoi(text, &connections) && connections > 0) << "--connections=" << text;
        for (Figure& figure : runner.Measure(mode, key, connections)) {
          figures.push_back(std::move(figure));
        }
      }
    }
  }
  return figures;
}

void WriteChart(const std::vector<Figure>& figures) {
  std::filesystem::path path = absl::GetFlag(FLAGS_svg);
  if (path.empty()) return;
  // `bazel run` starts programs in another directory.
  const char* started_from = getenv("BUILD_WORKING_DIRECTORY");
  if (path.is_relative() && started_from != nullptr) path = started_from / path;
  std::ofstream(path) << AsSvg(figures);
}

}  // namespace
}  // namespace trestle::bench

int main(int argc, char** argv) {
  using namespace trestle::bench;
  std::vector<std::string> arguments = JoinPeers(argc, argv);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  trestle::examples::ParseCommandLine(static_cast<int>(arguments.size()), pointers.data(), kUsage);
  PrepareToMeasure();
  const std::string folder = MakeFolder();
  const std::vector<Figure> figures = MeasureAll(PeersFromFlags(), folder);
  std::filesystem::remove_all(folder);
  std::fputs((absl::GetFlag(FLAGS_json) ? AsJson(figures) : AsTable(figures)).c_str(), stdout);
  WriteChart(figures);
  return figures.empty() ? 1 : 0;
}
