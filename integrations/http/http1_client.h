// Http1Client: the client's side of an HTTP/1.1 connection, without I/O. One request at a time.
#ifndef TRESTLE_INTEGRATIONS_HTTP_HTTP1_CLIENT_H_
#define TRESTLE_INTEGRATIONS_HTTP_HTTP1_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "integrations/http/http1_body.h"
#include "integrations/http/http_exchange.h"
#include "integrations/http1/message_reader.h"

namespace trestle {

/// The connection can be used again only after a complete request and a complete, unambiguous
/// response without bytes after it. A byte without a request in progress ends the connection.
class Http1Client final : public ClientCodec, private BackStream {
 public:
  /// Both must outlive the codec.
  Http1Client(const HttpLimits& limits, HttpCodecHook& hook)
      : limits_(limits), hook_(hook), body_(limits) {}

  BackStream& Start(HttpExchange& exchange, const HttpRequest& request) override;
  size_t capacity() const override { return exchange_ == nullptr && usable_ ? 1 : 0; }
  size_t streams() const override { return exchange_ == nullptr ? 0 : 1; }
  HttpVersion version() const override { return HttpVersion::kHttp11; }

  void Receive(absl::string_view bytes) override;
  void ReceiveEnd() override;
  void OnLost(const absl::Status& why) override;
  bool wants_bytes() const override;
  void Produce(std::string& out, size_t limit) override;
  bool over() const override { return exchange_ == nullptr && !usable_ && out_.empty(); }
  bool ends_writing() const override { return over() || TunnelEndsWriting(); }
  absl::Status failure() const override { return failure_; }
  void Drain() override;

  /// Returns how long the backend keeps the connection, according to its last response
  /// (Keep-Alive); infinite if that has no limit.
  absl::Duration kept_for() const { return kept_for_; }

 private:
  enum class Reading : uint8_t { kHead, kBody, kTunnel, kDone };

  bool TunnelEndsWriting() const;

  void OnRequestBody() override { hook_.OnCodecReady(); }
  void OnResponseTaken(size_t bytes) override;
  void Cancel() override;

  void AppendHead(const HttpRequest& request);
  void Parse();
  bool ReadHead();
  bool ReadBody();
  void TakeHead(absl::string_view text);
  void BeginBody(const HttpAnswerHead& head, int status);
  void NoteKeepAlive(absl::string_view text, const HttpAnswerHead& head);
  void FinishResponse();
  void Fail(std::string reason);

  const HttpLimits& limits_;
  HttpCodecHook& hook_;
  std::string in_;
  std::string out_;
  HeadScanner scanner_;
  MessageReader reader_;  // Of heads.
  Http1BodyReader body_;
  bool usable_ = true;
  absl::Status failure_;
  absl::Duration kept_for_ = absl::InfiniteDuration();
  uint64_t requests_ = 0;

  // The request in progress.
  HttpExchange* exchange_ = nullptr;
  Reading reading_ = Reading::kDone;
  bool to_head_ = false;
  std::string protocol_;
  // Browsers end a stream with their Close frame. A server of HTTP/1.1 must not see that end: many
  // drop their own Close frame then. It ends the connection itself (RFC 6455 7.1.1).
  bool server_ends_tunnel_ = false;
  bool chunked_ = false;     // The request's body.
  bool sending_ = false;     // The request's body isn't sent completely.
  bool any_answer_ = false;  // A byte of the response came.
  bool keep_alive_ = true;
  int informational_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_HTTP1_CLIENT_H_
