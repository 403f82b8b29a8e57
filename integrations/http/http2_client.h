// Http2Client: the client's side of an HTTP/2 connection, without I/O.
#ifndef TRESTLE_INTEGRATIONS_HTTP_HTTP2_CLIENT_H_
#define TRESTLE_INTEGRATIONS_HTTP_HTTP2_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "integrations/http/http2_session.h"
#include "integrations/http/http_exchange.h"

namespace trestle {

class Http2Client final : public ClientCodec, private Http2Session {
 public:
  /// `scheme` is "https" or "http". All others must outlive the codec.
  Http2Client(const HttpLimits& limits, HttpCodecHook& hook, absl::string_view scheme)
      : Http2Session(/*server=*/false, limits, hook), scheme_(scheme) {}
  ~Http2Client() override { LoseStreams(absl::CancelledError("the connection ended")); }

  BackStream& Start(HttpExchange& exchange, const HttpRequest& request) override;
  size_t capacity() const override;
  size_t streams() const override { return streams_.size(); }
  HttpVersion version() const override { return HttpVersion::kHttp2; }

  void Receive(absl::string_view bytes) override { ReceiveBytes(bytes); }
  void ReceiveEnd() override;
  void OnLost(const absl::Status& why) override { LoseStreams(why); }
  bool wants_bytes() const override { return true; }
  void Produce(std::string& out, size_t limit) override { ProduceBytes(out, limit); }
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
  void Fail(Http2Stream& stream, std::string reason);

  const std::string scheme_;
  bool draining_ = false;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_HTTP2_CLIENT_H_
