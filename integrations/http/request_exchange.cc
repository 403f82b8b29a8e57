#include "integrations/http/request_exchange.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "integrations/http/front_connection.h"
#include "integrations/http/gateway_core.h"
#include "integrations/http/status_text.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr int kMaxRetries = 2;
constexpr double kRetriesPerRequest = 0.2;
constexpr double kMostRetriesAtOnce = 20;
constexpr char kRequestId[] = "x-request-id";

HttpReason ReasonOf(int status) {
  switch (status) {
    case 404:
      return HttpReason::kNoRoute;
    case 405:
      return HttpReason::kMethodNotAllowed;
    case 408:
      return HttpReason::kHeadTimeout;
    case 413:
      return HttpReason::kBodyTooLarge;
    case 414:
      return HttpReason::kTargetTooLong;
    case 421:
      return HttpReason::kMisdirected;
    case 431:
      return HttpReason::kHeadTooLarge;
    default:
      return HttpReason::kBadRequest;
  }
}

bool IsIdempotent(absl::string_view method) {
  for (const absl::string_view safe : {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"}) {
    if (method == safe) return true;
  }
  return false;
}

std::string DetailOf(const absl::Status& status) { return ErrorText(ToError(status)); }

bool IsTimeout(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  return error.has_value() && error->code == ErrorCode::kTimeout;
}

bool IsOfTls(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  return error.has_value() && error->phase == Phase::kHandshake;
}

}  // namespace

RequestExchange::RequestExchange(GatewayCore& core, FrontConnection& front, FrontStream& stream)
    : core_(core),
      connection_(&front),
      front_(&stream),
      began_(core.scheduler.MonotonicNow()),
      progress_(began_) {
  report_.began = core.scheduler.Now();
  report_.connection = front.report().id;
  report_.client = front.peer();
}

void RequestExchange::Note(const HttpRequest& request) {
  report_.version = request.version;
  report_.method = request.method;
  report_.host = request.host;
  report_.target = request.target;
  to_head_ = request.method == "HEAD";
  const std::string* const theirs = request.fields.Find(kRequestId);
  if (connection_->trusted() && theirs != nullptr && IsToken(*theirs) && theirs->size() <= 128) {
    report_.id = *theirs;
  } else {
    report_.id = absl::StrFormat("%016x%016x", core_.random(), core_.random());
  }
}

void RequestExchange::BeginRefused(HttpRequest request, HttpRefusal refusal) {
  Note(request);
  Refuse(refusal);
}

void RequestExchange::Begin(HttpRequest request) {
  Note(request);
  core_.retries_left = std::min(core_.retries_left + kRetriesPerRequest, kMostRetriesAtOnce);
  if (const std::optional<HttpRefusal> no = Check(request)) return Refuse(*no);
  HttpRefusal refusal;
  route_ = core_.options.routes->Find(request.host, request.path(), refusal);
  if (route_ == nullptr) return Refuse(refusal);
  report_.route = route_->name();
  MakeBackRequest(std::move(request));
  candidates_ = core_.picker.Order(route_->backends, connection_->peer(), began_);
  Arm();
  Connect();
}

std::optional<HttpRefusal> RequestExchange::Check(const HttpRequest& request) const {
  const bool extended = request.version == HttpVersion::kHttp2 && !request.protocol.empty();
  if (request.method == "CONNECT" && !extended) return HttpRefusal{405, "CONNECT isn't allowed"};
  if (extended && !absl::c_linear_search(core_.options.upgrades, request.protocol)) {
    return HttpRefusal{501, "a protocol that isn't served here"};
  }
  if (!connection_->MayAskFor(request.host)) {
    return HttpRefusal{421, "the request is for another host than the connection"};
  }
  if (request.content_length.value_or(0) > core_.options.body_bytes) {
    return HttpRefusal{413, "the body is over the limit"};
  }
  return connection_->rewriter().refusal();
}

// The rules for fields are those of HTTP/1.1, which have their own representation.
void RequestExchange::MakeBackRequest(HttpRequest request) {
  HttpRequestHead head;
  head.method = request.method;
  head.target = request.target;
  head.authority = request.authority;
  for (const HttpFields::Field& field : request.fields) {
    if (field.name != kRequestId) head.fields.push_back({field.name, field.value});
  }
  HttpFields fields;
  connection_->rewriter().ForEachField(
      head, [&](absl::string_view name, absl::string_view value) { fields.Add(name, value); });
  fields.Add(kRequestId, report_.id);
  request.fields = std::move(fields);
  if (!absl::c_linear_search(core_.options.upgrades, request.protocol)) request.protocol.clear();
  request_ = std::move(request);
  if (request_.protocol.empty()) return;
  from_http2_tunnel_ = request_.version == HttpVersion::kHttp2;
  if (from_http2_tunnel_) AddTunnelFields();
}

// An extended CONNECT becomes an Upgrade of HTTP/1.1 (RFC 8441 5, RFC 6455 4.1).
void RequestExchange::AddTunnelFields() {
  request_.method = "GET";
  std::string key;
  for (int i = 0; i < 16; ++i) key.push_back(static_cast<char>(core_.random() & 0xff));
  request_.fields.Set("sec-websocket-key", absl::Base64Escape(key));
}

void RequestExchange::Connect() {
  BackendTarget target;
  target.endpoint = candidates_[candidate_];
  target.scheme = route_->scheme;
  target.server_name = route_->backend_name;
  target.http1_only = !request_.protocol.empty();
  target.tls = core_.options.back_tls;
  report_.backend = target.endpoint;
  ++report_.tries;
  state_ = State::kConnecting;
  in_pool_ = true;
  core_.pool.Get(target, *this);
}

void RequestExchange::OnConnection(BackendConnection& connection) {
  in_pool_ = false;
  core_.picker.Succeeded(candidates_[candidate_]);
  report_.backend_version = connection.version();
  report_.backend_reused = connection.reused();
  state_ = State::kWaiting;
  Progress();
  if (!request_.protocol.empty() && connection.version() == HttpVersion::kHttp2) {
    return Answer(502, HttpReason::kBadResponse, "an h2c backend can't change the protocol");
  }
  back_ = &connection.Start(*this, request_);
  Arm();
  if (!request_.expects_continue || continued_) return;
  continuation_ = core_.scheduler.RunAfter(core_.options.timeouts.continuation, [this] {
    const TurnQueue::Turn turn(core_.turns);
    if (state_ != State::kWaiting || std::exchange(continued_, true)) return;
    front_->SendInformational({100, {}, std::nullopt});
  });
}

void RequestExchange::OnNoConnection(const absl::Status& why) {
  in_pool_ = false;
  const std::optional<Error> error = GetError(why);
  if (error.has_value() && error->code == ErrorCode::kOverLimit) {
    return Answer(503, HttpReason::kPoolFull, DetailOf(why));
  }
  core_.picker.Failed(candidates_[candidate_], core_.scheduler.MonotonicNow());
  if (++candidate_ < candidates_.size()) return Connect();
  candidate_ = candidates_.size() - 1;
  if (IsOfTls(why)) return Answer(502, HttpReason::kBackTlsFailed, DetailOf(why));
  if (IsTimeout(why)) return Answer(504, HttpReason::kConnectTimeout, DetailOf(why));
  Answer(502, HttpReason::kUnreachable, DetailOf(why));
}

void RequestExchange::OnRequestBody() {
  if (own_page_) return;
  Progress();
  report_.bytes_in = request_body.passed();
  if (!tunnel_ && report_.bytes_in > core_.options.body_bytes) {
    return OnRequestRefused({413, "the body is over the limit"});
  }
  if (back_ != nullptr) back_->OnRequestBody();
}

void RequestExchange::OnRequestTaken(size_t bytes) {
  Progress();
  taken_by_back_ += bytes;
  if (front_ != nullptr) front_->OnRequestTaken(bytes);
}

void RequestExchange::OnRequestRefused(HttpRefusal refusal) {
  if (!own_page_ && state_ != State::kOver) Refuse(refusal);
}

void RequestExchange::OnInformational(HttpResponse response) {
  Progress();
  if (front_ == nullptr) return;
  if (response.status == 100 && (!request_.expects_continue || std::exchange(continued_, true))) {
    return;
  }
  front_->SendInformational(response);
}

void RequestExchange::OnResponse(HttpResponse response) {
  Progress();
  continuation_.reset();
  report_.first_byte = core_.scheduler.MonotonicNow() - began_;
  tunnel_ = response.status == 101;
  // To HTTP/2 clients, each 2xx would be an agreement.
  if (from_http2_tunnel_ && !tunnel_ && response.status / 100 == 2) {
    return Answer(502, HttpReason::kBadResponse, "the backend did not change the protocol");
  }
  if (from_http2_tunnel_) response.fields.Remove("sec-websocket-accept");
  state_ = State::kResponding;
  report_.status = response.status;
  front_->SendResponse(response);
  Arm();
}

void RequestExchange::OnResponseBody() {
  Progress();
  report_.bytes_out = response_body.passed();
  if (front_ != nullptr) front_->OnResponseBody();
}

void RequestExchange::OnResponseTaken(size_t bytes) {
  Progress();
  if (back_ != nullptr) back_->OnResponseTaken(bytes);
}

void RequestExchange::OnBackDone() {
  back_ = nullptr;
  report_.bytes_out = response_body.passed();
  if (front_ != nullptr) front_->OnResponseBody();
}

bool RequestExchange::MayRetry(BackFailure failure) const {
  if (state_ != State::kWaiting || taken_by_back_ > 0 || retries_ >= kMaxRetries) return false;
  if (core_.retries_left < 1 || !request_.protocol.empty()) return false;
  return failure == BackFailure::kNotProcessed ||
         (failure == BackFailure::kUnanswered && IsIdempotent(request_.method));
}

void RequestExchange::OnBackFailed(BackFailure failure, const absl::Status& why) {
  back_ = nullptr;
  continuation_.reset();
  if (state_ == State::kOver) return;
  if (MayRetry(failure)) {
    ++retries_;
    core_.retries_left -= 1;
    return Connect();
  }
  const std::optional<Error> error = GetError(why);
  const bool bad = error.has_value() && error->code == ErrorCode::kProtocol;
  Answer(502, bad ? HttpReason::kBadResponse : HttpReason::kBackendClosed, DetailOf(why));
}

void RequestExchange::OnClientGone(const absl::Status& why) {
  front_ = nullptr;
  if (report_.reason == HttpReason::kNone) {
    report_.reason = HttpReason::kClientGone;
    report_.detail = DetailOf(why);
  }
  Finish();
}

void RequestExchange::OnResponseSent() {
  front_ = nullptr;
  Finish();
}

void RequestExchange::Refuse(const HttpRefusal& refusal) {
  Answer(refusal.status, ReasonOf(refusal.status), refusal.reason);
}

// Answers with a page of this gateway, or cuts a response that has begun.
void RequestExchange::Answer(int status, HttpReason reason, std::string detail) {
  DropBack();
  if (state_ == State::kResponding) return AbortFront(reason, std::move(detail));
  state_ = State::kResponding;
  own_page_ = true;
  report_.status = status;
  report_.reason = reason;
  report_.detail = std::move(detail);
  HttpResponse response;
  response.status = status;
  response.fields.Add("content-type", "text/plain");
  response.fields.Add("cache-control", "no-store");
  response.fields.Add(kRequestId, report_.id);
  const std::string page = absl::StrCat(status, " ", StatusText(status), "\n");
  response.content_length = page.size();
  if (!to_head_) response_body.Append(page);
  response_body.End();
  report_.bytes_out = response_body.passed();
  Arm();
  front_->SendResponse(response);
}

void RequestExchange::AbortFront(HttpReason reason, std::string detail) {
  report_.reason = reason;
  report_.detail = std::move(detail);
  if (FrontStream* const front = std::exchange(front_, nullptr)) front->Abort(report_.detail);
  Finish();
}

void RequestExchange::DropBack() {
  continuation_.reset();
  if (std::exchange(in_pool_, false)) core_.pool.Forget(*this);
  if (BackStream* const back = std::exchange(back_, nullptr)) back->Cancel();
}

void RequestExchange::Finish() {
  if (state_ == State::kOver) return;
  DropBack();
  state_ = State::kOver;
  limit_.reset();
  report_.duration = core_.scheduler.MonotonicNow() - began_;
  if (core_.observer != nullptr) core_.observer->OnRequest(report_);
  const auto found = core_.exchanges.find(this);
  if (found == core_.exchanges.end()) return;
  core_.turns.Bury(std::move(found->second));
  core_.exchanges.erase(found);
}

void RequestExchange::Progress() { progress_ = core_.scheduler.MonotonicNow(); }

// Returns how long the state may last without progress.
absl::Duration RequestExchange::LimitNow() const {
  const HttpTimeouts& timeouts = core_.options.timeouts;
  if (tunnel_) return timeouts.tunnel;
  switch (state_) {
    case State::kConnecting:
      return timeouts.connect;
    case State::kWaiting: {
      const bool client_owes = request_.has_body && !request_body.ended() && request_body.empty();
      return client_owes ? timeouts.body : timeouts.first_byte;
    }
    case State::kResponding:
    case State::kOver:
      return timeouts.response;
  }
  return timeouts.response;
}

void RequestExchange::Arm() {
  const absl::Duration left = LimitNow() - (core_.scheduler.MonotonicNow() - progress_);
  limit_ = core_.scheduler.RunAfter(std::max(left, absl::Milliseconds(1)), [this] {
    const TurnQueue::Turn turn(core_.turns);
    OnLimit();
  });
}

void RequestExchange::OnLimit() {
  const absl::Duration silence = core_.scheduler.MonotonicNow() - progress_;
  if (silence < LimitNow()) return Arm();
  switch (state_) {
    case State::kConnecting:
      return Answer(504, HttpReason::kConnectTimeout, "no backend was connected to in time");
    case State::kWaiting:
      if (request_.has_body && !request_body.ended() && request_body.empty()) {
        return Answer(408, HttpReason::kBodyTimeout, "the client sent nothing of its body in time");
      }
      return Answer(504, HttpReason::kBackendTimeout, "the backend did not answer in time");
    case State::kResponding: {
      const bool client = !response_body.empty() || response_body.ended();
      return AbortFront(client ? HttpReason::kClientTimeout : HttpReason::kBackendTimeout,
                        client ? "the client did not read its response in time"
                               : "the backend sent nothing of its response in time");
    }
    case State::kOver:
      return;
  }
}

}  // namespace trestle
