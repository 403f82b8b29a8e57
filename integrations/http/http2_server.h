// Http2Server: the server's side of an HTTP/2 connection, without I/O (RFC 9113, RFC 8441).
#ifndef TRESTLE_INTEGRATIONS_HTTP_HTTP2_SERVER_H_
#define TRESTLE_INTEGRATIONS_HTTP_HTTP2_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "integrations/http/http2_session.h"
#include "integrations/http/http_exchange.h"

namespace trestle {

class Http2Server final : public ServerCodec, private Http2Session {
 public:
  /// All must outlive the codec.
  Http2Server(const HttpLimits& limits, FrontHandler& handler, HttpCodecHook& hook)
      : Http2Session(/*server=*/true, limits, hook), handler_(handler) {}
  ~Http2Server() override { LoseStreams(absl::CancelledError("the connection ended")); }

  void Receive(absl::string_view bytes) override;
  void ReceiveEnd() override;
  void OnLost(const absl::Status& why) override { LoseStreams(why); }
  bool wants_bytes() const override { return true; }
  void Produce(std::string& out, size_t limit) override { ProduceBytes(out, limit); }
  bool over() const override { return SessionOver(); }
  /// Frames tell the client why the connection ends.
  absl::Status failure() const override { return absl::OkStatus(); }
  /// Returns why this side ended the connection; OK if it did not.
  const absl::Status& reason() const { return failure_; }
  void Drain() override;
  bool idle() const override;
  bool in_head() const override { return in_head_; }
  void TimeOutHead() override;

 private:
  struct Stream;

  BodyPipe& Outgoing(HttpExchange& exchange) override { return exchange.response_body; }
  BodyPipe& Incoming(HttpExchange& exchange) override { return exchange.request_body; }
  void OnOutgoingTaken(HttpExchange& exchange, size_t bytes) override {
    exchange.OnResponseTaken(bytes);
  }
  void OnIncoming(Http2Stream& stream) override { stream.exchange->OnRequestBody(); }
  std::unique_ptr<Http2Stream> NewStream() override;
  void OnHead(Http2Stream& stream, bool end_stream) override;
  void OnSentEnd(Http2Stream& stream) override;
  void OnClosed(Http2Stream& stream, uint32_t error_code) override;
  void OnPingAck() override;

  FrontHandler& handler_;
  bool draining_ = false;
  bool last_stream_sent_ = false;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_HTTP2_SERVER_H_
