// TLS without a proxy, the client: fetches a page from a verified server. TlsStream does the TLS,
// over the transport of TcpDialer; the host's own transports do as well.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "trestle/io/stream_closer.h"
#include "trestle/linux/ca_files.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_stream.h"

ABSL_FLAG(std::string, server, "", "IP:PORT or unix:PATH to connect to");
ABSL_FLAG(std::string, name, "", "the name that the server's certificate must have");
ABSL_FLAG(std::string, path, "/", "the page to fetch");
ABSL_FLAG(std::string, ca, "", "PEM file with trusted CAs; empty: those of the system");
ABSL_FLAG(absl::Duration, timeout, absl::Seconds(30), "the time limit for everything");

namespace {

using namespace trestle;
using namespace trestle::examples;

constexpr char kUsage[] =
    "Fetches a page by HTTP/1.1 from a server that proves its name, and prints the answer with\n"
    "its fields. The exit status is 0 only if the answer ended with close_notify.\n\n"
    "  tls_fetch --server=127.0.0.1:8443 --name=app.example --ca=ca.pem --path=/hello";

class Fetch final : private TransportHandler {
 public:
  Fetch(EpollLoop& loop, std::unique_ptr<TlsEngine> engine, std::string request)
      : loop_(loop), engine_(std::move(engine)), request_(std::move(request)) {}

  // Runs the loop until the end. OK after a whole answer.
  absl::Status Run(Dialer& dialer, const Endpoint& server) {
    limit_ = loop_.RunAfter(absl::GetFlag(FLAGS_timeout), [this] {
      End(absl::DeadlineExceededError("there is no whole answer within --timeout"));
    });
    dial_ = dialer.Connect(server, [this](auto connection) {
      if (!connection.ok()) return End(connection.status());
      stream_ = std::make_unique<TlsStream>(std::move(engine_), *std::move(connection), loop_);
      stream_->SetHandler(this);
      stream_->Handshake([this](absl::Status status) { status.ok() ? GoOn() : End(status); });
    });
    loop_.Run();
    return status_;
  }

 private:
  void OnReadable() override { GoOn(); }
  void OnWritable() override { GoOn(); }

  void GoOn() {
    for (int calls = 0; calls < 32; ++calls) {
      const bool writes = !request_.empty();
      const IoResult did =
          writes ? stream_->Write(AsBytes(request_)) : stream_->Read(absl::MakeSpan(buffer_));
      if (did.state == IoState::kWouldBlock) return;                 // A callback follows.
      if (did.state != IoState::kOk) return End(stream_->status());  // OK at a clean end.
      if (writes) request_.erase(0, did.bytes);
      if (!writes) std::cout << AsText(ByteView(buffer_).first(did.bytes));
    }
    turn_ = loop_.RunAfter(absl::ZeroDuration(), [this] { GoOn(); });  // After the limit.
  }

  // Sends close_notify, or the alert of a failure, and waits until the server has read it.
  void End(absl::Status status) {
    status_ = std::move(status);
    limit_.reset();
    turn_.reset();
    dial_.reset();
    if (stream_ == nullptr) return loop_.Stop();
    StreamCloserOptions options;
    options.limit = absl::Seconds(2);
    closer_.emplace(loop_, std::move(stream_), options);
    if (closer_->Start([this] { loop_.Stop(); })) loop_.Stop();
  }

  EpollLoop& loop_;
  std::unique_ptr<TlsEngine> engine_;  // Until there is a stream.
  std::string request_;                // What is not sent yet.
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<TlsStream> stream_;
  std::array<uint8_t, 16 * 1024> buffer_;
  std::optional<StreamCloser> closer_;
  Timer limit_, turn_;
  absl::Status status_;
};

}  // namespace

int main(int argc, char** argv) {
  ParseCommandLine(argc, argv, kUsage);
  const Endpoint server = OrExit(ServerFromFlag("server", absl::GetFlag(FLAGS_server)));
  const std::string ca = absl::GetFlag(FLAGS_ca);
  ClientTlsOptions options;
  options.ca_pem = OrExit(ReadCaCertificates(ca.empty() ? OrExit(FindSystemCas()) : ca));
  ClientTlsTarget target;
  target.server_name = OrExit(RequiredFlag("name", absl::GetFlag(FLAGS_name)));
  const std::unique_ptr<EpollLoop> loop = OrExit(EpollLoop::Create());
  TcpDialer dialer(*loop);
  Fetch fetch(
      *loop, OrExit(TlsEngine::NewClient(OrExit(ClientTlsConfig::Create(options)), target, *loop)),
      absl::StrCat("GET ", absl::GetFlag(FLAGS_path), " HTTP/1.1\r\nHost: ", target.server_name,
                   "\r\nConnection: close\r\n\r\n"));
  const absl::Status status = fetch.Run(dialer, server);
  std::cout.flush();
  if (!status.ok()) LogLine(absl::StrCat("tls_fetch: ", status.message()));
  return status.ok() && std::cout.good() ? EXIT_SUCCESS : EXIT_FAILURE;
}
