#include "integrations/http/http1_server.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "integrations/http/status_text.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr int kMaxEmptyLines = 4;  // Before a request line (RFC 9112 2.2).

// Fields that the model has in another place, or that belong to one connection.
bool IsOfConnection(absl::string_view name) {
  for (const absl::string_view own :
       {"host", "content-length", "transfer-encoding", "expect", "connection", "keep-alive",
        "proxy-connection", "upgrade", "te", "http2-settings"}) {
    if (absl::EqualsIgnoreCase(name, own)) return true;
  }
  return false;
}

// Returns the path and query of a target in any form but that of CONNECT.
std::string OriginForm(absl::string_view target) {
  const size_t scheme = target.find("://");
  if (absl::StartsWith(target, "/") || scheme == absl::string_view::npos) {
    return std::string(target);
  }
  target.remove_prefix(std::min(target.size(), target.find_first_of("/?", scheme + 3)));
  return absl::StrCat(absl::StartsWith(target, "/") ? "" : "/", target);
}

HttpRequest ModelOf(const HttpRequestHead& head) {
  HttpRequest request;
  request.version = head.minor_version == 0 ? HttpVersion::kHttp10 : HttpVersion::kHttp11;
  request.method = std::string(head.method);
  request.authority = std::string(head.authority);
  request.host = head.host;
  request.target = OriginForm(head.target);
  request.protocol = absl::AsciiStrToLower(head.upgrade);
  request.has_body = head.has_body();
  request.expects_continue = head.expects_continue;
  const bool sized = !head.chunked && head.Find("Content-Length") != nullptr;
  if (sized) request.content_length = head.content_length;
  for (const HttpField& field : head.fields) {
    const auto named = [&](absl::string_view option) {
      return absl::EqualsIgnoreCase(option, field.name);
    };
    const bool trailers =
        absl::EqualsIgnoreCase(field.name, "te") && HasToken(field.value, "trailers");
    if (trailers) request.fields.Set("te", "trailers");
    if (IsOfConnection(field.name)) continue;
    if (std::none_of(head.options.begin(), head.options.end(), named)) {
      request.fields.Add(field.name, field.value);
    }
  }
  return request;
}

}  // namespace

void Http1Server::Receive(absl::string_view bytes) {
  if (reading_ == Reading::kOver) return;
  in_.append(bytes.data(), bytes.size());
  Parse();
}

void Http1Server::Parse() {
  if (std::exchange(parsing_, true)) return;  // The call on the stack goes on.
  ParseAll();
  parsing_ = false;
}

void Http1Server::ParseAll() {
  bool progress = true;
  while (progress && !in_.empty()) {
    switch (reading_) {
      case Reading::kHead:
        progress = ReadHead();
        break;
      case Reading::kBody:
        progress = ReadBody();
        break;
      case Reading::kTunnel:
        exchange_->request_body.Append(in_);
        in_.clear();
        exchange_->OnRequestBody();
        break;
      case Reading::kComplete:
        return;
      case Reading::kOver:
        in_.clear();
        break;
    }
  }
}

bool Http1Server::ReadHead() {
  if (scanner_.scanned() == 0 && absl::StartsWith(in_, "\r\n")) {
    in_.erase(0, 2);
    if (++empty_lines_ > kMaxEmptyLines) Refuse({400, "empty lines instead of a request"});
    return true;
  }
  HttpRefusal refusal;
  switch (scanner_.Scan(in_, limits_.head, refusal)) {
    case HeadScanner::State::kNeedMore:
      if (ended_) Refuse({400, "the client ended in the middle of a head"});
      return ended_;
    case HeadScanner::State::kRefused:
      Refuse(std::move(refusal));
      return true;
    case HeadScanner::State::kComplete:
      break;
  }
  const size_t size = scanner_.scanned();
  scanner_ = {};
  empty_lines_ = 0;
  const std::string text = in_.substr(0, size);
  in_.erase(0, size);
  const std::optional<HttpRequestHead> head = ReadRequestHead(text, limits_.head, refusal);
  if (head.has_value()) {
    Begin(*head);
  } else {
    to_head_ = absl::StartsWith(text, "HEAD ");
    HttpRequest part;
    part.method = text.substr(0, std::min<size_t>(text.find(' '), 32));
    if (!IsToken(part.method)) part.method.clear();
    Refuse(std::move(refusal), std::move(part));
  }
  return true;
}

void Http1Server::Begin(const HttpRequestHead& head) {
  to_head_ = head.method == "HEAD";
  minor_version_ = head.minor_version;
  keep_alive_ = head.keep_alive;
  answered_ = tunnel_ = false;
  HttpRequest request = ModelOf(head);
  // A body ahead of another protocol has no use, and leaves its end in doubt.
  if (request.has_body) request.protocol.clear();
  protocol_ = request.protocol;
  if (!head.has_body()) {
    body_.BeginSized(0);
  } else if (head.chunked) {
    body_.BeginChunked(/*from_client=*/true);
  } else {
    body_.BeginSized(head.content_length);
  }
  const bool complete = body_.state() == Http1BodyReader::State::kComplete;
  // Bytes behind a request for another protocol wait for the answer.
  reading_ = complete ? Reading::kComplete : Reading::kBody;
  HttpExchange* const exchange = handler_.OnRequest(*this, std::move(request));
  if (reading_ == Reading::kOver) return;  // Aborted.
  exchange_ = exchange;
  if (!complete || !protocol_.empty()) return;
  exchange_->request_body.End();
  exchange_->OnRequestBody();
}

bool Http1Server::ReadBody() {
  if (exchange_->request_body.size() >= limits_.stream_bytes) return false;
  const size_t taken = body_.Read(in_, exchange_->request_body);
  in_.erase(0, taken);
  if (body_.state() == Http1BodyReader::State::kFailed) {
    reading_ = Reading::kOver;
    keep_alive_ = false;
    exchange_->OnRequestRefused(body_.refusal());
    return true;
  }
  const bool complete = body_.state() == Http1BodyReader::State::kComplete;
  if (complete) reading_ = Reading::kComplete;
  if (taken > 0 || complete) exchange_->OnRequestBody();
  return taken > 0 || complete;
}

void Http1Server::Refuse(HttpRefusal refusal, HttpRequest request) {
  reading_ = Reading::kOver;
  in_.clear();
  keep_alive_ = false;
  answered_ = tunnel_ = false;
  exchange_ = handler_.OnRefused(*this, std::move(request), std::move(refusal));
}

void Http1Server::TimeOutHead() {
  if (in_head()) Refuse({408, "the head took longer than its limit"});
}

void Http1Server::ReceiveEnd() {
  ended_ = true;
  switch (reading_) {
    case Reading::kHead:
      if (in_.empty()) {
        over_ = true;
        return hook_.OnCodecReady();
      }
      return Parse();
    case Reading::kBody:
      body_.ReadEnd(exchange_->request_body);
      return OnLost(MakeError(ErrorCode::kTruncated, Leg::kFront, Phase::kRelay,
                              "the client ended in the middle of a request"));
    case Reading::kTunnel:
      exchange_->request_body.End();
      return exchange_->OnRequestBody();
    case Reading::kComplete:
    case Reading::kOver:
      keep_alive_ = false;  // A half-closed client still reads its response.
  }
}

void Http1Server::OnLost(const absl::Status& why) {
  reading_ = Reading::kOver;
  if (failure_.ok()) failure_ = why;
  if (HttpExchange* const exchange = std::exchange(exchange_, nullptr)) exchange->OnClientGone(why);
  hook_.OnCodecReady();
}

bool Http1Server::wants_bytes() const {
  switch (reading_) {
    case Reading::kBody:
    case Reading::kTunnel:
      return exchange_->request_body.size() < limits_.stream_bytes;
    case Reading::kComplete:
      return in_.size() < limits_.head.head_bytes;
    case Reading::kHead:
    case Reading::kOver:
      return true;
  }
  return true;
}

void Http1Server::OnRequestTaken(size_t) {
  Parse();
  hook_.OnCodecReady();
}

void Http1Server::SendInformational(const HttpResponse& response) {
  if (minor_version_ == 0 || answered_) return;
  absl::StrAppend(&out_, "HTTP/1.1 ", response.status, " ", StatusText(response.status), "\r\n");
  for (const HttpFields::Field& field : response.fields) AppendField(out_, field.name, field.value);
  out_.append("\r\n");
  hook_.OnCodecReady();
}

void Http1Server::SendResponse(const HttpResponse& response) {
  answered_ = true;
  tunnel_ = response.status == 101;
  if (!protocol_.empty() && !tunnel_ && exchange_ != nullptr) {
    exchange_->request_body.End();  // It is an ordinary request after all.
  }
  AppendHead(response, !HasNoBody(response.status, to_head_));
  if (tunnel_) {
    reading_ = Reading::kTunnel;
    keep_alive_ = false;
    Parse();
  }
  hook_.OnCodecReady();
}

void Http1Server::AppendHead(const HttpResponse& response, bool has_body) {
  const bool sized = response.content_length.has_value();
  chunked_ = has_body && !sized && minor_version_ == 1 && !tunnel_;
  if (has_body && !sized && minor_version_ == 0) keep_alive_ = false;
  if (draining_ || reading_ == Reading::kOver) keep_alive_ = false;
  absl::StrAppend(&out_, "HTTP/1.1 ", response.status, " ", StatusText(response.status), "\r\n");
  for (const HttpFields::Field& field : response.fields) AppendField(out_, field.name, field.value);
  const bool may_have_length = response.status / 100 != 1 && response.status != 204;
  if (sized && may_have_length) {
    AppendField(out_, "content-length", absl::StrCat(*response.content_length));
  }
  if (chunked_) AppendField(out_, "transfer-encoding", "chunked");
  if (tunnel_) {
    AppendField(out_, "upgrade", protocol_);
    AppendField(out_, "connection", "upgrade");
  } else if (!keep_alive_) {
    AppendField(out_, "connection", "close");
  } else if (minor_version_ == 0) {
    AppendField(out_, "connection", "keep-alive");
  }
  out_.append("\r\n");
}

void Http1Server::Produce(std::string& out, size_t limit) {
  out.append(out_);
  std::string().swap(out_);
  while (exchange_ != nullptr && answered_ && failure_.ok()) {
    BodyPipe& pipe = exchange_->response_body;
    const bool was_finished = pipe.finished();
    if (!was_finished && (pipe.empty() || out.size() >= limit)) return;
    const size_t taken = AppendBody(out, pipe, chunked_, limit - std::min(limit, out.size()));
    if (pipe.finished()) return FinishResponse();
    if (taken == 0) return;
    exchange_->OnResponseTaken(taken);
  }
}

void Http1Server::FinishResponse() {
  HttpExchange* const exchange = std::exchange(exchange_, nullptr);
  exchange->OnResponseSent();
  const bool complete = reading_ == Reading::kComplete;
  if (!complete || !keep_alive_ || draining_) {
    reading_ = Reading::kOver;
    in_.clear();
    over_ = true;
    return hook_.OnCodecReady();
  }
  reading_ = Reading::kHead;
  Parse();
  hook_.OnCodecReady();
}

void Http1Server::Abort(absl::string_view reason) {
  exchange_ = nullptr;
  reading_ = Reading::kOver;
  if (failure_.ok()) {
    failure_ = MakeError(ErrorCode::kCancelled, Leg::kFront, Phase::kRelay, std::string(reason));
  }
  hook_.OnCodecReady();
}

void Http1Server::Drain() {
  draining_ = true;
  if (!idle()) return;
  reading_ = Reading::kOver;
  over_ = true;
  hook_.OnCodecReady();
}

}  // namespace trestle
