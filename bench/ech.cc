// The cost of encrypted hellos for a router (ECH split mode): a passthrough connection whose hello
// it opens, beside one whose hello is in clear. Also the HPKE part alone, and hellos that only look
// encrypted. The client's and the backend's own work is not counted, but for `whole_`.
#include <openssl/err.h>
#include <openssl/hpke.h>
#include <openssl/ssl.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/escaping.h"
#include "absl/time/clock.h"
#include "bench/support/bare_tls.h"
#include "bench/support/bench_main.h"
#include "bench/support/hot_loop.h"
#include "bench/support/measure.h"
#include "bench/support/wire.h"
#include "benchmark/benchmark.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/ech_key_opener.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/tls/ech_pairs.h"
#include "trestle/tls/tls_parameters.h"

namespace trestle::bench {
namespace {

constexpr char kHowToRead[] =
    "ech: one TLS 1.3 passthrough connection, from accept to close, without data. Medians, in\n"
    "turns:\n"
    "  clear_us, ech_us        the router's work, with the hello in clear / encrypted\n"
    "  extra_us, ratio         the difference, and the one beside the other\n"
    "  hpke_us                 BoringSSL's HPKE alone: key agreement and decryption\n"
    "  whole_clear_us, whole_ech_us   with the work of client and backend\n"
    "flood: the router's work for a hello that looks encrypted, beside one in clear:\n"
    "  unknown_us              no key has its config id, as 255 of 256 of GREASE\n"
    "  undecrypted_us          a key has the id, and doesn't decrypt it\n"
    "  over_budget_us          the same over the budget";

constexpr char kHidden[] = "hidden.test";
constexpr char kPublic[] = "public.test";

// Keys, certificate and bare peers.
struct World {
  World() : loop(absl::Now()), pki(absl::Now()) {
    EchPairOptions pair;
    pair.public_name = kPublic;
    keys = *EchKeys::FromPem(*MakeEchPair(pair));
    CHECK(absl::Base64Unescape(keys->PublishedConfigs(), &configs));
    testing::LeafSpec leaf;
    leaf.dns_names = {kHidden};
    backend = NewBareServerContext(*pki.IssueCredential(leaf), {TlsGroup::kX25519});
    client = NewBareClientContext({TlsGroup::kX25519});
  }

  HotLoop loop;
  testing::TestPki pki;
  std::shared_ptr<EchKeys> keys;
  std::string configs;
  bssl::UniquePtr<SSL_CTX> backend;
  bssl::UniquePtr<SSL_CTX> client;
};

// A router between two wires.
class Subject {
 public:
  Subject(World& world, std::shared_ptr<EchOpener> opener)
      : loop_(world.loop), front_(loop_), back_(loop_), dialer_(loop_, back_) {
    SniPassthroughRouterOptions options;
    const Endpoint endpoint = *Endpoint::Parse("192.0.2.1:443");
    options.routes = *RouteTable::Create({{kHidden, endpoint}, {kPublic, endpoint}});
    options.ech = std::move(opener);
    router_ = *SniPassthroughRouter::Create(loop_, dialer_, std::move(options));
  }

  void Accept() { router_->Serve(front_.NewEnd()); }
  void FromClient(ByteView bytes) { Deliver(front_, bytes); }
  void FromBackend(ByteView bytes) { Deliver(back_, bytes); }
  std::string TakeForClient() { return std::exchange(front_.sent(), {}); }
  std::string TakeForBackend() { return std::exchange(back_.sent(), {}); }
  void End() {
    front_.DeliverEnd();
    back_.DeliverEnd();
    loop_.RunReady();
    CHECK_EQ(router_->open_connections(), 0u);
    front_.sent().clear();
    back_.sent().clear();
  }

 private:
  void Deliver(Wire& wire, ByteView bytes) {
    wire.Deliver(bytes);
    loop_.RunReady();
  }

  HotLoop& loop_;
  Wire front_;
  Wire back_;
  WireDialer dialer_;
  std::unique_ptr<SniPassthroughRouter> router_;
};

// One connection between bare peers, carried through `subject`.
class Courier {
 public:
  Courier(Subject& subject, World& world, bool with_ech)
      : subject_(subject),
        client_(BarePeer::Client(world.client.get())),
        backend_(BarePeer::Server(world.backend.get())) {
    CHECK(SSL_set_tlsext_host_name(client_.native(), kHidden));
    if (!with_ech) return;
    const ByteView configs = AsBytes(world.configs);
    CHECK(SSL_set1_ech_config_list(client_.native(), configs.data(), configs.size()));
  }

  // Returns what the router did; `whole` gets what all three did.
  Stopwatch Run(Stopwatch& whole) {
    whole.Start();
    Measured([this] { subject_.Accept(); });
    client_.Handshake();
    while (Carry()) {
    }
    client_.Close();
    backend_.Close();
    Measured([this] {
      subject_.FromClient(client_.sent());
      subject_.FromBackend(backend_.sent());
      subject_.End();
    });
    whole.Stop();
    return watch_;
  }

  bool ech_accepted() const { return SSL_ech_accepted(client_.native()) == 1; }

 private:
  template <typename Work>
  void Measured(Work work) {
    watch_.Start();
    work();
    watch_.Stop();
  }

  // Returns whether anything moved.
  bool Carry() {
    const std::string from_client(AsText(client_.sent()));
    const std::string from_backend(AsText(backend_.sent()));
    client_.ClearSent();
    backend_.ClearSent();
    Measured([&] {
      if (!from_client.empty()) subject_.FromClient(AsBytes(from_client));
      if (!from_backend.empty()) subject_.FromBackend(AsBytes(from_backend));
    });
    const std::string for_client = subject_.TakeForClient();
    const std::string for_backend = subject_.TakeForBackend();
    if (!for_client.empty()) Give(client_, for_client);
    if (!for_backend.empty()) Give(backend_, for_backend);
    return !for_client.empty() || !for_backend.empty();
  }

  static void Give(BarePeer& peer, const std::string& bytes) {
    peer.Receive(AsBytes(bytes));
    peer.Handshake();
  }

  Subject& subject_;
  BarePeer client_;
  BarePeer backend_;
  Stopwatch watch_;
};

constexpr EchBudget kNoBudget = {0, 0, 32, 64};

// Key agreement, key schedule and decryption of a payload of the usual size.
class Hpke {
 public:
  Hpke() {
    CHECK(EVP_HPKE_KEY_generate(key_.get(), EVP_hpke_x25519_hkdf_sha256()));
    std::array<uint8_t, EVP_HPKE_MAX_PUBLIC_KEY_LENGTH> public_key;
    size_t bytes = 0;
    CHECK(EVP_HPKE_KEY_public_key(key_.get(), public_key.data(), &bytes, public_key.size()));
    bssl::ScopedEVP_HPKE_CTX sender;
    CHECK(EVP_HPKE_CTX_setup_sender(sender.get(), enc_.data(), &enc_bytes_, enc_.size(),
                                    EVP_hpke_x25519_hkdf_sha256(), EVP_hpke_hkdf_sha256(),
                                    EVP_hpke_aes_128_gcm(), public_key.data(), bytes, kInfo,
                                    sizeof(kInfo)));
    const std::string plain(kPayloadBytes, 'x');
    sealed_.resize(kPayloadBytes + kOverheadBytes);
    CHECK(EVP_HPKE_CTX_seal(sender.get(), sealed_.data(), &sealed_bytes_, sealed_.size(),
                            AsBytes(plain).data(), plain.size(), AsBytes(aad_).data(),
                            aad_.size()));
  }

  void Open() {
    bssl::ScopedEVP_HPKE_CTX context;
    CHECK(EVP_HPKE_CTX_setup_recipient(context.get(), key_.get(), EVP_hpke_hkdf_sha256(),
                                       EVP_hpke_aes_128_gcm(), enc_.data(), enc_bytes_, kInfo,
                                       sizeof(kInfo)));
    std::array<uint8_t, kPayloadBytes + kOverheadBytes> plain;
    size_t bytes = 0;
    CHECK(EVP_HPKE_CTX_open(context.get(), plain.data(), &bytes, plain.size(), sealed_.data(),
                            sealed_bytes_, AsBytes(aad_).data(), aad_.size()));
  }

 private:
  static constexpr size_t kPayloadBytes = 300;
  static constexpr size_t kOverheadBytes = 64;
  static constexpr uint8_t kInfo[80] = {};

  bssl::ScopedEVP_HPKE_KEY key_;
  std::array<uint8_t, EVP_HPKE_MAX_ENC_LENGTH> enc_;
  size_t enc_bytes_ = 0;
  std::vector<uint8_t> sealed_;
  size_t sealed_bytes_ = 0;
  const std::string aad_ = std::string(600, 'a');
};

void RunConnections(benchmark::State& state) {
  World world;
  Subject plain(world, nullptr);
  Subject opening(world, *EchKeyOpener::Create(world.keys, kNoBudget));
  Hpke hpke;
  Samples clear, ech, whole_clear, whole_ech, hpke_alone;
  for (auto _ : state) {
    Stopwatch whole;
    clear.Add(Courier(plain, world, /*with_ech=*/false).Run(whole));
    whole_clear.Add(whole);
    whole = Stopwatch();
    Courier encrypted(opening, world, /*with_ech=*/true);
    const Stopwatch watch = encrypted.Run(whole);
    CHECK(encrypted.ech_accepted());
    ech.Add(watch);
    whole_ech.Add(whole);
    Stopwatch alone;
    alone.Start();
    hpke.Open();
    alone.Stop();
    hpke_alone.Add(alone);
    state.SetIterationTime(watch.seconds());
  }
  const auto us = [](const Samples& samples) { return samples.MedianSeconds() * 1e6; };
  state.counters["clear_us"] = us(clear);
  state.counters["ech_us"] = us(ech);
  state.counters["extra_us"] = us(ech) - us(clear);
  state.counters["ratio"] = us(ech) / us(clear);
  state.counters["hpke_us"] = us(hpke_alone);
  state.counters["whole_clear_us"] = us(whole_clear);
  state.counters["whole_ech_us"] = us(whole_ech);
  state.counters["allocs"] = ech.MeanAllocations();
}

// A connection that ends after its hello has reached the backend.
Stopwatch OneHello(Subject& subject, const std::string& hello) {
  Stopwatch watch;
  watch.Start();
  subject.Accept();
  subject.FromClient(AsBytes(hello));
  subject.End();
  watch.Stop();
  return watch;
}

std::string OuterHello(uint8_t config_id) {
  return testing::InRecords(
      testing::PostQuantumHello(kPublic).AddEchOuter(config_id, 239).Message());
}

void RunFlood(benchmark::State& state) {
  World world;
  Subject plain(world, nullptr);
  Subject opening(world, *EchKeyOpener::Create(world.keys, kNoBudget));
  EchBudget none_left;
  none_left.per_second = 1e-9;
  const auto spent = *EchKeyOpener::Create(world.keys, none_left);
  Subject over(world, spent);
  const std::string in_clear = testing::InRecords(testing::PostQuantumHello(kPublic).Message());
  const std::string unknown = OuterHello(99);
  const std::string known = OuterHello(0);
  OneHello(over, known);  // Takes all of the budget.
  Samples clear, unknown_id, undecrypted, over_budget;
  for (auto _ : state) {
    clear.Add(OneHello(plain, in_clear));
    const Stopwatch watch = OneHello(opening, unknown);
    unknown_id.Add(watch);
    undecrypted.Add(OneHello(opening, known));
    over_budget.Add(OneHello(over, known));
    state.SetIterationTime(watch.seconds());
  }
  CHECK_EQ(spent->counts().by_config_id[0].not_decrypted, 1u);
  state.counters["clear_us"] = clear.MedianSeconds() * 1e6;
  state.counters["unknown_us"] = unknown_id.MedianSeconds() * 1e6;
  state.counters["undecrypted_us"] = undecrypted.MedianSeconds() * 1e6;
  state.counters["over_budget_us"] = over_budget.MedianSeconds() * 1e6;
}

BENCHMARK(RunConnections)->Name("ech/connection")->UseManualTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(RunFlood)->Name("ech/flood")->UseManualTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace trestle::bench

int main(int argc, char** argv) {
  return trestle::bench::RunBenchmarks(argc, argv, trestle::bench::kHowToRead);
}
