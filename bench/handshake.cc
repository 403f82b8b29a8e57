// Full and resumed TLS 1.3 handshakes, the server's side only: what one costs BoringSSL alone, and
// what it costs with Trestle around it. Both are made in turns with the same client, whose own work
// is not counted.
#include <openssl/ssl.h>

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
#include "trestle/proxy/tls_terminator.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/tls_config.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::bench {
namespace {

constexpr char kHowToRead[] =
    "One row is one handshake, server's side, from the first byte to the connection freed again.\n"
    "  server_us / bare_us   medians: with Trestle / BoringSSL alone on memory BIOs, in turns\n"
    "  vs_bare               rate beside bare BoringSSL; 1.0 would cost nothing extra\n"
    "  allocs / bare_allocs  calls of malloc for one handshake\n"
    "engine: TlsEngine by itself. stream: TlsStream over a transport. terminator: a connection\n"
    "through the whole of TlsTerminator, with the backend dialed and both legs closed cleanly.";

/// What a handshake is measured with. Its own cost is that of its functions.
class ServerSide {
 public:
  virtual ~ServerSide() = default;
  virtual void Start() = 0;
  virtual void Receive(ByteView bytes) = 0;
  virtual ByteView sent() = 0;
  virtual void ClearSent() = 0;
  /// `close_notify` is the client's, for who wants to see one.
  virtual void End(ByteView close_notify) = 0;
};

class BareServer final : public ServerSide {
 public:
  explicit BareServer(SSL_CTX* context) : context_(context) {}
  void Start() override { peer_ = std::make_unique<BarePeer>(BarePeer::Server(context_)); }
  void Receive(ByteView bytes) override {
    peer_->Receive(bytes);
    peer_->Handshake();
  }
  ByteView sent() override { return peer_->sent(); }
  void ClearSent() override { peer_->ClearSent(); }
  void End(ByteView /*close_notify*/) override { peer_.reset(); }

 private:
  SSL_CTX* const context_;
  std::unique_ptr<BarePeer> peer_;
};

class EngineServer final : public ServerSide {
 public:
  EngineServer(std::shared_ptr<const ServerTlsConfig> config, HotLoop& loop)
      : config_(std::move(config)), loop_(loop) {}
  void Start() override { engine_ = TlsEngine::NewServer(config_, loop_, Leg::kFront); }
  void Receive(ByteView bytes) override {
    engine_->received().Append(bytes);
    engine_->Handshake();
  }
  ByteView sent() override { return engine_->to_send().view(); }
  void ClearSent() override { engine_->to_send().Clear(); }
  void End(ByteView /*close_notify*/) override { engine_.reset(); }

 private:
  const std::shared_ptr<const ServerTlsConfig> config_;
  HotLoop& loop_;
  std::unique_ptr<TlsEngine> engine_;
};

class StreamServer final : public ServerSide {
 public:
  StreamServer(std::shared_ptr<const ServerTlsConfig> config, HotLoop& loop)
      : config_(std::move(config)), loop_(loop), wire_(loop) {}
  void Start() override {
    stream_ = std::make_unique<TlsStream>(TlsEngine::NewServer(config_, loop_, Leg::kFront),
                                          wire_.NewEnd(), loop_);
    stream_->Handshake([](const absl::Status& status) { CHECK(status.ok()) << status; });
  }
  void Receive(ByteView bytes) override {
    wire_.Deliver(bytes);
    loop_.RunReady();
  }
  ByteView sent() override { return AsBytes(wire_.sent()); }
  void ClearSent() override { wire_.sent().clear(); }
  void End(ByteView /*close_notify*/) override { stream_.reset(); }

 private:
  const std::shared_ptr<const ServerTlsConfig> config_;
  HotLoop& loop_;
  Wire wire_;
  std::unique_ptr<TlsStream> stream_;
};

class TerminatorServer final : public ServerSide {
 public:
  TerminatorServer(std::shared_ptr<const ServerTlsConfig> config, HotLoop& loop)
      : loop_(loop), front_(loop), back_(loop), dialer_(loop, back_) {
    TlsTerminatorOptions options;
    options.front_tls = std::move(config);
    options.backend = *Endpoint::Parse("192.0.2.1:80");
    terminator_ = *TlsTerminator::Create(loop_, dialer_, std::move(options));
  }
  void Start() override { terminator_->Serve(front_.NewEnd()); }
  void Receive(ByteView bytes) override {
    front_.Deliver(bytes);
    loop_.RunReady();
  }
  ByteView sent() override { return AsBytes(front_.sent()); }
  void ClearSent() override { front_.sent().clear(); }
  void End(ByteView close_notify) override {
    CHECK(back_.end_exists());
    front_.Deliver(close_notify);
    front_.DeliverEnd();
    back_.DeliverEnd();
    loop_.RunReady();
    CHECK_EQ(terminator_->open_connections(), 0u);
  }

 private:
  HotLoop& loop_;
  Wire front_;
  Wire back_;
  WireDialer dialer_;
  std::unique_ptr<TlsTerminator> terminator_;
};

/// One handshake; if `session` is not null, resumes it and puts the new one there.
Stopwatch MakeHandshake(ServerSide& server, SSL_CTX* client_context,
                        bssl::UniquePtr<SSL_SESSION>* session) {
  Stopwatch watch;
  BarePeer client = BarePeer::Client(client_context, session == nullptr ? nullptr : session->get());
  client.Handshake();
  watch.Start();
  server.Start();
  server.Receive(client.sent());
  watch.Stop();
  client.ClearSent();
  client.Receive(server.sent());
  server.ClearSent();
  CHECK(client.Handshake());
  const std::string finished(AsText(client.sent()));
  client.ClearSent();
  watch.Start();
  server.Receive(AsBytes(finished));
  watch.Stop();
  if (session != nullptr) {
    CHECK(*session == nullptr || SSL_session_reused(client.native()));
    uint8_t none[1];
    client.Receive(server.sent());
    client.ReadAll(none);
    *session = client.session();
    CHECK(*session != nullptr);
  }
  server.ClearSent();
  client.Close();  // After the tickets: a client that is closing ignores them.
  watch.Start();
  server.End(client.sent());
  watch.Stop();
  return watch;
}

enum class Layer { kEngine, kStream, kTerminator };

struct Case {
  const char* name;
  KeyType key_type;
  TlsGroup group;
  bool resumed;
};

constexpr Case kCases[] = {
    {"ecdsa_p256/x25519", KeyType::kEcdsa, TlsGroup::kX25519, false},
    {"ecdsa_p256/x25519mlkem768", KeyType::kEcdsa, TlsGroup::kX25519MlKem768, false},
    {"rsa_2048/x25519", KeyType::kRsa, TlsGroup::kX25519, false},
    {"rsa_2048/x25519mlkem768", KeyType::kRsa, TlsGroup::kX25519MlKem768, false},
    {"resumed/x25519", KeyType::kEcdsa, TlsGroup::kX25519, true},
    {"resumed/x25519mlkem768", KeyType::kEcdsa, TlsGroup::kX25519MlKem768, true},
};

std::shared_ptr<const Credential> SharedCredential(KeyType key_type) {
  static const testing::TestPki* const pki = new testing::TestPki(absl::Now());
  const auto issue = [](KeyType type) {
    testing::LeafSpec leaf;
    leaf.dns_names = {"bench.test"};
    leaf.key_type = type;
    return pki->IssueCredential(leaf);
  };
  static const auto* const ecdsa = new auto(issue(KeyType::kEcdsa));
  static const auto* const rsa = new auto(issue(KeyType::kRsa));
  return key_type == KeyType::kRsa ? *rsa : *ecdsa;
}

std::unique_ptr<ServerSide> NewServer(Layer layer, std::shared_ptr<const Credential> credential,
                                      const std::vector<TlsGroup>& groups, HotLoop& loop) {
  ServerTlsOptions options;
  options.certificates = *CertificateStore::Create({std::move(credential)}, loop.Now());
  options.parameters.min_version = TlsVersion::kTls13;
  options.parameters.groups = groups;
  std::shared_ptr<const ServerTlsConfig> config = *ServerTlsConfig::Create(std::move(options));
  switch (layer) {
    case Layer::kEngine:
      return std::make_unique<EngineServer>(std::move(config), loop);
    case Layer::kStream:
      return std::make_unique<StreamServer>(std::move(config), loop);
    case Layer::kTerminator:
      return std::make_unique<TerminatorServer>(std::move(config), loop);
  }
  return nullptr;
}

void RunCase(benchmark::State& state, Layer layer, const Case& wanted) {
  HotLoop loop(absl::Now());
  const std::vector<TlsGroup> groups = {wanted.group};
  const std::shared_ptr<const Credential> credential = SharedCredential(wanted.key_type);
  const bssl::UniquePtr<SSL_CTX> client_context = NewBareClientContext(groups);
  const bssl::UniquePtr<SSL_CTX> bare_context = NewBareServerContext(*credential, groups);
  BareServer bare(bare_context.get());
  const std::unique_ptr<ServerSide> trestle = NewServer(layer, credential, groups, loop);

  bssl::UniquePtr<SSL_SESSION> bare_session;
  bssl::UniquePtr<SSL_SESSION> trestle_session;
  auto* const bare_slot = wanted.resumed ? &bare_session : nullptr;
  auto* const trestle_slot = wanted.resumed ? &trestle_session : nullptr;
  MakeHandshake(bare, client_context.get(), bare_slot);  // Warms up, and gets the first session.
  MakeHandshake(*trestle, client_context.get(), trestle_slot);

  Samples bare_samples;
  Samples trestle_samples;
  for (auto _ : state) {
    bare_samples.Add(MakeHandshake(bare, client_context.get(), bare_slot));
    const Stopwatch watch = MakeHandshake(*trestle, client_context.get(), trestle_slot);
    trestle_samples.Add(watch);
    state.SetIterationTime(watch.seconds());
  }
  state.SetItemsProcessed(state.iterations());
  const double bare_seconds = bare_samples.MedianSeconds();
  const double seconds = trestle_samples.MedianSeconds();
  state.counters["server_us"] = seconds * 1e6;
  state.counters["bare_us"] = bare_seconds * 1e6;
  state.counters["vs_bare"] = bare_seconds / seconds;
  state.counters["allocs"] = trestle_samples.MeanAllocations();
  state.counters["bare_allocs"] = bare_samples.MeanAllocations();
}

void RegisterAll() {
  const std::pair<Layer, const char*> layers[] = {
      {Layer::kEngine, "engine"}, {Layer::kStream, "stream"}, {Layer::kTerminator, "terminator"}};
  for (const auto& [layer, layer_name] : layers) {
    for (const Case& wanted : kCases) {
      benchmark::RegisterBenchmark(
          (std::string("handshake/") + layer_name + "/" + wanted.name).c_str(),
          [layer = layer, &wanted](benchmark::State& state) { RunCase(state, layer, wanted); })
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

}  // namespace
}  // namespace trestle::bench

int main(int argc, char** argv) {
  trestle::bench::RegisterAll();
  return trestle::bench::RunBenchmarks(argc, argv, trestle::bench::kHowToRead);
}
