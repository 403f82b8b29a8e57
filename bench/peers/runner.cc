#include "bench/peers/runner.h"

#include <openssl/ssl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <utility>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/peers/load.h"
#include "bench/peers/process.h"
#include "bench/peers/tls_socket.h"
#include "lib/tls/engine/tls_internals.h"

namespace trestle::bench {
namespace {

// A proxy's work after the client's last response is part of the cost.
constexpr useconds_t kSettleMicroseconds = 50'000;
constexpr useconds_t kIdleSettleMicroseconds = 300'000;
constexpr uint64_t kBulkBytes = 16 << 20;  // Per request.

// TLS 1.3 for every peer.
bssl::UniquePtr<SSL_CTX> NewTls(const std::vector<uint16_t>& groups) {
  bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_with_buffers_method()));
  CHECK(SSL_CTX_set1_group_ids(context.get(), groups.data(), groups.size()));
  CHECK(SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION));
  return context;
}

// The requests of one sample, before the factor `effort`.
LoadPlan PlanFor(Metric metric, int connections) {
  LoadPlan plan;
  plan.connections = connections;
  switch (metric) {
    case Metric::kFull:
    case Metric::kFullX25519:
    case Metric::kResumed:
      plan.reconnect = true;
      plan.resume = metric == Metric::kResumed;
      plan.requests = 600;
      break;
    case Metric::kKept:
      plan.requests = 12000;
      break;
    case Metric::kDown:
      plan.connections = std::min(connections, 8);
      plan.requests = 16;
      plan.response_body_bytes = kBulkBytes;
      break;
    case Metric::kUp:
      plan.connections = std::min(connections, 8);
      plan.requests = 16;
      plan.request_body_bytes = kBulkBytes;
      break;
    case Metric::kIdle:
      break;
  }
  return plan;
}

bool IsBulk(Metric metric) { return metric == Metric::kDown || metric == Metric::kUp; }

// Requests on kept connections start after the handshakes, which are not part of the figure.
bool NeedsOpenConnections(Metric metric) { return metric == Metric::kKept || IsBulk(metric); }

std::string WhyNot(const LoadResult& result, const LoadPlan& plan) {
  if (result.errors > 0) {
    return absl::StrCat(result.errors, " of ", plan.requests, " failed: ", result.first_error);
  }
  // The first connections of a run have no ticket to offer.
  if (plan.resume && result.resumptions + plan.connections < result.handshakes) {
    return absl::StrCat("only ", result.resumptions, " of ", result.handshakes, " were resumed");
  }
  return "";
}

}  // namespace

/// A running peer.
class Runner::Contestant final {
 public:
  Contestant(const Peer& peer, const Site& site)
      : peer_(peer),
        site_(site),
        process_(SetUp(peer, site), absl::StrCat(site.folder, "/", site.listen_port, ".log"),
                 peer.pinned),
        ready_(process_.AwaitPort(site.listen_port)) {}

  const Peer& peer() const { return peer_; }
  uint16_t port() const { return site_.listen_port; }
  const Process& process() const { return process_; }
  bool ready() const { return ready_; }
  std::string WhyNotReady() const {
    std::ifstream log(absl::StrCat(site_.folder, "/", site_.listen_port, ".log"));
    std::string line;
    std::string last;
    while (std::getline(log, line)) last = line.empty() ? last : line;
    return absl::StrCat("did not start: ", last);
  }

 private:
  const Peer peer_;
  const Site site_;
  Process process_;
  const bool ready_;
};

Runner::Runner(RunnerOptions options, std::string folder)
    : options_(std::move(options)),
      folder_(std::move(folder)),
      client_tls_(NewTls({SSL_GROUP_X25519_MLKEM768, SSL_GROUP_X25519})),
      classic_tls_(NewTls({SSL_GROUP_X25519})),
      backend_tls_(NewTls({SSL_GROUP_X25519_MLKEM768, SSL_GROUP_X25519})) {
  const testing::TestPki pki(absl::Now());
  testing::LeafSpec leaf;
  leaf.dns_names = {kServerName};
  const testing::PemPair ecdsa = pki.Issue(leaf);
  WriteCertificates(Key::kEcdsa, ecdsa);
  leaf.key_type = KeyType::kRsa;
  WriteCertificates(Key::kRsa, pki.Issue(leaf));
  std::ofstream(folder_ + "/ca.pem") << pki.ca_pem();

  for (SSL_CTX* client : {client_tls_.get(), classic_tls_.get()}) {
    SSL_CTX_set_custom_verify(client, SSL_VERIFY_PEER,
                              [](SSL*, uint8_t*) { return ssl_verify_ok; });
  }
  const auto credential = Credential::FromPem(ecdsa.chain, ecdsa.key);
  CHECK(credential.ok()) << credential.status();
  CHECK(SSL_CTX_add1_credential(backend_tls_.get(), TlsInternals::Native(**credential)));
  backend_ = std::make_unique<Backend>(backend_tls_.get());
}

Runner::~Runner() = default;

void Runner::WriteCertificates(Key key, const testing::PemPair& pem) const {
  const std::string stem = absl::StrCat(folder_, key == Key::kRsa ? "/rsa" : "/ecdsa");
  std::ofstream(stem + ".chain.pem") << pem.chain;
  std::ofstream(stem + ".key.pem") << pem.key;
  std::ofstream(stem + ".both.pem") << pem.key << pem.chain;
}

Site Runner::NewSite(Mode mode, Key key) const {
  const std::string stem = absl::StrCat(folder_, key == Key::kRsa ? "/rsa" : "/ecdsa");
  Site site;
  site.folder = folder_;
  site.mode = mode;
  site.listen_port = FreePort();
  site.backend_port = mode == Mode::kOffload ? backend_->clear_port() : backend_->tls_port();
  site.chain_file = stem + ".chain.pem";
  site.key_file = stem + ".key.pem";
  site.combined_file = stem + ".both.pem";
  site.ca_file = folder_ + "/ca.pem";
  site.back_sessions = options_.back_sessions;
  return site;
}

std::vector<Figure> Runner::Measure(Mode mode, Key key, int connections) {
  std::vector<std::unique_ptr<Contestant>> contestants;
  std::vector<Figure> figures;
  for (const Peer& peer : options_.peers) {
    if (!Supports(peer, mode)) continue;
    contestants.push_back(std::make_unique<Contestant>(peer, NewSite(mode, key)));
    const Contestant& contestant = *contestants.back();
    for (Metric metric : options_.metrics) {
      figures.push_back({mode, key, connections, metric, peer.label, {}, {}});
      if (!contestant.ready()) figures.back().failure = contestant.WhyNotReady();
    }
  }
  for (int round = 0; round < options_.rounds; ++round) {
    for (size_t m = 0; m < options_.metrics.size(); ++m) {
      for (size_t turn = 0; turn < contestants.size(); ++turn) {
        // Each round starts with another peer, because the first and the last position affect the
        // result.
        const size_t i = (turn + static_cast<size_t>(round)) % contestants.size();
        TakeSample(*contestants[i], figures[i * options_.metrics.size() + m]);
      }
    }
    std::fprintf(stderr, "\r%s, %s, %d connections: round %d of %d ", ModeName(mode), KeyName(key),
                 connections, round + 1, options_.rounds);
  }
  std::fprintf(stderr, "\n");
  return figures;
}

void Runner::TakeSample(const Contestant& contestant, Figure& figure) const {
  if (!figure.failure.empty()) return;
  const double sample = figure.metric == Metric::kIdle ? SampleIdle(contestant, figure)
                                                       : SampleCpu(contestant, figure);
  if (figure.failure.empty()) figure.samples.push_back(sample);
}

double Runner::SampleCpu(const Contestant& contestant, Figure& figure) const {
  LoadPlan plan = PlanFor(figure.metric, figure.connections);
  plan.requests = std::max(static_cast<int>(plan.requests * options_.effort), plan.connections);
  plan.port = contestant.port();
  plan.tls = figure.metric == Metric::kFullX25519 ? classic_tls_.get() : client_tls_.get();
  const auto run = [&](Load& load, const LoadPlan& what) {
    const LoadResult result = load.Run();
    if (figure.failure.empty()) figure.failure = WhyNot(result, what);
    figure.without_pq = figure.metric == Metric::kFull && result.post_quantum == 0;
  };

  LoadPlan idle = plan;
  idle.reconnect = false;
  idle.request_body_bytes = 0;
  idle.connections = contestant.peer().open_connections;
  Load others(idle);
  const LoadResult opened = others.Open();
  if (figure.failure.empty()) figure.failure = WhyNot(opened, idle);

  double before = contestant.process().CpuSeconds();
  Load load(plan);
  if (NeedsOpenConnections(figure.metric)) {
    load.Open();
    before = contestant.process().CpuSeconds();
  }
  run(load, plan);
  usleep(kSettleMicroseconds);
  const double seconds = contestant.process().CpuSeconds() - before;
  if (!IsBulk(figure.metric)) return seconds / plan.requests * 1e6;
  return seconds / (static_cast<double>(kBulkBytes) * plan.requests) * 1e9;
}

// Runs in its own process: memory that busier connections left behind would hide the memory of idle
// ones.
double Runner::SampleIdle(const Contestant& contestant, Figure& figure) const {
  const Contestant fresh(contestant.peer(), NewSite(figure.mode, figure.key));
  if (!fresh.ready()) figure.failure = fresh.WhyNotReady();
  LoadPlan plan = PlanFor(Metric::kKept, 1);
  plan.requests = 10;
  plan.port = fresh.port();
  plan.tls = client_tls_.get();
  Load warm_up(plan);
  if (figure.failure.empty()) figure.failure = WhyNot(warm_up.Run(), plan);
  if (!figure.failure.empty()) return 0;

  const double before = fresh.process().PssKib();
  plan.requests = plan.connections = options_.idle_connections;
  Load load(plan);
  figure.failure = WhyNot(load.Run(), plan);
  usleep(kIdleSettleMicroseconds);
  return (fresh.process().PssKib() - before) / plan.connections;
}

}  // namespace trestle::bench
