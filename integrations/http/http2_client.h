// Http2Client: the client's side of an HTTP/2 connection, without I/O (RFC 9113, RFC 8441).
#ifndef TRESTLE_INTEGRATIONS_HTTP_HTTP2_CLIENT_H_
#define TRESTLE_INTEGRATIONS_HTTP_HTTP2_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "integrations/http/http2_session.h"
#include "integrations/http/http_exchange.h"

namespace trestle {

class Http2Client final : public ClientCodec, private Http2Session {
 public:
  /// `scheme` is "https" or "http". All others must outlive the codec.
  Http2Client(const HttpLimits& limits, HttpCodecHook& hook, absl::string_view scheme);
  ~Http2Client() override;

  BackStream& Start(HttpExchange& exchange, const HttpRequest& request) override;
  size_t capacity() const override;
  size_t streams() const override { return streams_.size() + waiting_.size(); }
  HttpVersion version() const override { return HttpVersion::kHttp2; }

  void Receive(absl::string_view bytes) override { ReceiveBytes(bytes); }
  void ReceiveEnd() override;
  void OnLost(const absl::Status& why) override { LoseAll(why); }
  bool wants_bytes() const override { return true; }
  void Produce(std::string& out, size_t limit) override;
  bool over() const override;
  absl::Status failure() const override { return absl::OkStatus(); }
  void Drain() override;

 private:
  struct Stream;

  BodyPipe& Outgoing(HttpExchange& exchange) override { return exchange.request_body; }
  BodyPipe& Incoming(HttpExchange& exchange) override { return exchange.response_body; }
  void OnOutgoingTaken(HttpExchange& exchange, size_t bytes) override {
    exchange.OnRequestTaken(bytes);
  }
  void OnIncoming(Http2Stream& stream) override;
  void OnHead(Http2Stream& stream, bool end_stream) override;
  void OnSentEnd(Http2Stream&) override {}
  void OnClosed(Http2Stream& stream, uint32_t error_code) override;
  void OnGoaway() override { draining_ = true; }
  void OnSettings() override;
  void Submit(std::unique_ptr<Stream> stream, const HttpRequest& request);
  void StartWaiting();
  void Forget(Stream& stream);
  void LoseAll(const absl::Status& why);
  void Fail(Http2Stream& stream, std::string reason);

  const std::string scheme_;
  bool draining_ = false;
  bool settings_seen_ = false;
  // Changes of protocol, until the peer's SETTINGS tell whether it has them (RFC 8441 3).
  std::vector<std::unique_ptr<Stream>> waiting_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_HTTP2_CLIENT_H_
