// TLS without a proxy, the server: sends back what each client sends. TlsStream does the TLS, over
// the transports of TcpListener; the host's own transports do as well.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "trestle/io/stream_closer.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/file.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/credential.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_stream.h"

ABSL_FLAG(std::string, listen, "", "IP:PORT or unix:PATH to accept TLS clients on");
ABSL_FLAG(std::string, cert, "", "PEM file with the certificate chain");
ABSL_FLAG(std::string, key, "", "PEM file with its private key");
ABSL_FLAG(absl::Duration, idle_timeout, absl::Seconds(60), "close clients that are silent so long");

namespace {

using namespace trestle;
using namespace trestle::examples;

constexpr char kUsage[] =
    "Sends back what TLS clients send, and ends when they end.\n\n"
    "  tls_echo --listen=127.0.0.1:8443 --cert=chain.pem --key=key.pem";

class Echo;
using Clients = absl::flat_hash_set<std::unique_ptr<Echo>>;

class Echo final : private TransportHandler {
 public:
  Echo(Scheduler& loop, std::unique_ptr<TlsStream> stream, Clients& clients)
      : loop_(loop), stream_(std::move(stream)), clients_(clients) {
    stream_->SetHandler(this);
    LimitSilence();
    stream_->Handshake([this](absl::Status status) { status.ok() ? GoOn() : Close(status); });
  }

 private:
  void OnReadable() override { GoOn(); }
  void OnWritable() override { GoOn(); }

  // Reads no more before the client has taken what was read: a slow client costs one buffer.
  void GoOn() {
    LimitSilence();
    for (int calls = 0; calls < 32; ++calls) {
      const bool writes = !unsent_.empty();
      const IoResult did =
          writes ? stream_->Write(unsent_) : stream_->Read(absl::MakeSpan(buffer_));
      if (did.state == IoState::kWouldBlock) return;                   // A callback follows.
      if (did.state != IoState::kOk) return Close(stream_->status());  // OK at a clean end.
      unsent_ = writes ? unsent_.subspan(did.bytes) : ByteView(buffer_).first(did.bytes);
    }
    turn_ = loop_.RunAfter(absl::ZeroDuration(), [this] { GoOn(); });  // After other clients.
  }

  void LimitSilence() {
    limit_ = loop_.RunAfter(absl::GetFlag(FLAGS_idle_timeout),
                            [this] { Close(absl::DeadlineExceededError("the client is silent")); });
  }

  // Sends close_notify, or the alert of a failure, and waits until the client has read it.
  void Close(const absl::Status& status) {
    const std::string peer = stream_->info().peer.ToString();
    if (!status.ok()) LogLine(absl::StrCat(peer, ": ", status.message()));
    limit_.reset();
    turn_.reset();
    closer_.emplace(loop_, std::move(stream_));
    const auto forget = [this] { clients_.erase(this); };  // Destroys this object.
    if (closer_->Start(forget)) forget();
  }

  Scheduler& loop_;
  std::unique_ptr<TlsStream> stream_;
  Clients& clients_;
  std::array<uint8_t, 16 * 1024> buffer_;
  ByteView unsent_;  // Of buffer_.
  Timer limit_, turn_;
  std::optional<StreamCloser> closer_;
};

}  // namespace

int main(int argc, char** argv) {
  ParseCommandLine(argc, argv, kUsage);
  const std::unique_ptr<EpollLoop> loop = OrExit(EpollLoop::Create());
  const auto credential = OrExit(Credential::FromPem(OrExit(ReadFile(absl::GetFlag(FLAGS_cert))),
                                                     OrExit(ReadFile(absl::GetFlag(FLAGS_key)))));
  ServerTlsOptions options;
  options.certificates = OrExit(CertificateStore::Create({credential}, loop->Now()));
  const auto tls = OrExit(ServerTlsConfig::Create(options));
  Clients clients;
  const std::unique_ptr<TcpListener> listener = OrExit(TcpListener::Create(
      *loop, OrExit(EndpointFromFlag("listen", absl::GetFlag(FLAGS_listen))),
      [&](std::unique_ptr<Transport> client) {
        auto stream =
            std::make_unique<TlsStream>(TlsEngine::NewServer(tls, *loop), std::move(client), *loop);
        clients.insert(std::make_unique<Echo>(*loop, std::move(stream), clients));
      }));
  LogLine(absl::StrCat("listening on ", listener->local_endpoint().ToString()));
  loop->Run();
}
