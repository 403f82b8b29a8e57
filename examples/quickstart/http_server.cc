#include "examples/quickstart/http_server.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "examples/quickstart/conversation.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::examples {
namespace {

constexpr absl::Duration kSessionLimit = absl::Seconds(10);

}  // namespace

// One connection: handshake, one request, one response.
class HttpServer::Session {
 public:
  Session(HttpServer& server, uint64_t id) : server_(server), id_(id) {}

  void Start(std::unique_ptr<Transport> connection) {
    limit_ = server_.loop_.RunAfter(kSessionLimit, [this] { Close(); });
    if (server_.tls_ == nullptr) return ReadRequest(std::move(connection));
    tls_stream_ =
        std::make_unique<TlsStream>(TlsEngine::NewServer(server_.tls_, server_.loop_, Leg::kFront),
                                    std::move(connection), server_.loop_);
    tls_stream_->Handshake([this](absl::Status status) {
      if (!status.ok()) return Close();
      tls_ = tls_stream_->tls_info();
      ReadRequest(std::move(tls_stream_));
    });
  }

 private:
  void ReadRequest(std::unique_ptr<Transport> stream) {
    conversation_ = std::make_unique<Conversation>(std::move(stream), server_.loop_);
    conversation_->ReadUntil("\r\n\r\n", [this](absl::Status status) {
      if (!status.ok()) return Close();
      server_.last_request_ = conversation_->received();
      server_.last_tls_ = tls_;
      Answer();
    });
  }

  void Answer() {
    const std::string body = server_.Answer();
    conversation_->Send(absl::StrCat("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n",
                                     "Connection: close\r\nContent-Length: ", body.size(),
                                     "\r\n\r\n", body));
    conversation_->End();
    conversation_->ReadUntil("", [this](absl::Status) { Close(); });
  }

  // Deferred, because this may run inside a call of the object to destroy.
  void Close() {
    limit_ = server_.loop_.RunAfter(absl::ZeroDuration(),
                                    [&server = server_, id = id_] { server.sessions_.erase(id); });
  }

  HttpServer& server_;
  const uint64_t id_;
  std::unique_ptr<TlsStream> tls_stream_;
  std::optional<TlsInfo> tls_;
  std::unique_ptr<Conversation> conversation_;
  Timer limit_;
};

HttpServer::HttpServer(EpollLoop& loop, std::string name,
                       std::shared_ptr<const ServerTlsConfig> tls)
    : loop_(loop), name_(std::move(name)), tls_(std::move(tls)) {}

HttpServer::~HttpServer() = default;

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    EpollLoop& loop, std::string name, std::shared_ptr<const ServerTlsConfig> tls) {
  auto server = absl::WrapUnique(new HttpServer(loop, std::move(name), std::move(tls)));
  auto listener =
      TcpListener::Create(loop, *Endpoint::Parse("127.0.0.1:0"),
                          [server = server.get()](std::unique_ptr<Transport> connection) {
                            server->Accept(std::move(connection));
                          });
  if (!listener.ok()) return listener.status();
  server->listener_ = *std::move(listener);
  return server;
}

void HttpServer::Accept(std::unique_ptr<Transport> connection) {
  const uint64_t id = ++last_id_;
  auto session = std::make_unique<Session>(*this, id);
  Session& started = *session;
  sessions_.emplace(id, std::move(session));
  started.Start(std::move(connection));
}

std::string HttpServer::Answer() const { return absl::StrCat("hello from ", name_, "\n"); }

}  // namespace trestle::examples
