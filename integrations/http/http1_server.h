// Http1Server: the server's side of an HTTP/1.1 connection, without I/O. Requests are read one
// after the other; the next one begins when the response before it is complete.
#ifndef TRESTLE_INTEGRATIONS_HTTP_HTTP1_SERVER_H_
#define TRESTLE_INTEGRATIONS_HTTP_HTTP1_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "integrations/http/http1_body.h"
#include "integrations/http/http_exchange.h"

namespace trestle {

class Http1Server final : public ServerCodec, private FrontStream {
 public:
  /// All must outlive the codec.
  Http1Server(const HttpLimits& limits, FrontHandler& handler, HttpCodecHook& hook)
      : limits_(limits), handler_(handler), hook_(hook), body_(limits) {}

  void Receive(absl::string_view bytes) override;
  void ReceiveEnd() override;
  void OnLost(const absl::Status& why) override;
  bool wants_bytes() const override;
  void Produce(std::string& out, size_t limit) override;
  bool over() const override { return over_ && out_.empty(); }
  absl::Status failure() const override { return failure_; }
  void Drain() override;
  bool idle() const override { return reading_ == Reading::kHead && in_.empty(); }
  bool in_head() const override { return reading_ == Reading::kHead && !in_.empty(); }
  void TimeOutHead() override;

 private:
  enum class Reading : uint8_t {
    kHead,
    kBody,
    kComplete,  // The response is in progress; the bytes of the next request wait.
    kTunnel,    // After a change of protocol.
    kOver,      // No more requests: later bytes are dropped.
  };

  void SendInformational(const HttpResponse& response) override;
  void SendResponse(const HttpResponse& response) override;
  void OnResponseBody() override { hook_.OnCodecReady(); }
  void OnRequestTaken(size_t bytes) override;
  void Abort(absl::string_view reason) override;

  void Parse();
  void ParseAll();
  bool ReadHead();
  bool ReadBody();
  void Begin(const HttpRequestHead& head);
  void Refuse(HttpRefusal refusal, HttpRequest request = {});
  void AppendHead(const HttpResponse& response, bool has_body);
  void FinishResponse();

  const HttpLimits& limits_;
  FrontHandler& handler_;
  HttpCodecHook& hook_;
  Reading reading_ = Reading::kHead;
  std::string in_;   // Bytes not read yet.
  std::string out_;  // Heads to send.
  HeadScanner scanner_;
  Http1BodyReader body_;
  int empty_lines_ = 0;
  bool ended_ = false;  // The client's direction.
  bool parsing_ = false;
  bool draining_ = false;
  bool over_ = false;
  absl::Status failure_;

  // The request in progress.
  HttpExchange* exchange_ = nullptr;
  bool to_head_ = false;
  int minor_version_ = 1;
  bool keep_alive_ = true;
  std::string protocol_;
  bool answered_ = false;  // The response's head is in `out_`, or was sent.
  bool chunked_ = false;   // The response's body.
  bool tunnel_ = false;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_HTTP1_SERVER_H_
