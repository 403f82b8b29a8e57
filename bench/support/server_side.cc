#include "bench/support/server_side.h"

#include <string>
#include <utility>

#include "absl/log/check.h"
#include "bench/support/bare_tls.h"
#include "bench/support/wire.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::bench {
namespace {

constexpr absl::string_view kAnswer = "a";

class BareServer final : public ServerSide {
 public:
  explicit BareServer(SSL_CTX* context) : context_(context) {}
  void Start() override { peer_ = std::make_unique<BarePeer>(BarePeer::Server(context_)); }
  void Receive(ByteView bytes) override {
    peer_->Receive(bytes);
    peer_->Handshake();
  }
  void Answer() override { peer_->Write(AsBytes(kAnswer), kAnswer.size()); }
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
  void Answer() override { engine_->Write(AsBytes(kAnswer)); }
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
  void Answer() override { stream_->Write(AsBytes(kAnswer)); }
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
  void Answer() override {
    back_.Deliver(AsBytes(kAnswer));
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

}  // namespace

std::unique_ptr<ServerSide> NewBareServer(SSL_CTX* context) {
  return std::make_unique<BareServer>(context);
}

std::unique_ptr<ServerSide> NewServer(Layer layer, std::shared_ptr<const ServerTlsConfig> config,
                                      HotLoop& loop) {
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
  const bool done = client.Handshake();  // A full TLS 1.2 handshake needs another round trip.
  const std::string finished(AsText(client.sent()));
  client.ClearSent();
  watch.Start();
  server.Receive(AsBytes(finished));
  server.Answer();
  watch.Stop();
  client.Receive(server.sent());
  CHECK(done || client.Handshake());
  if (session != nullptr) {
    CHECK(*session == nullptr || SSL_session_reused(client.native()));
    uint8_t none[1];
    client.ReadAll(none);
    // In TLS 1.2 the same session is resumed again.
    if (bssl::UniquePtr<SSL_SESSION> next = client.session()) *session = std::move(next);
    CHECK(*session != nullptr);
  }
  server.ClearSent();
  client.Close();  // After the tickets, because a client that is closing ignores them.
  watch.Start();
  server.End(client.sent());
  watch.Stop();
  return watch;
}

}  // namespace trestle::bench
