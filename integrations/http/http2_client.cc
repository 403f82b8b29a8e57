#include "integrations/http/http2_client.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"

namespace trestle {

struct Http2Client::Stream final : public Http2Stream, public BackStream {
  explicit Stream(Http2Client& codec) : codec(codec) {}

  void OnRequestBody() override { codec.ResumeBody(*this); }
  void OnResponseTaken(size_t bytes) override { codec.TakeIncoming(*this, bytes); }

  void Cancel() override {
    exchange = nullptr;
    if (id == 0) return codec.Forget(*this);
    codec.Reset(*this, NGHTTP2_CANCEL);
  }

  Http2Client& codec;
  std::unique_ptr<HttpRequest> request;  // While it waits for the peer's SETTINGS.
  bool to_head = false;
  bool tunnel = false;  // It asks for another protocol.
  int informational = 0;
};

Http2Client::Http2Client(const HttpLimits& limits, HttpCodecHook& hook, absl::string_view scheme)
    : Http2Session(/*server=*/false, limits, hook), scheme_(scheme) {}

Http2Client::~Http2Client() { LoseAll(absl::CancelledError("the connection ended")); }

BackStream& Http2Client::Start(HttpExchange& exchange, const HttpRequest& request) {
  auto stream = std::make_unique<Stream>(*this);
  stream->exchange = &exchange;
  stream->to_head = request.method == "HEAD";
  stream->tunnel = stream->held = !request.protocol.empty();
  Stream& started = *stream;
  if (stream->tunnel) {
    stream->request = std::make_unique<HttpRequest>(request);
    waiting_.push_back(std::move(stream));
  } else {
    Submit(std::move(stream), request);
  }
  hook_.OnCodecReady();
  return started;
}

void Http2Client::Submit(std::unique_ptr<Stream> stream, const HttpRequest& request) {
  std::vector<nghttp2_nv> list;
  const absl::string_view method = request.method;
  AppendField(list, ":method", stream->tunnel ? "CONNECT" : method);
  if (stream->tunnel) AppendField(list, ":protocol", request.protocol);
  AppendField(list, ":scheme", scheme_);
  if (!request.authority.empty()) AppendField(list, ":authority", request.authority);
  AppendField(list, ":path", request.target);
  for (const HttpFields::Field& field : request.fields) {
    // The handshake of HTTP/2 has no key (RFC 8441 5).
    if (stream->tunnel && field.name == "sec-websocket-key") continue;
    AppendField(list, field.name, field.value);
  }
  std::string length;
  if (request.content_length.has_value()) {
    length = absl::StrCat(*request.content_length);
    AppendField(list, "content-length", length);
  }
  if (request.expects_continue) AppendField(list, "expect", "100-continue");
  const nghttp2_data_provider provider = ProviderOf(*stream);
  const bool sends_body = request.has_body || stream->tunnel;
  stream->id = nghttp2_submit_request(session_, nullptr, list.data(), list.size(),
                                      sends_body ? &provider : nullptr, nullptr);
  stream->sent_end = !sends_body;
  streams_[stream->id] = std::move(stream);
}

void Http2Client::OnSettings() {
  settings_seen_ = true;
  hook_.OnCodecReady();
}

void Http2Client::Produce(std::string& out, size_t limit) {
  if (settings_seen_) StartWaiting();
  ProduceBytes(out, limit);
}

void Http2Client::StartWaiting() {
  while (!waiting_.empty()) {
    std::unique_ptr<Stream> stream = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    const bool allowed = nghttp2_session_get_remote_settings(
                             session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
    if (allowed) {
      const std::unique_ptr<HttpRequest> request = std::move(stream->request);
      Submit(std::move(stream), *request);
    } else {
      stream->exchange->OnBackFailed(
          BackFailure::kBroken,
          MakeError(ErrorCode::kProtocol, Leg::kBack, Phase::kRelay,
                    "the backend's HTTP/2 can't change the protocol: its SETTINGS lack "
                    "ENABLE_CONNECT_PROTOCOL"));
    }
  }
}

// Destroys `stream`.
void Http2Client::Forget(Stream& stream) {
  const auto found =
      std::find_if(waiting_.begin(), waiting_.end(),
                   [&](const std::unique_ptr<Stream>& other) { return other.get() == &stream; });
  if (found != waiting_.end()) waiting_.erase(found);
}

void Http2Client::LoseAll(const absl::Status& why) {
  LoseStreams(why);
  while (!waiting_.empty()) {
    const std::unique_ptr<Stream> stream = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    OnClosed(*stream, NGHTTP2_INTERNAL_ERROR);
  }
}

size_t Http2Client::capacity() const {
  if (draining_ || !failure_.ok() || nghttp2_session_check_request_allowed(session_) == 0) return 0;
  const uint32_t theirs =
      nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  const size_t most = std::min(theirs, limits_.streams);
  return most - std::min(most, streams());
}

void Http2Client::OnIncoming(Http2Stream& stream) {
  HttpExchange& exchange = *stream.exchange;
  exchange.OnResponseBody();
  if (stream.exchange == nullptr || !exchange.response_body.ended()) return;
  stream.exchange = nullptr;
  // The rest of the request is no longer needed.
  if (!stream.sent_end) Reset(stream, NGHTTP2_CANCEL);
  exchange.OnBackDone();
}

void Http2Client::OnHead(Http2Stream& base, bool end_stream) {
  auto& stream = static_cast<Stream&>(base);
  Http2Head head = std::move(stream.head);
  stream.head = {};
  if (stream.exchange == nullptr) return;
  if (head.refusal.has_value()) return Fail(stream, head.refusal->reason);
  HttpResponse response;
  if (!absl::SimpleAtoi(head.Pseudo(":status"), &response.status) || response.status < 100) {
    return Fail(stream, "its status isn't a number of three digits");
  }
  response.fields = std::move(head.fields);
  if (response.status == 101) return Fail(stream, "a status that HTTP/2 doesn't have: 101");
  if (response.status / 100 == 1) {
    if (++stream.informational > limits_.informational) {
      return Fail(stream, "more 1xx responses than the limit");
    }
    return stream.exchange->OnInformational(std::move(response));
  }
  stream.head_done = true;
  uint64_t length = 0;
  const std::string* const sent_length = response.fields.Find("content-length");
  if (sent_length != nullptr && absl::SimpleAtoi(*sent_length, &length)) {
    response.content_length = length;
  }
  response.fields.Remove("content-length");
  if (stream.tunnel && response.status / 100 == 2) {
    // It accepts the protocol (RFC 8441 5), as 101 does in HTTP/1.1.
    response.status = 101;
    response.content_length.reset();
    stream.held = false;
    ResumeBody(stream);
  }
  // Together with the head, so that both can be sent at once.
  if (end_stream) stream.exchange->response_body.End();
  stream.exchange->OnResponse(std::move(response));
}

void Http2Client::Fail(Http2Stream& stream, std::string reason) {
  HttpExchange* const exchange = std::exchange(stream.exchange, nullptr);
  Reset(stream, NGHTTP2_PROTOCOL_ERROR);
  exchange->OnBackFailed(BackFailure::kBroken,
                         MakeError(ErrorCode::kProtocol, Leg::kBack, Phase::kRelay,
                                   absl::StrCat("the backend's response is refused: ", reason)));
}

void Http2Client::OnClosed(Http2Stream& stream, uint32_t error_code) {
  HttpExchange* const exchange = std::exchange(stream.exchange, nullptr);
  if (exchange == nullptr) return;
  const BackFailure failure =
      error_code == NGHTTP2_REFUSED_STREAM ? BackFailure::kNotProcessed : BackFailure::kBroken;
  exchange->OnBackFailed(failure, failure_.ok()
                                      ? MakeError(ErrorCode::kTruncated, Leg::kBack, Phase::kRelay,
                                                  absl::StrCat("the backend reset the stream: ",
                                                               nghttp2_http2_strerror(error_code)))
                                      : failure_);
}

void Http2Client::ReceiveEnd() {
  LoseAll(MakeError(ErrorCode::kTruncated, Leg::kBack, Phase::kRelay,
                    "the backend ended the connection before its response was complete"));
  hook_.OnCodecReady();
}

bool Http2Client::over() const { return SessionOver() || (draining_ && streams() == 0); }

void Http2Client::Drain() {
  draining_ = true;
  hook_.OnCodecReady();
}

}  // namespace trestle
