// Cost of a connection through TlsBridge: front handshake, dial, back handshake, and the close of
// both legs. Sessions on the back leg are resumed or not. Each is compared with BoringSSL alone,
// which makes the same two handshakes on memory BIOs. The client's and the backend's own work is
// not counted.
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/time/clock.h"
#include "bench/support/bare_tls.h"
#include "bench/support/bench_main.h"
#include "bench/support/hot_loop.h"
#include "bench/support/measure.h"
#include "bench/support/wire.h"
#include "benchmark/benchmark.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/tls/tls_parameters.h"

namespace trestle::bench {
namespace {

constexpr char kHowToRead[] =
    "One row is one TLS 1.3 connection, both legs, from accept to close, without data. The front\n"
    "handshake is full, with an ECDSA certificate; the row names the backend's certificate, and\n"
    "the groups that the backend knows. Medians, in turns:\n"
    "  full_us, resumed_us   TlsBridge: back handshakes full / resumed\n"
    "  resumed_ratio         resumed beside full; what is below 1 was saved\n"
    "  bare_full_us, bare_resumed_us   the same two handshakes by BoringSSL alone\n"
    "  vs_bare, vs_bare_resumed        rate beside bare BoringSSL; 1.0 would cost nothing extra\n"
    "The bridge offers X25519MLKEM768, X25519 and P-256, as it does by default; so does bare.";

struct Case {
  const char* name;
  KeyType backend_key;
  std::vector<TlsGroup> backend_groups;
};

const std::vector<Case>& Cases() {
  static const auto* const cases = new std::vector<Case>{
      {"ecdsa_p256/x25519mlkem768", KeyType::kEcdsa, DefaultGroups()},
      {"ecdsa_p256/x25519", KeyType::kEcdsa, {TlsGroup::kX25519, TlsGroup::kP256}},
      {"rsa_2048/x25519mlkem768", KeyType::kRsa, DefaultGroups()},
  };
  return *cases;
}

/// Certificates and contexts of one case. The peers use BoringSSL alone for every subject.
struct World {
  explicit World(const Case& wanted) : loop(absl::Now()), pki(absl::Now()) {
    testing::LeafSpec leaf;
    leaf.dns_names = {"bench.test"};
    front_credential = pki.IssueCredential(leaf);
    leaf.key_type = wanted.backend_key;
    backend = NewBareServerContext(*pki.IssueCredential(leaf), wanted.backend_groups);
    client = NewBareClientContext({TlsGroup::kX25519});
    front_bare = NewBareServerContext(*front_credential, {TlsGroup::kX25519});
    // Verifies as Trestle does: chain, purpose and name.
    back_bare = NewBareVerifyingContext(DefaultGroups(), pki.ca_pem());
  }

  HotLoop loop;
  testing::TestPki pki;
  std::shared_ptr<const Credential> front_credential;
  bssl::UniquePtr<SSL_CTX> client;
  bssl::UniquePtr<SSL_CTX> backend;
  bssl::UniquePtr<SSL_CTX> front_bare;
  bssl::UniquePtr<SSL_CTX> back_bare;
};

/// Both ends of a bridge, from the side of the client and the backend.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual void Accept() = 0;
  virtual void FromClient(ByteView bytes) = 0;
  virtual void FromBackend(ByteView bytes) = 0;
  virtual std::string TakeForClient() = 0;
  virtual std::string TakeForBackend() = 0;
  virtual void End(ByteView client_close, ByteView backend_close) = 0;
  virtual bool resumed() const = 0;
};

class BareBridge final : public Subject {
 public:
  BareBridge(World& world, bool resume) : world_(world), resume_(resume) {}

  void Accept() override {
    front_ = std::make_unique<BarePeer>(BarePeer::Server(world_.front_bare.get()));
  }
  void FromClient(ByteView bytes) override {
    front_->Receive(bytes);
    if (!front_->Handshake() || back_ != nullptr) return;
    back_ = std::make_unique<BarePeer>(
        BarePeer::Client(world_.back_bare.get(), resume_ ? session_.get() : nullptr));
    CHECK(SSL_set1_host(back_->native(), "bench.test"));
    back_->Handshake();
  }
  void FromBackend(ByteView bytes) override {
    back_->Receive(bytes);
    if (!back_->Handshake()) return;
    uint8_t none[1];
    back_->ReadAll(none);  // The tickets.
  }
  std::string TakeForClient() override { return Take(front_.get()); }
  std::string TakeForBackend() override { return Take(back_.get()); }
  void End(ByteView /*client_close*/, ByteView /*backend_close*/) override {
    resumed_ = SSL_session_reused(back_->native()) == 1;
    session_ = back_->session();
    front_->Close();
    back_->Close();
    front_.reset();
    back_.reset();
  }
  bool resumed() const override { return resumed_; }

 private:
  static std::string Take(BarePeer* peer) {
    if (peer == nullptr) return "";
    std::string bytes(AsText(peer->sent()));
    peer->ClearSent();
    return bytes;
  }

  World& world_;
  const bool resume_;
  std::unique_ptr<BarePeer> front_;
  std::unique_ptr<BarePeer> back_;
  bssl::UniquePtr<SSL_SESSION> session_;
  bool resumed_ = false;
};

class TrestleBridge final : public Subject, private ConnectionObserver {
 public:
  TrestleBridge(World& world, bool resume)
      : loop_(world.loop), front_(loop_), back_(loop_), dialer_(loop_, back_) {
    ServerTlsOptions front;
    front.certificates = *CertificateStore::Create({world.front_credential}, loop_.Now());
    front.parameters.groups = {TlsGroup::kX25519, TlsGroup::kP256};
    ClientTlsOptions back;
    back.ca_pem = world.pki.ca_pem();
    TlsBridgeOptions options;
    options.front_tls = *ServerTlsConfig::Create(std::move(front));
    options.back_tls = *ClientTlsConfig::Create(std::move(back));
    options.backend = *Endpoint::Parse("192.0.2.1:443");
    options.backend_name = "bench.test";
    if (!resume) options.back_sessions.max_sessions = 0;
    bridge_ = *TlsBridge::Create(loop_, dialer_, std::move(options), this);
  }

  void Accept() override { bridge_->Serve(front_.NewEnd()); }
  void FromClient(ByteView bytes) override {
    front_.Deliver(bytes);
    loop_.RunReady();
  }
  void FromBackend(ByteView bytes) override {
    back_.Deliver(bytes);
    loop_.RunReady();
  }
  std::string TakeForClient() override { return std::exchange(front_.sent(), {}); }
  std::string TakeForBackend() override { return std::exchange(back_.sent(), {}); }
  void End(ByteView client_close, ByteView backend_close) override {
    front_.Deliver(client_close);
    front_.DeliverEnd();
    back_.Deliver(backend_close);
    back_.DeliverEnd();
    loop_.RunReady();
    CHECK_EQ(bridge_->open_connections(), 0u);
    front_.sent().clear();
    back_.sent().clear();
  }
  bool resumed() const override { return resumed_; }

 private:
  void OnClosed(const ConnectionReport& report) override {
    CHECK(report.ok()) << ErrorText(report.error);
    resumed_ = report.back.tls->resumed;
  }

  HotLoop& loop_;
  Wire front_;
  Wire back_;
  WireDialer dialer_;
  std::unique_ptr<TlsBridge> bridge_;
  bool resumed_ = false;
};

/// Passes the bytes of `subject` to each peer, and the peers' bytes back. Measures the work of
/// `subject`.
class Courier final {
 public:
  Courier(Subject& subject, World& world)
      : subject_(subject),
        client_(BarePeer::Client(world.client.get())),
        backend_(BarePeer::Server(world.backend.get())) {}

  Stopwatch Run() {
    Measured([this] { subject_.Accept(); });
    client_.Handshake();
    bool moving = true;
    while (moving) {
      const bool client_moved = Carry(client_, /*is_client=*/true);
      moving = Carry(backend_, /*is_client=*/false) || client_moved;
    }
    // After the tickets, because a client that is closing reads none.
    client_.Close();
    backend_.Close();
    Measured([this] { subject_.End(client_.sent(), backend_.sent()); });
    return watch_;
  }

 private:
  template <typename Work>
  void Measured(Work work) {
    watch_.Start();
    work();
    watch_.Stop();
  }

  bool Carry(BarePeer& peer, bool is_client) {
    const std::string from_peer(AsText(peer.sent()));
    peer.ClearSent();
    if (!from_peer.empty()) {
      Measured([&] {
        if (is_client) return subject_.FromClient(AsBytes(from_peer));
        subject_.FromBackend(AsBytes(from_peer));
      });
    }
    const std::string to_peer = is_client ? subject_.TakeForClient() : subject_.TakeForBackend();
    if (!to_peer.empty()) {
      peer.Receive(AsBytes(to_peer));
      peer.Handshake();
    }
    return !from_peer.empty() || !to_peer.empty();
  }

  Subject& subject_;
  BarePeer client_;
  BarePeer backend_;
  Stopwatch watch_;
};

void RunCase(benchmark::State& state, const Case& wanted) {
  World world(wanted);
  TrestleBridge full(world, false);
  TrestleBridge resumed(world, true);
  BareBridge bare_full(world, false);
  BareBridge bare_resumed(world, true);
  struct Row {
    Subject& subject;
    bool resumes;
    Samples samples;
  };
  Row rows[] = {
      {full, false, {}}, {resumed, true, {}}, {bare_full, false, {}}, {bare_resumed, true, {}}};
  for (Row& row : rows) Courier(row.subject, world).Run();  // Warms up, and obtains sessions.

  for (auto _ : state) {
    for (Row& row : rows) {
      const Stopwatch watch = Courier(row.subject, world).Run();
      CHECK_EQ(row.subject.resumed(), row.resumes);
      row.samples.Add(watch);
      if (&row == &rows[1]) state.SetIterationTime(watch.seconds());
    }
  }
  state.SetItemsProcessed(state.iterations());
  const double full_us = rows[0].samples.MedianSeconds() * 1e6;
  const double resumed_us = rows[1].samples.MedianSeconds() * 1e6;
  const double bare_full_us = rows[2].samples.MedianSeconds() * 1e6;
  const double bare_resumed_us = rows[3].samples.MedianSeconds() * 1e6;
  state.counters["full_us"] = full_us;
  state.counters["resumed_us"] = resumed_us;
  state.counters["resumed_ratio"] = resumed_us / full_us;
  state.counters["bare_full_us"] = bare_full_us;
  state.counters["bare_resumed_us"] = bare_resumed_us;
  state.counters["vs_bare"] = bare_full_us / full_us;
  state.counters["vs_bare_resumed"] = bare_resumed_us / resumed_us;
  state.counters["allocs"] = rows[0].samples.MeanAllocations();
  state.counters["resumed_allocs"] = rows[1].samples.MeanAllocations();
}

}  // namespace
}  // namespace trestle::bench

int main(int argc, char** argv) {
  using namespace trestle::bench;
  for (const Case& wanted : Cases()) {
    benchmark::RegisterBenchmark((std::string("bridge/") + wanted.name).c_str(),
                                 [&wanted](benchmark::State& state) { RunCase(state, wanted); })
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
  }
  return RunBenchmarks(argc, argv, kHowToRead);
}
