// Records after the handshake: the cost of opening and sealing them in TlsEngine, in TlsStream and
// in the whole bridge. Each is compared with SSL_read and SSL_write on memory BIOs, and with the
// cipher alone. The peers' work is not counted.
#include <openssl/aead.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstdint>
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
#include "lib/tls/engine/tls_internals.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_parameters.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::bench {
namespace {

constexpr char kHowToRead[] =
    "Each row moves 64 KiB at a time, cut into records of the size named last; 'message' is one\n"
    "record of 200 bytes, as in a small request. Medians, in turns:\n"
    "  MiB_s    clear text through Trestle, one way\n"
    "  vs_ssl   rate beside SSL_read / SSL_write alone on a memory BIO (bridge: one of each)\n"
    "  vs_aead  rate beside the cipher alone on the same records (bridge: open and seal)\n"
    "  allocs, ssl_allocs  calls of malloc for that: with Trestle, with BoringSSL alone\n"
    "open: decrypting what a peer sent. seal: encrypting; the application writes pieces of that\n"
    "size. bridge: client to backend through TlsBridge, which may send larger records than come.\n"
    "AES rows are TLS 1.3, ChaCha20-Poly1305 is TLS 1.2. stream and bridge copy each byte once\n"
    "more per side, where a socket would.";

/// The bytes per turn, and the size of their records.
struct Shape {
  const char* name;
  size_t turn_bytes;
  size_t record_bytes;
};

constexpr Shape kShapes[] = {{"1400", 64 * 1024, 1400},
                             {"4096", 64 * 1024, 4096},
                             {"16384", 64 * 1024, 16384},
                             {"message", 200, 200}};
// Includes P-256, because in TLS 1.2 the groups also restrict the certificates that a client
// accepts.
const std::vector<TlsGroup> kGroups = {TlsGroup::kX25519, TlsGroup::kP256};

/// Certificates and contexts of one cipher.
struct World {
  explicit World(Cipher cipher) : loop(absl::Now()), pki(absl::Now()) {
    testing::LeafSpec leaf;
    leaf.dns_names = {"bench.test"};
    credential = pki.IssueCredential(leaf);
    bare_server = NewBareServerContext(*credential, kGroups);
    bare_client = NewBareClientContext(kGroups);
    OfferCipher(bare_client.get(), cipher);

    ServerTlsOptions server;
    server.certificates = *CertificateStore::Create({credential}, loop.Now());
    server.parameters.groups = kGroups;
    server_config = *ServerTlsConfig::Create(std::move(server));
    ClientTlsOptions client;
    client.parameters.groups = kGroups;
    client.ca_pem = pki.ca_pem();
    client_config = *ClientTlsConfig::Create(std::move(client));
    OfferCipher(TlsInternals::Native(*client_config), cipher);
  }

  HotLoop loop;
  testing::TestPki pki;
  std::shared_ptr<const Credential> credential;
  bssl::UniquePtr<SSL_CTX> bare_server;
  bssl::UniquePtr<SSL_CTX> bare_client;
  std::shared_ptr<const ServerTlsConfig> server_config;
  std::shared_ptr<const ClientTlsConfig> client_config;
};

/// The cipher alone, record by record, with the additional data of a TLS 1.3 record. Uses as much
/// memory as the records of a turn, so that the processor's cache has the same effect.
class BareCipher final {
 public:
  BareCipher(Cipher cipher, const Shape& shape)
      : shape_(shape), sealed_record_bytes_(shape.record_bytes + kTagBytes) {
    const EVP_AEAD* aead = CipherAead(cipher);
    const std::vector<uint8_t> key(EVP_AEAD_key_length(aead), 7);
    aead_.reset(EVP_AEAD_CTX_new(aead, key.data(), key.size(), kTagBytes));
    sealed_.resize((shape.turn_bytes / shape.record_bytes + 1) * sealed_record_bytes_);
    opened_.resize(sealed_.size());
    SealTurn();
  }

  void SealTurn() {
    uint8_t* to = sealed_.data();
    for (size_t done = 0; done < shape_.turn_bytes; done += shape_.record_bytes) {
      size_t bytes = 0;
      CHECK(EVP_AEAD_CTX_seal(aead_.get(), to, &bytes, sealed_record_bytes_, nonce_, sizeof(nonce_),
                              clear_.data() + done, RecordBytes(done), header_, sizeof(header_)));
      to += sealed_record_bytes_;
    }
    benchmark::DoNotOptimize(sealed_.data());
  }

  void OpenTurn() {
    const uint8_t* from = sealed_.data();
    for (size_t done = 0; done < shape_.turn_bytes; done += shape_.record_bytes) {
      size_t bytes = 0;
      CHECK(EVP_AEAD_CTX_open(aead_.get(), opened_.data() + done, &bytes, opened_.size() - done,
                              nonce_, sizeof(nonce_), from, RecordBytes(done) + kTagBytes, header_,
                              sizeof(header_)));
      from += sealed_record_bytes_;
    }
    benchmark::DoNotOptimize(opened_.data());
  }

 private:
  static constexpr size_t kTagBytes = 16;

  size_t RecordBytes(size_t done) const {
    return std::min(shape_.record_bytes, shape_.turn_bytes - done);
  }

  const Shape shape_;
  const size_t sealed_record_bytes_;
  bssl::UniquePtr<EVP_AEAD_CTX> aead_;
  const std::vector<uint8_t> clear_ = std::vector<uint8_t>(shape_.turn_bytes);
  std::vector<uint8_t> sealed_;
  std::vector<uint8_t> opened_;
  const uint8_t nonce_[12] = {};
  const uint8_t header_[5] = {};
};

/// A bare connection: `client` is the peer and `server` is measured, or the reverse.
struct BarePair {
  explicit BarePair(World& world)
      : client(BarePeer::Client(world.bare_client.get())),
        server(BarePeer::Server(world.bare_server.get())) {
    Connect(client, server);
  }
  BarePeer client;
  BarePeer server;
};

class Subject {
 public:
  virtual ~Subject() = default;

  /// Moves the bytes of a turn through Trestle; `watch` measures Trestle's part.
  virtual void Turn(Stopwatch& watch) = 0;
};

/// Seals a turn as `peer` and keeps the records.
class Sealer final {
 public:
  Sealer(BarePeer& peer, const Shape& shape)
      : peer_(peer), record_bytes_(shape.record_bytes), clear_(shape.turn_bytes, 'x') {}

  ByteView Turn() {
    peer_.ClearSent();
    peer_.Write(AsBytes(clear_), record_bytes_);
    return peer_.sent();
  }

 private:
  BarePeer& peer_;
  const size_t record_bytes_;
  const std::string clear_;
};

class BareOpen final : public Subject {
 public:
  BareOpen(World& world, const Shape& shape)
      : pair_(world), sealer_(pair_.client, shape), clear_(shape.turn_bytes) {}
  void Turn(Stopwatch& watch) override {
    pair_.server.ReceiveInPlace(sealer_.Turn());
    watch.Start();
    const size_t bytes = pair_.server.ReadAll(absl::MakeSpan(clear_));
    watch.Stop();
    CHECK_EQ(bytes, clear_.size());
  }

 private:
  BarePair pair_;
  Sealer sealer_;
  std::vector<uint8_t> clear_;
};

class BareSeal final : public Subject {
 public:
  BareSeal(World& world, const Shape& shape)
      : pair_(world), record_bytes_(shape.record_bytes), clear_(shape.turn_bytes) {}
  void Turn(Stopwatch& watch) override {
    pair_.server.ClearSent();
    watch.Start();
    pair_.server.Write(clear_, record_bytes_);
    watch.Stop();
  }

 private:
  BarePair pair_;
  const size_t record_bytes_;
  const std::vector<uint8_t> clear_;
};

/// Returns a TlsEngine server that has completed its handshake with `client`.
std::unique_ptr<TlsEngine> NewEngine(World& world, BarePeer& client) {
  std::unique_ptr<TlsEngine> engine =
      TlsEngine::NewServer(world.server_config, world.loop, Leg::kFront);
  bool done = false;
  while (!done || !engine->handshake_done()) {
    done = client.Handshake();
    engine->received().Append(client.sent());
    client.ClearSent();
    CHECK(engine->Handshake() != IoState::kFailed) << engine->status();
    client.Receive(engine->to_send().view());
    engine->to_send().Clear();
  }
  return engine;
}

class EngineOpen final : public Subject {
 public:
  EngineOpen(World& world, const Shape& shape)
      : client_(BarePeer::Client(world.bare_client.get())),
        engine_(NewEngine(world, client_)),
        sealer_(client_, shape),
        clear_(shape.turn_bytes) {}
  void Turn(Stopwatch& watch) override {
    engine_->received().Append(sealer_.Turn());
    size_t bytes = 0;
    watch.Start();
    while (bytes < clear_.size()) bytes += engine_->Read(absl::MakeSpan(clear_)).bytes;
    watch.Stop();
  }

 private:
  BarePeer client_;
  std::unique_ptr<TlsEngine> engine_;
  Sealer sealer_;
  std::vector<uint8_t> clear_;
};

class EngineSeal final : public Subject {
 public:
  EngineSeal(World& world, const Shape& shape)
      : client_(BarePeer::Client(world.bare_client.get())),
        engine_(NewEngine(world, client_)),
        record_bytes_(shape.record_bytes),
        clear_(shape.turn_bytes) {}
  void Turn(Stopwatch& watch) override {
    const ByteView clear = clear_;
    size_t done = 0;
    watch.Start();
    while (done < clear.size()) {
      const size_t bytes = engine_->Write(clear.subspan(done, record_bytes_)).bytes;
      if (bytes == 0) engine_->to_send().Clear();
      done += bytes;
    }
    watch.Stop();
    engine_->to_send().Clear();
  }

 private:
  BarePeer client_;
  std::unique_ptr<TlsEngine> engine_;
  const size_t record_bytes_;
  const std::vector<uint8_t> clear_;
};

/// A TlsStream server over a wire.
struct StreamSide {
  StreamSide(World& world, BarePeer& client) : loop(world.loop), wire(world.loop) {
    stream = std::make_unique<TlsStream>(
        TlsEngine::NewServer(world.server_config, loop, Leg::kFront), wire.NewEnd(), loop);
    bool stream_done = false;
    stream->Handshake([&stream_done](const absl::Status& status) {
      CHECK(status.ok()) << status;
      stream_done = true;
    });
    for (bool client_done = false; !client_done || !stream_done;) {
      client_done = client.Handshake();
      wire.Deliver(client.sent());
      loop.RunReady();
      client.ClearSent();
      client.Receive(AsBytes(wire.sent()));
      wire.sent().clear();
    }
  }
  HotLoop& loop;
  Wire wire;
  std::unique_ptr<TlsStream> stream;
};

class StreamOpen final : public Subject {
 public:
  StreamOpen(World& world, const Shape& shape)
      : client_(BarePeer::Client(world.bare_client.get())),
        end_(world, client_),
        sealer_(client_, shape),
        clear_(shape.turn_bytes) {}
  void Turn(Stopwatch& watch) override {
    end_.wire.Deliver(sealer_.Turn());
    end_.loop.RunReady();
    size_t bytes = 0;
    watch.Start();
    while (bytes < clear_.size()) bytes += end_.stream->Read(absl::MakeSpan(clear_)).bytes;
    watch.Stop();
  }

 private:
  BarePeer client_;
  StreamSide end_;
  Sealer sealer_;
  std::vector<uint8_t> clear_;
};

class StreamSeal final : public Subject {
 public:
  StreamSeal(World& world, const Shape& shape)
      : client_(BarePeer::Client(world.bare_client.get())),
        end_(world, client_),
        record_bytes_(shape.record_bytes),
        clear_(shape.turn_bytes) {}
  void Turn(Stopwatch& watch) override {
    const ByteView clear = clear_;
    end_.wire.sent().clear();
    watch.Start();
    for (size_t done = 0; done < clear.size();) {
      done += end_.stream->Write(clear.subspan(done, record_bytes_)).bytes;
    }
    watch.Stop();
  }

 private:
  BarePeer client_;
  StreamSide end_;
  const size_t record_bytes_;
  const std::vector<uint8_t> clear_;
};

/// One connection through TlsBridge, between a bare client and a bare backend.
class Bridge final : public Subject {
 public:
  Bridge(World& world, const Shape& shape)
      : loop_(world.loop),
        client_(BarePeer::Client(world.bare_client.get())),
        backend_(BarePeer::Server(world.bare_server.get())),
        front_(loop_),
        back_(loop_),
        dialer_(loop_, back_),
        sealer_(client_, shape),
        turn_bytes_(shape.turn_bytes) {
    TlsBridgeOptions options;
    options.front_tls = world.server_config;
    options.back_tls = world.client_config;
    options.backend = *Endpoint::Parse("192.0.2.1:443");
    options.backend_name = "bench.test";
    bridge_ = *TlsBridge::Create(loop_, dialer_, std::move(options));
    bridge_->Serve(front_.NewEnd());
    for (int round = 0; round < 4; ++round) {
      Carry(client_, front_);
      Carry(backend_, back_);
    }
    CHECK(back_.end_exists());
    Stopwatch warm_up;
    Turn(warm_up);
  }

  void Turn(Stopwatch& watch) override {
    back_.sent().clear();
    front_.Deliver(sealer_.Turn());
    watch.Start();
    loop_.RunReady();
    watch.Stop();
    CHECK_GE(back_.sent().size(), turn_bytes_);
  }

 private:
  void Carry(BarePeer& peer, Wire& wire) {
    peer.Receive(AsBytes(wire.sent()));
    wire.sent().clear();
    peer.Handshake();
    wire.Deliver(peer.sent());
    loop_.RunReady();
    peer.ClearSent();
  }

  HotLoop& loop_;
  BarePeer client_;
  BarePeer backend_;
  Wire front_;
  Wire back_;
  WireDialer dialer_;
  Sealer sealer_;
  const size_t turn_bytes_;
  std::unique_ptr<TlsBridge> bridge_;
};

enum class Work { kEngineOpen, kEngineSeal, kStreamOpen, kStreamSeal, kBridge };

bool Opens(Work work) { return work != Work::kEngineSeal && work != Work::kStreamSeal; }
bool Seals(Work work) { return work != Work::kEngineOpen && work != Work::kStreamOpen; }

std::unique_ptr<Subject> NewSubject(Work work, World& world, const Shape& shape) {
  switch (work) {
    case Work::kEngineOpen:
      return std::make_unique<EngineOpen>(world, shape);
    case Work::kEngineSeal:
      return std::make_unique<EngineSeal>(world, shape);
    case Work::kStreamOpen:
      return std::make_unique<StreamOpen>(world, shape);
    case Work::kStreamSeal:
      return std::make_unique<StreamSeal>(world, shape);
    case Work::kBridge:
      return std::make_unique<Bridge>(world, shape);
  }
  return nullptr;
}

void RunCase(benchmark::State& state, Work work, Cipher cipher, const Shape& shape) {
  World world(cipher);
  BareCipher bare_cipher(cipher, shape);
  BareOpen bare_open(world, shape);
  BareSeal bare_seal(world, shape);
  const std::unique_ptr<Subject> trestle = NewSubject(work, world, shape);

  Samples samples;
  Samples ssl_samples;
  Samples aead_samples;
  for (auto _ : state) {
    Stopwatch watch;
    trestle->Turn(watch);
    samples.Add(watch);
    state.SetIterationTime(watch.seconds());

    Stopwatch ssl_watch;
    if (Opens(work)) bare_open.Turn(ssl_watch);
    if (Seals(work)) bare_seal.Turn(ssl_watch);
    ssl_samples.Add(ssl_watch);

    Stopwatch aead_watch;
    aead_watch.Start();
    if (Opens(work)) bare_cipher.OpenTurn();
    if (Seals(work)) bare_cipher.SealTurn();
    aead_watch.Stop();
    aead_samples.Add(aead_watch);
  }
  const double seconds = samples.MedianSeconds();
  state.counters["MiB_s"] = static_cast<double>(shape.turn_bytes) / seconds / (1 << 20);
  state.counters["vs_ssl"] = ssl_samples.MedianSeconds() / seconds;
  state.counters["vs_aead"] = aead_samples.MedianSeconds() / seconds;
  state.counters["allocs"] = samples.MeanAllocations();
  state.counters["ssl_allocs"] = ssl_samples.MeanAllocations();
}

void RegisterAll() {
  const std::pair<Work, const char*> works[] = {{Work::kEngineOpen, "engine/open"},
                                                {Work::kEngineSeal, "engine/seal"},
                                                {Work::kStreamOpen, "stream/open"},
                                                {Work::kStreamSeal, "stream/seal"},
                                                {Work::kBridge, "bridge"}};
  const Cipher ciphers[] = {Cipher::kAes128Gcm, Cipher::kAes256Gcm, Cipher::kChaCha20Poly1305};
  for (const auto& [work, name] : works) {
    for (Cipher cipher : ciphers) {
      for (const Shape& shape : kShapes) {
        const std::string title = std::string(name) + "/" + CipherName(cipher) + "/" + shape.name;
        benchmark::RegisterBenchmark(title.c_str(), [work = work, cipher,
                                                     &shape](benchmark::State& state) {
          RunCase(state, work, cipher, shape);
        })->UseManualTime();
      }
    }
  }
}

}  // namespace
}  // namespace trestle::bench

int main(int argc, char** argv) {
  trestle::bench::RegisterAll();
  return trestle::bench::RunBenchmarks(argc, argv, trestle::bench::kHowToRead);
}
