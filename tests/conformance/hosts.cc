#include "tests/conformance/hosts.h"

#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "trestle/io/prefixed_transport.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::testing {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);
constexpr size_t kMostCallsAtOnce = 200'000;

}  // namespace

MemoryHost::MemoryHost(uint64_t seed) : loop_(seed), dialer_(loop_) {}

MemoryLink MemoryHost::RandomLink() {
  std::mt19937_64& random = loop_.random();
  MemoryLink link;
  link.capacity_bytes = 4'000 + random() % (100 * 1024);
  link.random_chunks = random() % 2 == 0;
  if (random() % 2 == 0) link.chunk_bytes = 100 + random() % 5'000;
  link.seed = random();
  link.latency = absl::Microseconds(random() % 3 * (random() % 3'000));
  return link;
}

Endpoint MemoryHost::Listen(absl::AnyInvocable<void(std::unique_ptr<Transport>)> accept) {
  const Endpoint endpoint = *Endpoint::Parse("192.0.2.7:443");
  dialer_.Listen(endpoint, std::move(accept), absl::Milliseconds(loop_.random()() % 3),
                 RandomLink(), RandomLink());
  return endpoint;
}

bool MemoryHost::RunUntil(absl::FunctionRef<bool()> done) {
  const MonotonicTime end = loop_.MonotonicNow() + kPatience;
  size_t calls = 0;
  while (!done()) {
    if (loop_.RunReady(1) > 0) {
      if (++calls > kMostCallsAtOnce) return false;
      continue;
    }
    if (loop_.MonotonicNow() > end) return false;
    calls = 0;
    loop_.RunFor(absl::Milliseconds(1), /*max_calls=*/1);
  }
  return true;
}

ConformanceTraits MemoryHost::traits() const {
  ConformanceTraits traits;
  traits.simulated = true;
  traits.most_accepted_bytes = 1 << 20;
  return traits;
}

// Keeps the inner dial, and cancels the steps after it.
class WrappingHost::WrappingDial final : public Dial {
 public:
  std::unique_ptr<Dial> inner;
  Callback done;
  std::shared_ptr<WrappingDial*> self = std::make_shared<WrappingDial*>(this);

  ~WrappingDial() override { *self = nullptr; }

  static void Finish(const std::shared_ptr<WrappingDial*>& self,
                     absl::StatusOr<std::unique_ptr<Transport>> result) {
    if (*self == nullptr) return;
    Callback done = std::move((*self)->done);
    done(std::move(result));
  }
};

std::unique_ptr<Dial> WrappingHost::Connect(const Endpoint& endpoint, Callback done) {
  auto dial = std::make_unique<WrappingDial>();
  dial->done = std::move(done);
  dial->inner = inner_->dialer().Connect(
      endpoint, [this, self = dial->self](absl::StatusOr<std::unique_ptr<Transport>> result) {
        if (!result.ok()) return WrappingDial::Finish(self, result.status());
        Wrap(*std::move(result), /*dialed=*/true, [self](std::unique_ptr<Transport> wrapped) {
          WrappingDial::Finish(self, std::move(wrapped));
        });
      });
  return dial;
}

Endpoint WrappingHost::Listen(Accept accept) {
  auto shared = std::make_shared<Accept>(std::move(accept));
  return inner_->Listen([this, shared](std::unique_ptr<Transport> transport) {
    Wrap(std::move(transport), /*dialed=*/false,
         [shared](std::unique_ptr<Transport> wrapped) { (*shared)(std::move(wrapped)); });
  });
}

namespace {

class TlsHost final : public WrappingHost {
 public:
  explicit TlsHost(std::unique_ptr<ConformanceHost> inner)
      : WrappingHost(std::move(inner)), pki_(scheduler().Now()) {
    ServerTlsOptions server;
    server.certificates =
        *CertificateStore::Create({pki_.IssueCredential({{"a.test"}})}, scheduler().Now());
    server_ = *ServerTlsConfig::Create(server);
    ClientTlsOptions client;
    client.ca_pem = pki_.ca_pem();
    client_ = *ClientTlsConfig::Create(client);
  }

  ConformanceTraits traits() const override {
    ConformanceTraits traits = WrappingHost::traits();
    traits.shows_truncation = true;  // Shown by the missing close_notify.
    // The server's tickets may be unread.
    traits.sends_after_destruction = false;
    return traits;
  }

 private:
  void Wrap(std::unique_ptr<Transport> transport, bool dialed, Accept done) override {
    std::unique_ptr<TlsEngine> engine =
        dialed ? *TlsEngine::NewClient(client_, {"a.test", {}}, scheduler(), Leg::kBack)
               : TlsEngine::NewServer(server_, scheduler(), Leg::kFront);
    const int id = ++last_id_;
    auto& stream = shaking_[id];
    stream = std::make_unique<TlsStream>(std::move(engine), std::move(transport), scheduler());
    stream->Handshake([this, id, done = std::move(done)](absl::Status status) mutable {
      std::unique_ptr<TlsStream> stream = std::move(shaking_[id]);
      shaking_.erase(id);
      if (status.ok()) done(std::move(stream));
    });
  }

  const TestPki pki_;
  std::shared_ptr<const ServerTlsConfig> server_;
  std::shared_ptr<const ClientTlsConfig> client_;
  std::map<int, std::unique_ptr<TlsStream>> shaking_;
  int last_id_ = 0;
};

// Sometimes reads a few bytes ahead, and puts them back.
class ReadAheadTransport final : public Transport {
 public:
  ReadAheadTransport(std::unique_ptr<Transport> inner, uint64_t seed)
      : inner_(std::move(inner)), random_(seed) {}

  IoResult Read(MutableByteView out) override {
    if (left_ > 0 && random_() % 3 == 0) {
      uint8_t ahead[20];
      const IoResult result = inner_->Read(MutableByteView(ahead, 1 + random_() % sizeof ahead));
      if (result.state != IoState::kOk) return result;
      --left_;
      std::string prefix(reinterpret_cast<const char*>(ahead), result.bytes);
      inner_ = std::make_unique<PrefixedTransport>(std::move(prefix), std::move(inner_));
    }
    return inner_->Read(out);
  }
  IoResult Write(ByteView data) override { return inner_->Write(data); }
  IoResult WriteBeforeEnd(ByteView data) override { return inner_->WriteBeforeEnd(data); }
  IoResult ShutdownWrite(StreamEnd end) override { return inner_->ShutdownWrite(end); }
  void Abort() override { inner_->Abort(); }
  void SetHandler(TransportHandler* handler) override { inner_->SetHandler(handler); }
  absl::Status status() const override { return inner_->status(); }
  TransportInfo info() const override { return inner_->info(); }
  SplicePool* splice_pool() override { return inner_->splice_pool(); }
  IoResult ReadInto(SpliceBuffer& pipe, size_t max_bytes) override {
    return inner_->ReadInto(pipe, max_bytes);
  }
  IoResult WriteFrom(SpliceBuffer& pipe) override { return inner_->WriteFrom(pipe); }

 private:
  std::unique_ptr<Transport> inner_;
  std::mt19937_64 random_;
  int left_ = 20;  // Each adds a layer.
};

class PrefixedHost final : public WrappingHost {
 public:
  PrefixedHost(std::unique_ptr<ConformanceHost> inner, uint64_t seed)
      : WrappingHost(std::move(inner)), random_(seed) {}

 private:
  void Wrap(std::unique_ptr<Transport> transport, bool /*dialed*/, Accept done) override {
    done(std::make_unique<ReadAheadTransport>(std::move(transport), random_()));
  }

  std::mt19937_64 random_;
};

}  // namespace

std::unique_ptr<ConformanceHost> NewTlsHost(std::unique_ptr<ConformanceHost> inner) {
  return std::make_unique<TlsHost>(std::move(inner));
}

std::unique_ptr<ConformanceHost> NewPrefixedHost(std::unique_ptr<ConformanceHost> inner,
                                                 uint64_t seed) {
  return std::make_unique<PrefixedHost>(std::move(inner), seed);
}

}  // namespace trestle::testing
