#include "examples/quickstart/https_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace trestle::examples {

HttpsClient::HttpsClient(Scheduler& scheduler, Dialer& dialer,
                         std::shared_ptr<const ClientTlsConfig> tls)
    : scheduler_(scheduler), dialer_(dialer), tls_(std::move(tls)) {}

void HttpsClient::Get(const Endpoint& endpoint, const std::string& server_name,
                      const std::string& secret, absl::AnyInvocable<void(HttpsAnswer)> done) {
  answer_ = HttpsAnswer();
  server_name_ = server_name;
  request_ = absl::StrCat("GET / HTTP/1.1\r\nHost: ", server_name, "\r\nX-Secret: ", secret,
                          "\r\nConnection: close\r\n\r\n");
  done_ = std::move(done);
  dial_ =
      dialer_.Connect(endpoint, [this](auto connection) { OnConnected(std::move(connection)); });
}

void HttpsClient::OnConnected(absl::StatusOr<std::unique_ptr<Transport>> connection) {
  if (!connection.ok()) return Finish(connection.status());
  // The engine verifies that the certificate matches this name and chains to our CA.
  ClientTlsTarget target;
  target.server_name = server_name_;
  absl::StatusOr<std::unique_ptr<TlsEngine>> engine =
      TlsEngine::NewClient(tls_, target, scheduler_, Leg::kFront);
  if (!engine.ok()) return Finish(engine.status());
  stream_ = std::make_unique<TlsStream>(*std::move(engine), *std::move(connection), scheduler_);
  stream_->Handshake([this](absl::Status status) { OnHandshake(std::move(status)); });
}

void HttpsClient::OnHandshake(absl::Status status) {
  answer_.tls = stream_->tls_info();
  if (!status.ok()) return Finish(std::move(status));
  conversation_ = std::make_unique<Conversation>(std::move(stream_), scheduler_);
  conversation_->Send(request_);
  conversation_->End();  // The request is complete. The response still arrives: TLS and TCP support
                         // a half-close.
  conversation_->ReadUntil("", [this](absl::Status status) {
    const std::string& response = conversation_->received();
    answer_.status_line = response.substr(0, response.find("\r\n"));
    const size_t head_end = response.find("\r\n\r\n");
    if (head_end != std::string::npos) answer_.body = response.substr(head_end + 4);
    Finish(std::move(status));
  });
}

void HttpsClient::Finish(absl::Status status) {
  answer_.status = std::move(status);
  conversation_.reset();
  stream_.reset();
  // Moved out, because the callback may start the next request.
  absl::AnyInvocable<void(HttpsAnswer)> done = std::move(done_);
  done(std::move(answer_));
}

}  // namespace trestle::examples
