#include "integrations/http/http2_server.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr uint8_t kDrainPing[8] = {'d', 'r', 'a', 'i', 'n'};

bool IsTargetByte(char c) { return c > 0x20 && c < 0x7f && c != '#'; }

/// Rules for a request's head beyond those of HTTP/2, so that the request has the same meaning in
/// HTTP/1.1.
class HeadReader {
 public:
  HeadReader(Http2Head& head, bool end_stream) : head_(head), end_stream_(end_stream) {}

  std::optional<HttpRefusal> Read(HttpRequest& request) {
    request.version = HttpVersion::kHttp2;
    request.method = head_.Pseudo(":method");
    request.target = head_.Pseudo(":path");
    request.authority = head_.Pseudo(":authority");
    request.protocol = absl::AsciiStrToLower(head_.Pseudo(":protocol"));
    request.fields = std::move(head_.fields);
    if (head_.refusal.has_value()) return head_.refusal;
    if (auto no = ReadMethodAndTarget(request)) return no;
    if (auto no = ReadHost(request)) return no;
    return ReadFields(request);
  }

 private:
  static std::optional<HttpRefusal> ReadMethodAndTarget(HttpRequest& request) {
    if (!IsToken(request.method)) return HttpRefusal{400, "a method that is no token"};
    if (request.method == "CONNECT" && request.protocol.empty()) {
      request.target = request.authority;
      return std::nullopt;
    }
    if (request.target == "*" && request.method == "OPTIONS") return std::nullopt;
    if (!absl::StartsWith(request.target, "/")) return HttpRefusal{400, "the target isn't a path"};
    if (!std::all_of(request.target.begin(), request.target.end(), IsTargetByte)) {
      return HttpRefusal{400, "a byte in the target that needs percent-encoding"};
    }
    return std::nullopt;
  }

  static std::optional<HttpRefusal> ReadHost(HttpRequest& request) {
    const std::string* const host = request.fields.Find("host");
    if (request.authority.empty() && host != nullptr) request.authority = *host;
    std::optional<std::string> name = HostOf(request.authority);
    if (!name.has_value()) return HttpRefusal{400, "the host isn't a name or an address"};
    for (const HttpFields::Field& field : request.fields) {
      if (field.name == "host" && HostOf(field.value) != name) {
        return HttpRefusal{400, ":authority and host name different hosts"};
      }
    }
    request.host = *std::move(name);
    request.fields.Remove("host");
    return std::nullopt;
  }

  std::optional<HttpRefusal> ReadFields(HttpRequest& request) const {
    const std::string* const length = request.fields.Find("content-length");
    uint64_t bytes = 0;
    if (length != nullptr) {
      if (!absl::SimpleAtoi(*length, &bytes)) {
        return HttpRefusal{400, "Content-Length isn't a number"};
      }
      request.content_length = bytes;
    }
    const std::string* const expect = request.fields.Find("expect");
    if (expect != nullptr && !absl::EqualsIgnoreCase(*expect, "100-continue")) {
      return HttpRefusal{417, "an expectation other than 100-continue"};
    }
    request.has_body = !end_stream_ && request.protocol.empty();
    request.expects_continue = expect != nullptr && request.has_body;
    if (!request.has_body && bytes > 0) return HttpRefusal{400, "the body is missing"};
    const std::string cookies = request.fields.Joined("cookie", "; ");  // RFC 9113 8.2.3.
    request.fields.RemoveIf([](const HttpFields::Field& field) {
      return field.name == "content-length" || field.name == "expect" || field.name == "cookie" ||
             field.name == "http2-settings";
    });
    if (!cookies.empty()) request.fields.Add("cookie", cookies);
    return std::nullopt;
  }

  Http2Head& head_;
  const bool end_stream_;
};

}  // namespace

struct Http2Server::Stream final : public Http2Stream, public FrontStream {
  explicit Stream(Http2Server& codec) : codec(codec) {}

  void SendInformational(const HttpResponse& response) override {
    if (answered || response.status == 101) return;
    Submit(response, NGHTTP2_FLAG_NONE, /*informational=*/true);
  }

  void SendResponse(const HttpResponse& response) override {
    answered = true;
    Submit(response, NGHTTP2_FLAG_NONE, /*informational=*/false);
  }

  void OnResponseBody() override { codec.ResumeBody(*this); }
  void OnRequestTaken(size_t bytes) override { codec.TakeIncoming(*this, bytes); }

  void Abort(absl::string_view) override {
    exchange = nullptr;
    codec.Reset(*this, NGHTTP2_INTERNAL_ERROR);
  }

  void Submit(const HttpResponse& response, uint8_t flags, bool informational) {
    // A status of 200 accepts the protocol of an extended CONNECT (RFC 8441 5).
    const bool tunnel = response.status == 101;
    const std::string status = absl::StrCat(tunnel ? 200 : response.status);
    std::vector<nghttp2_nv> list;
    AppendField(list, ":status", status);
    for (const HttpFields::Field& field : response.fields) {
      AppendField(list, field.name, field.value);
    }
    std::string length;
    const bool sized =
        response.content_length.has_value() && response.status != 204 && response.status / 100 != 1;
    if (sized) {
      length = absl::StrCat(*response.content_length);
      AppendField(list, "content-length", length);
    }
    if (informational) {
      nghttp2_submit_headers(codec.session_, flags, id, nullptr, list.data(), list.size(), nullptr);
    } else {
      BodyPipe* const pipe = exchange != nullptr ? &exchange->response_body : nullptr;
      const bool ends = (HasNoBody(response.status, to_head) && !tunnel) ||
                        (pipe != nullptr && pipe->finished() && pipe->trailers().empty());
      const nghttp2_data_provider provider = codec.ProviderOf(*this);
      nghttp2_submit_response(codec.session_, id, list.data(), list.size(),
                              ends ? nullptr : &provider);
    }
    codec.hook_.OnCodecReady();
  }

  Http2Server& codec;
  bool answered = false;
  bool to_head = false;  // The request's method is HEAD.
};

void Http2Server::Receive(absl::string_view bytes) { ReceiveBytes(bytes); }

void Http2Server::ReceiveEnd() {
  LoseStreams(MakeError(ErrorCode::kTruncated, Leg::kFront, Phase::kRelay,
                        "the client ended the connection"));
  hook_.OnCodecReady();
}

std::unique_ptr<Http2Stream> Http2Server::NewStream() { return std::make_unique<Stream>(*this); }

void Http2Server::OnHead(Http2Stream& base, bool end_stream) {
  auto& stream = static_cast<Stream&>(base);
  stream.head_done = true;
  Http2Head head = std::move(stream.head);
  stream.head = {};
  HttpRequest request;
  std::optional<HttpRefusal> refusal = HeadReader(head, end_stream).Read(request);
  stream.to_head = request.method == "HEAD";
  const int32_t id = stream.id;
  HttpExchange* const exchange =
      refusal.has_value() ? handler_.OnRefused(stream, std::move(request), *std::move(refusal))
                          : handler_.OnRequest(stream, std::move(request));
  if (streams_.contains(id)) stream.exchange = exchange;
}

// The rest of the request is no longer needed (RFC 9113 8.1), and its bytes are dropped.
void Http2Server::OnSentEnd(Http2Stream& stream) {
  HttpExchange* const exchange = std::exchange(stream.exchange, nullptr);
  if (exchange != nullptr && !stream.received_end) {
    TakeIncoming(stream, exchange->request_body.size());
  }
  if (exchange != nullptr) exchange->OnResponseSent();
}

void Http2Server::OnClosed(Http2Stream& stream, uint32_t error_code) {
  HttpExchange* const exchange = std::exchange(stream.exchange, nullptr);
  if (exchange == nullptr) return;
  exchange->OnClientGone(failure_.ok()
                             ? MakeError(ErrorCode::kCancelled, Leg::kFront, Phase::kRelay,
                                         absl::StrCat("the client reset the stream: ",
                                                      nghttp2_http2_strerror(error_code)))
                             : failure_);
}

// The rest of a request that was answered does not count.
bool Http2Server::idle() const {
  return std::none_of(streams_.begin(), streams_.end(),
                      [](const auto& stream) { return stream.second->exchange != nullptr; });
}

void Http2Server::TimeOutHead() {
  if (!failure_.ok()) return;
  failure_ = MakeError(ErrorCode::kTimeout, Leg::kFront, Phase::kRelay,
                       "a head took longer than its limit");
  nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
  hook_.OnCodecReady();
}

// The first GOAWAY lets requests in flight arrive. The second one, after a round trip, has the last
// accepted request (RFC 9113 6.8).
void Http2Server::Drain() {
  if (std::exchange(draining_, true)) return OnPingAck();  // The client doesn't answer.
  nghttp2_submit_shutdown_notice(session_);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kDrainPing);
  hook_.OnCodecReady();
}

void Http2Server::OnPingAck() {
  if (!draining_ || std::exchange(last_stream_sent_, true)) return;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  hook_.OnCodecReady();
}

}  // namespace trestle
