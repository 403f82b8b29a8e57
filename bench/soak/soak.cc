// Runs the example proxies for a long time under everything that happens to them: reloads, backends
// that die and return, clients that reset, stall or send garbage. No request of a well-behaved
// client may fail, and memory, descriptors and threads must stay flat.

#include <openssl/ssl.h>
#include <signal.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bench/peers/backend.h"
#include "bench/peers/load.h"
#include "bench/peers/tls_socket.h"
#include "bench/soak/rough_clients.h"
#include "bench/soak/samples.h"
#include "bench/soak/site.h"
#include "examples/support/program.h"
#include "lib/tls/engine/tls_internals.h"
#include "trestle/tls/credential.h"

ABSL_FLAG(absl::Duration, time, absl::Minutes(30), "how long the soak runs");
ABSL_FLAG(absl::Duration, round, absl::Seconds(10),
          "length of a round: load with two reloads, then a sample without clients");
ABSL_FLAG(absl::Duration, pause, absl::Seconds(3),
          "how long all proxies are stopped (SIGSTOP), in every sixth round");
ABSL_FLAG(uint64_t, seed, 1, "decides what the badly behaved clients do");
ABSL_FLAG(double, max_growth_kib, 2048, "how much memory a proxy may gain after the first quarter");
ABSL_FLAG(std::string, examples, "examples", "folder of Trestle's example proxies");
ABSL_FLAG(std::string, backend_folder, "", "serves as a backend with the certificate in a folder");
ABSL_FLAG(int, clear_port, 0, "with --backend_folder: port for clear text");
ABSL_FLAG(int, tls_port, 0, "with --backend_folder: port for TLS");

namespace trestle::bench {
namespace {

constexpr char kUsage[] =
    "Runs Trestle's example proxies for a long time, with reloads, backends that die and return, "
    "and\n"
    "badly behaved clients. The last line is \"N requests, N failed\". The exit status is 1 if a\n"
    "request failed that should not have, or memory, descriptors or threads grew.\n\n"
    "  bazel run //bench/soak                      half an hour\n"
    "  bazel run //bench/soak -- --time=2m";

constexpr int kConnections = 8;
constexpr absl::Duration kSettleTime = absl::Seconds(5);

std::string ReadText(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void Serve(const std::string& folder) {
  const bssl::UniquePtr<SSL_CTX> tls(SSL_CTX_new(TLS_with_buffers_method()));
  const auto credential =
      Credential::FromPem(ReadText(folder + "/front.pem"), ReadText(folder + "/front.key"));
  CHECK(credential.ok()) << credential.status();
  CHECK(SSL_CTX_add1_credential(tls.get(), TlsInternals::Native(**credential)));
  uint16_t clear_port = static_cast<uint16_t>(absl::GetFlag(FLAGS_clear_port));
  uint16_t tls_port = static_cast<uint16_t>(absl::GetFlag(FLAGS_tls_port));
  OwnedFd clear = ListenOnLoopback(&clear_port);
  ServeBackend(std::move(clear), ListenOnLoopback(&tls_port), tls.get());
}

bssl::UniquePtr<SSL_CTX> ClientTls() {
  bssl::UniquePtr<SSL_CTX> tls(SSL_CTX_new(TLS_with_buffers_method()));
  SSL_CTX_set_custom_verify(tls.get(), SSL_VERIFY_PEER,
                            [](SSL*, uint8_t*) { return ssl_verify_ok; });
  return tls;
}

// What the well-behaved clients of one proxy did.
struct Tally {
  int requests = 0;
  int failed = 0;
  std::string first_failure;

  void Add(const LoadResult& result) {
    requests += result.responses + result.errors;
    failed += result.errors;
    if (first_failure.empty() && result.errors > 0) {
      first_failure = absl::StrCat(result.first_error, " (", result.errors, " of ",
                                   result.responses + result.errors, ")");
    }
  }
};

// Makes requests of all kinds until `end`: new connections, resumed ones, kept ones, bulk both
// ways.
void MakeRequests(uint16_t port, absl::Time end, Tally& tally) {
  const bssl::UniquePtr<SSL_CTX> tls = ClientTls();
  LoadPlan plan;
  plan.port = port;
  plan.tls = tls.get();
  plan.connections = kConnections;
  LoadPlan renewed = plan;
  renewed.requests = 24;
  renewed.reconnect = true;
  LoadPlan resumed = renewed;
  resumed.resume = true;
  LoadPlan kept = plan;
  kept.requests = 200;
  LoadPlan down = plan;
  down.requests = kConnections;
  down.response_body_bytes = 1 << 20;
  LoadPlan up = plan;
  up.requests = kConnections;
  up.request_body_bytes = 1 << 20;
  while (absl::Now() < end) {
    for (const LoadPlan& next : {renewed, resumed, kept, down, up}) {
      tally.Add(Load(next).Run());
      absl::SleepFor(absl::Milliseconds(50));
    }
  }
}

class Soak final {
 public:
  Soak(const std::string& program, absl::Duration time)
      : site_(program, absl::GetFlag(FLAGS_examples)),
        time_(time),
        samples_(site_.proxies().size()),
        tallies_(site_.proxies().size()) {
    for (const SoakProxy& proxy : site_.proxies()) {
      idle_descriptors_.push_back(proxy.process->Descriptors());
    }
  }

  // Returns whether all is as it should be.
  bool Run() {
    const absl::Time end = start_ + time_;
    for (int round = 0; absl::Now() < end; ++round) {
      Round(round, std::min(end, absl::Now() + absl::GetFlag(FLAGS_round)));
      Print();
    }
    std::fprintf(stderr, "\n");
    return Judge();
  }

 private:
  // In every second round one backend is dead. It dies and returns while no client is connected, so
  // that no request has an excuse.
  void Round(int round, absl::Time end) {
    if (round % 2 == 1) site_.KillBackend();
    if (round % 2 == 0 && round > 0) site_.RestartBackend();
    PutUnderLoad(round, end);
    for (size_t i = 0; i < samples_.size(); ++i) {
      const Process& process = *site_.proxies()[i].process;
      AwaitIdle(process, idle_descriptors_[i]);
      samples_[i].Take(process, absl::ToDoubleMinutes(absl::Now() - start_));
    }
  }

  void PutUnderLoad(int round, absl::Time end) {
    const bssl::UniquePtr<SSL_CTX> tls = ClientTls();
    std::vector<std::unique_ptr<RoughClients>> rough;
    std::vector<std::thread> clients;
    const auto seed = absl::GetFlag(FLAGS_seed) + static_cast<uint64_t>(round) * 1000;
    for (size_t i = 0; i < tallies_.size(); ++i) {
      const uint16_t port = site_.proxies()[i].port;
      rough.push_back(std::make_unique<RoughClients>(port, tls.get(), seed + i));
      clients.emplace_back(MakeRequests, port, end, std::ref(tallies_[i]));
    }
    const absl::Duration half = (end - absl::Now()) / 2;
    for (int i = 0; i < 2; ++i) {
      absl::SleepFor(half * (i == 0 ? 0.5 : 1.0));
      site_.Reload();
      ++reloads_;
      if (i == 0 && round % 6 == 3) Pause();
    }
    for (std::thread& thread : clients) thread.join();
    for (const auto& some : rough) rough_connections_ += some->connections();
  }

  // Shorter than the limits in time, so no connection may be cut. After a longer stop, a handshake
  // that needs another answer of its peer is over its limit.
  void Pause() const {
    for (const SoakProxy& proxy : site_.proxies()) proxy.process->Signal(SIGSTOP);
    absl::SleepFor(absl::GetFlag(FLAGS_pause));
    for (const SoakProxy& proxy : site_.proxies()) proxy.process->Signal(SIGCONT);
  }

  // Connections of clients that left are closed soon, and pools keep some descriptors.
  static void AwaitIdle(const Process& process, int descriptors) {
    const absl::Time give_up = absl::Now() + kSettleTime;
    while (process.Descriptors() > descriptors && absl::Now() < give_up) {
      absl::SleepFor(absl::Milliseconds(100));
    }
  }

  int Sum(int Tally::*value) const {
    int sum = 0;
    for (const Tally& tally : tallies_) sum += tally.*value;
    return sum;
  }

  void Print() const {
    std::fprintf(stderr, "\r%.1f of %.1f minutes: %d requests, %d failed, %d reloads ",
                 absl::ToDoubleMinutes(absl::Now() - start_), absl::ToDoubleMinutes(time_),
                 Sum(&Tally::requests), Sum(&Tally::failed), reloads_);
  }

  bool Judge() {
    SoakBounds bounds;
    bounds.memory_kib = absl::GetFlag(FLAGS_max_growth_kib);
    bool good = Sum(&Tally::failed) == 0 && Sum(&Tally::requests) > 0;
    for (size_t i = 0; i < samples_.size(); ++i) {
      const std::string grown = samples_[i].Growth(bounds);
      good = good && grown.empty();
      std::printf("%s: %s.%s%s%s\n", ModeName(site_.proxies()[i].mode),
                  samples_[i].ToString().c_str(), grown.c_str(),
                  tallies_[i].failed > 0 ? " First failure: " : "",
                  tallies_[i].first_failure.c_str());
    }
    const int wanted = reloads_ * static_cast<int>(samples_.size());
    const int reported = site_.ReportedReloads();
    // A watched file may be loaded between its change and the signal, which then changes nothing.
    good = good && reported >= wanted;
    std::printf("%d of %d reloads were reported; %d badly behaved clients\n", reported, wanted,
                rough_connections_);
    if (!good) std::printf("the logs are in %s\n", site_.KeepFiles().c_str());
    std::printf("%d requests, %d failed\n", Sum(&Tally::requests), Sum(&Tally::failed));
    return good;
  }

  SoakSite site_;
  const absl::Time start_ = absl::Now();
  const absl::Duration time_;
  std::vector<Samples> samples_;
  std::vector<Tally> tallies_;
  std::vector<int> idle_descriptors_;
  int reloads_ = 0;
  int rough_connections_ = 0;
};

}  // namespace
}  // namespace trestle::bench

int main(int argc, char** argv) {
  using namespace trestle::bench;  // NOLINT(build/namespaces)
  trestle::examples::ParseCommandLine(argc, argv, kUsage);
  signal(SIGPIPE, SIG_IGN);
  const std::string folder = absl::GetFlag(FLAGS_backend_folder);
  if (!folder.empty()) Serve(folder);
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  return Soak(program, absl::GetFlag(FLAGS_time)).Run() ? 0 : 1;
}
