#include "integrations/http/http1_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

// Fields of a response that belong to one connection, or that the model has in another place.
bool IsOfConnection(absl::string_view name, absl::string_view connection) {
  for (const absl::string_view own : {"connection", "keep-alive", "proxy-connection",
                                      "transfer-encoding", "content-length", "upgrade", "te"}) {
    if (absl::EqualsIgnoreCase(name, own)) return true;
  }
  return HasToken(connection, name);
}

std::string JoinedConnection(const HttpAnswerHead& head) {
  std::string joined;
  for (const HttpField& field : head.fields) {
    if (absl::EqualsIgnoreCase(field.name, "connection")) {
      absl::StrAppend(&joined, joined.empty() ? "" : ",", field.value);
    }
  }
  return joined;
}

bool MayHaveBody(absl::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

}  // namespace

BackStream& Http1Client::Start(HttpExchange& exchange, const HttpRequest& request) {
  exchange_ = &exchange;
  ++requests_;
  to_head_ = request.method == "HEAD";
  protocol_ = request.protocol;
  server_ends_tunnel_ = request.version == HttpVersion::kHttp2 &&
                        absl::EqualsIgnoreCase(request.protocol, "websocket");
  sending_ = request.has_body;
  chunked_ = request.has_body && !request.content_length.has_value();
  any_answer_ = false;
  keep_alive_ = true;
  informational_ = 0;
  reading_ = Reading::kHead;
  scanner_ = {};
  reader_.BeginAnswer();
  AppendHead(request);
  hook_.OnCodecReady();
  return *this;
}

void Http1Client::AppendHead(const HttpRequest& request) {
  absl::StrAppend(&out_, request.method, " ", request.target, " HTTP/1.1\r\n");
  AppendField(out_, "host", request.authority);
  bool te = false;
  for (const HttpFields::Field& field : request.fields) {
    te = te || field.name == "te";
    AppendField(out_, field.name, field.value);
  }
  if (request.content_length.has_value()) {
    AppendField(out_, "content-length", absl::StrCat(*request.content_length));
  } else if (chunked_) {
    AppendField(out_, "transfer-encoding", "chunked");
  } else if (MayHaveBody(request.method)) {
    AppendField(out_, "content-length", "0");
  }
  if (request.expects_continue) AppendField(out_, "expect", "100-continue");
  if (!protocol_.empty()) {
    AppendField(out_, "upgrade", protocol_);
    AppendField(out_, "connection", "upgrade");
  } else if (te) {
    AppendField(out_, "connection", "te");
  }
  out_.append("\r\n");
}

void Http1Client::Produce(std::string& out, size_t limit) {
  out.append(out_);
  std::string().swap(out_);
  const bool tunnel = reading_ == Reading::kTunnel;
  while (exchange_ != nullptr && (sending_ || tunnel) && failure_.ok()) {
    BodyPipe& pipe = exchange_->request_body;
    if (!pipe.finished() && (pipe.empty() || out.size() >= limit)) return;
    const bool last = pipe.ended();
    const size_t taken =
        AppendBody(out, pipe, chunked_ && !tunnel, limit - std::min(limit, out.size()));
    if (last && pipe.empty()) {
      sending_ = false;
      if (taken > 0) exchange_->OnRequestTaken(taken);
      return;
    }
    if (taken == 0) return;
    exchange_->OnRequestTaken(taken);
  }
}

void Http1Client::Receive(absl::string_view bytes) {
  if (exchange_ == nullptr) {
    // There is no request, so the response belongs to none.
    usable_ = false;
    if (failure_.ok()) {
      failure_ = MakeError(ErrorCode::kProtocol, Leg::kBack, Phase::kRelay,
                           "the backend sent bytes that answer no request");
    }
    return hook_.OnCodecReady();
  }
  any_answer_ = true;
  in_.append(bytes.data(), bytes.size());
  Parse();
}

void Http1Client::Parse() {
  bool progress = true;
  while (progress && exchange_ != nullptr && !in_.empty()) {
    switch (reading_) {
      case Reading::kHead:
        progress = ReadHead();
        break;
      case Reading::kBody:
        progress = ReadBody();
        break;
      case Reading::kTunnel:
        exchange_->response_body.Append(in_);
        in_.clear();
        exchange_->OnResponseBody();
        break;
      case Reading::kDone:
        progress = false;
        break;
    }
  }
}

bool Http1Client::ReadHead() {
  if (std::string problem = ProblemOfStatusLine(in_); !problem.empty()) {
    Fail(std::move(problem));
    return false;
  }
  HttpRefusal refusal;
  switch (scanner_.Scan(in_, limits_.head, refusal)) {
    case HeadScanner::State::kNeedMore:
      return false;
    case HeadScanner::State::kRefused:
      Fail(std::move(refusal.reason));
      return false;
    case HeadScanner::State::kComplete:
      break;
  }
  const std::string text = in_.substr(0, scanner_.scanned());
  in_.erase(0, text.size());
  scanner_ = {};
  TakeHead(text);
  return true;
}

void Http1Client::TakeHead(absl::string_view text) {
  std::string problem;
  const std::optional<HttpAnswerHead> head = ReadAnswerHead(text, reader_, problem);
  if (!head.has_value()) return Fail(std::move(problem));
  HttpResponse response;
  response.status = reader_.status();
  const std::string connection = JoinedConnection(*head);
  for (const HttpField& field : head->fields) {
    if (!IsOfConnection(field.name, connection)) response.fields.Add(field.name, field.value);
  }
  const bool agreed = response.status == 101 && !protocol_.empty() &&
                      absl::EqualsIgnoreCase(head->Only("upgrade"), protocol_);
  if (response.status == 101 && !agreed)
    return Fail("a change of protocol that isn't the asked one");
  if (response.status / 100 == 1 && !agreed) {
    if (++informational_ > limits_.informational) return Fail("more 1xx responses than the limit");
    reader_.BeginAnswer();
    return exchange_->OnInformational(std::move(response));
  }
  uint64_t length = 0;
  const absl::string_view sent_length = head->Only("content-length");
  if (!sent_length.empty() && absl::SimpleAtoi(sent_length, &length)) {
    response.content_length = length;
  }
  NoteKeepAlive(text, *head);
  reading_ = agreed ? Reading::kTunnel : Reading::kBody;
  if (agreed) {
    keep_alive_ = false;
  } else {
    BeginBody(*head, response.status);
  }
  const bool complete = !agreed && body_.state() == Http1BodyReader::State::kComplete;
  if (complete) exchange_->response_body.End();
  exchange_->OnResponse(std::move(response));
  if (complete && exchange_ != nullptr) FinishResponse();
}

void Http1Client::NoteKeepAlive(absl::string_view text, const HttpAnswerHead& head) {
  const std::string connection = JoinedConnection(head);
  const bool old = absl::StartsWith(text, "HTTP/1.0");
  keep_alive_ = !HasToken(connection, "close") && (!old || HasToken(connection, "keep-alive"));
  kept_for_ = absl::InfiniteDuration();
  for (absl::string_view parameter : absl::StrSplit(head.Only("keep-alive"), ',')) {
    parameter = absl::StripAsciiWhitespace(parameter);
    uint32_t seconds = 0;
    if (absl::ConsumePrefix(&parameter, "timeout=") && absl::SimpleAtoi(parameter, &seconds)) {
      kept_for_ = absl::Seconds(seconds);
    }
  }
}

void Http1Client::BeginBody(const HttpAnswerHead& head, int status) {
  uint64_t length = 0;
  if (HasNoBody(status, to_head_)) return body_.BeginSized(0);
  if (!head.Only("transfer-encoding").empty()) return body_.BeginChunked(/*from_client=*/false);
  if (absl::SimpleAtoi(head.Only("content-length"), &length)) return body_.BeginSized(length);
  keep_alive_ = false;
  body_.BeginUnlimited();
}

bool Http1Client::ReadBody() {
  if (exchange_->response_body.size() >= limits_.stream_bytes) return false;
  const size_t taken = body_.Read(in_, exchange_->response_body);
  in_.erase(0, taken);
  if (body_.state() == Http1BodyReader::State::kFailed) {
    Fail(body_.refusal().reason);
    return false;
  }
  if (taken > 0) exchange_->OnResponseBody();
  if (exchange_ != nullptr && body_.state() == Http1BodyReader::State::kComplete) FinishResponse();
  return taken > 0;
}

bool Http1Client::TunnelEndsWriting() const {
  return reading_ == Reading::kTunnel && exchange_ != nullptr && out_.empty() &&
         exchange_->request_body.finished() && !server_ends_tunnel_;
}

void Http1Client::FinishResponse() {
  reading_ = Reading::kDone;
  usable_ = usable_ && keep_alive_ && !sending_ && in_.empty();
  in_.clear();
  HttpExchange* const exchange = std::exchange(exchange_, nullptr);
  exchange->OnBackDone();
  hook_.OnCodecReady();
}

void Http1Client::Fail(std::string reason) {
  usable_ = false;
  reading_ = Reading::kDone;
  in_.clear();
  failure_ = MakeError(ErrorCode::kProtocol, Leg::kBack, Phase::kRelay,
                       absl::StrCat("the backend's response is refused: ", reason));
  if (HttpExchange* const exchange = std::exchange(exchange_, nullptr)) {
    exchange->OnBackFailed(BackFailure::kBroken, failure_);
  }
  hook_.OnCodecReady();
}

void Http1Client::ReceiveEnd() {
  usable_ = false;
  if (exchange_ != nullptr && reading_ == Reading::kTunnel) {
    exchange_->response_body.End();
    exchange_->OnResponseBody();
    if (exchange_ != nullptr) FinishResponse();
    return;
  }
  if (exchange_ != nullptr && reading_ == Reading::kBody && body_.unlimited()) {
    body_.ReadEnd(exchange_->response_body);
    exchange_->OnResponseBody();
    if (exchange_ != nullptr) FinishResponse();
    return;
  }
  OnLost(MakeError(ErrorCode::kTruncated, Leg::kBack, Phase::kRelay,
                   "the backend ended the connection before its response was complete"));
}

void Http1Client::OnLost(const absl::Status& why) {
  usable_ = false;
  if (failure_.ok()) failure_ = why;
  const bool unanswered = requests_ > 1 && !any_answer_;
  if (HttpExchange* const exchange = std::exchange(exchange_, nullptr)) {
    exchange->OnBackFailed(unanswered ? BackFailure::kUnanswered : BackFailure::kBroken, why);
  }
  hook_.OnCodecReady();
}

bool Http1Client::wants_bytes() const {
  if (exchange_ == nullptr) return true;
  const bool in_body = reading_ == Reading::kBody || reading_ == Reading::kTunnel;
  return !in_body || exchange_->response_body.size() < limits_.stream_bytes;
}

void Http1Client::OnResponseTaken(size_t) {
  Parse();
  hook_.OnCodecReady();
}

void Http1Client::Cancel() {
  exchange_ = nullptr;
  usable_ = false;
  reading_ = Reading::kDone;
  if (failure_.ok()) {
    failure_ = MakeError(ErrorCode::kCancelled, Leg::kBack, Phase::kRelay,
                         "the request was given up before its response was complete");
  }
  hook_.OnCodecReady();
}

void Http1Client::Drain() {
  usable_ = false;
  hook_.OnCodecReady();
}

}  // namespace trestle
