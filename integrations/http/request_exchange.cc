#include "integrations/http/request_exchange.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
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
    case 508:
      return HttpReason::kLoop;
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
  if (const std::optional<HttpRefusal> no = ChooseRoute(request)) return Refuse(*no);
  if (route_->redirect.has_value()) return Redirect(request);
  if (core_.options.judge != nullptr) BeginJudging(request);
  MakeBackRequest(std::move(request));
  Arm();
  if (judged_ == nullptr) return Forward();
  if (!request_.has_body) return AskJudge();
  // The judge has to see the body first.
  if (!std::exchange(request_.expects_continue, false)) return;
  continued_ = true;
  front_->SendInformational({100, {}, std::nullopt});
}

void RequestExchange::BeginJudging(const HttpRequest& request) {
  judged_ = std::make_unique<JudgedRequest>();
  judged_->connection = connection_->report();
  judged_->request = request;
}

void RequestExchange::KeepForJudge() {
  const size_t bytes = request_body.size();
  if (kept_.size() + bytes > core_.options.judge->body_bytes()) {
    return Refuse({413, "the body is longer than what may be kept for a verdict"});
  }
  kept_.append(std::string(request_body.view()));
  request_body.Consume(bytes);
  if (bytes > 0) front_->OnRequestTaken(bytes);
  if (request_body.ended()) AskJudge();
}

void RequestExchange::AskJudge() {
  if (judge_call_ != nullptr || judged_ == nullptr) return;
  judged_->body = kept_;
  const std::unique_ptr<JudgedRequest> judged = std::move(judged_);
  absl::StatusOr<std::unique_ptr<JudgeCall>> call =
      core_.options.judge->Judge(std::move(*judged), [this](std::optional<HttpRefusal> refusal) {
        const TurnQueue::Turn turn(core_.turns);
        OnVerdict(std::move(refusal));
      });
  if (!call.ok()) return Answer(503, HttpReason::kJudgeBusy, DetailOf(call.status()));
  judge_call_ = *std::move(call);
  Progress();
  Arm();
}

void RequestExchange::OnVerdict(std::optional<HttpRefusal> refusal) {
  if (refusal.has_value() || !core_.options.judge->judges_responses()) judge_call_.reset();
  if (refusal.has_value()) {
    return Answer(refusal->status, HttpReason::kDenied, std::move(refusal->reason));
  }
  if (request_.has_body) {
    BodyPipe replayed;
    replayed.Append(kept_);
    replayed.End(request_body.trailers());
    to_replay_ = kept_.size();
    if (!request_.content_length.has_value() && request_body.trailers().empty()) {
      request_.content_length = kept_.size();
    }
    request_body = std::move(replayed);
    std::string().swap(kept_);
  }
  Progress();
  Forward();
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
  if (!core_.options.via.empty() && HasPassed(core_.options.via, request.fields)) {
    return HttpRefusal{508, "the request has passed this gateway before, by its Via"};
  }
  const RequestJudge* const judge = core_.options.judge;
  const uint64_t length = request.content_length.value_or(0);
  if (length > core_.options.body_bytes || (judge != nullptr && length > judge->body_bytes())) {
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
  const RequestJudge* const judge = core_.options.judge;
  const bool readable = judge != nullptr && judge->judges_responses();
  for (const HttpFields::Field& field : request.fields) {
    if (readable && field.name == "accept-encoding") continue;
    if (field.name != kRequestId) head.fields.push_back({field.name, field.value});
  }
  HttpFields fields;
  connection_->rewriter().ForEachField(
      head, [&](absl::string_view name, absl::string_view value) { fields.Add(name, value); });
  fields.Add(kRequestId, report_.id);
  if (!core_.options.via.empty()) AddVia(core_.options.via, request.version, fields);
  request.fields = std::move(fields);
  if (back_target_.has_value()) request.target = *std::move(back_target_);
  if (!absl::c_linear_search(core_.options.upgrades, request.protocol)) request.protocol.clear();
  request_ = std::move(request);
  if (request_.protocol.empty()) return;
  from_http2_tunnel_ = request_.version == HttpVersion::kHttp2;
  if (from_http2_tunnel_) AddTunnelFields();
}

void RequestExchange::Forward() {
  state_ = State::kConnecting;
  Progress();
  Arm();
  if (!AskCache()) Connect();
}

void RequestExchange::Connect() {
  if (candidates_.empty()) {
    if (ServeStale()) return;
    return Answer(503, HttpReason::kUnreachable, DetailOf(NoBackendError(route_->backends)));
  }
  BackendTarget target;
  const BackendChooser::Candidate& backend = candidates_[candidate_];
  target.endpoint = backend.endpoint;
  if (backend.name != nullptr) target.host = backend.name->ToString();
  target.scheme = route_->scheme;
  target.server_name = route_->backend_name;
  target.verify_name = route_->verify_name;
  target.http1_only = !request_.protocol.empty() && !tunnel_needs_http2_;
  target.tls = core_.options.back_tls;
  report_.backend = target.endpoint;
  ++report_.tries;
  state_ = State::kConnecting;
  Arm();
  if (!std::exchange(counted_, true)) core_.chooser.Opened(backend);
  core_.chooser.Try(backend, ShownToBackend(), core_.scheduler.MonotonicNow());
  in_pool_ = true;
  core_.pool.Get(target, *this);
}

// Requests that change the protocol offer a backend other ones by ALPN, so that it may refuse only
// these.
BackendChooser::Shown RequestExchange::ShownToBackend() const {
  return request_.protocol.empty() || tunnel_needs_http2_ ? "" : "http/1.1 only";
}

void RequestExchange::OnConnection(BackendConnection& connection) {
  in_pool_ = false;
  core_.chooser.Succeeded(candidates_[candidate_], ShownToBackend(),
                          core_.scheduler.MonotonicNow());
  report_.backend_version = connection.version();
  report_.backend_reached = true;
  report_.backend_reused = connection.reused();
  state_ = State::kWaiting;
  Progress();
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
  const BackendChooser::Candidate& tried = candidates_[candidate_];
  if (error.has_value() && error->code == ErrorCode::kOverLimit) {
    core_.chooser.Abandoned(tried, ShownToBackend());
    return Answer(503, HttpReason::kPoolFull, DetailOf(why));
  }
  if (NeedsHttp2(why)) {
    core_.chooser.Abandoned(tried, ShownToBackend());
    tunnel_needs_http2_ = true;
    return Connect();
  }
  const bool dialing = !error.has_value() || error->phase == Phase::kDial;
  if (BlamesBackend(why)) {
    core_.chooser.Failed(tried, dialing ? BackendChooser::Shown() : ShownToBackend(), why,
                         core_.options.ejection, core_.scheduler.MonotonicNow());
  }
  core_.chooser.Abandoned(tried, ShownToBackend());
  CountOut();
  if (++candidate_ < candidates_.size()) return Connect();
  candidate_ = candidates_.size() - 1;
  if (ServeStale()) return;
  if (IsOfTls(why)) return Answer(502, HttpReason::kBackTlsFailed, DetailOf(why));
  if (IsTimeout(why)) return Answer(504, HttpReason::kConnectTimeout, DetailOf(why));
  Answer(502, HttpReason::kUnreachable, DetailOf(why));
}

void RequestExchange::OnRequestBody() {
  if (own_page_) return;
  Progress();
  const uint64_t before = std::exchange(report_.bytes_in, request_body.passed());
  if (RefuseSlowBody(report_.bytes_in - before)) return;
  if (!tunnel_ && report_.bytes_in > core_.options.body_bytes) {
    return OnRequestRefused({413, "the body is over the limit"});
  }
  if (state_ == State::kJudging && judged_ != nullptr) return KeepForJudge();
  if (tunnel_ && request_body.ended()) Arm();  // With a shorter limit.
  if (back_ != nullptr) back_->OnRequestBody();
}

void RequestExchange::OnRequestTaken(size_t bytes) {
  Progress();
  if (RefuseSlowBody(0)) return;
  taken_by_back_ += bytes;
  const size_t replayed = std::min(bytes, to_replay_);
  to_replay_ -= replayed;
  bytes -= replayed;
  if (bytes > 0 && front_ != nullptr) front_->OnRequestTaken(bytes);
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
  if (tunnel_ && !from_http2_tunnel_) ProveHandshake(response);
  if (!HoldForJudge(response)) PassResponse(std::move(response));
}

void RequestExchange::PassResponse(HttpResponse response) {
  if (TakeFromCache(response)) return;
  AddStickyCookie(response);
  if (!core_.options.via.empty()) {
    AddVia(core_.options.via, report_.backend_version, response.fields);
  }
  SendResponse(std::move(response));
}

void RequestExchange::SendResponse(HttpResponse response) {
  ApplyRules(core_.options.response_fields, response.fields);
  if (route_ != nullptr) ApplyRules(route_->response_fields, response.fields);
  if (connection_->report().front.tls != nullptr) ApplyHsts(core_.options.hsts, response.fields);
  state_ = State::kResponding;
  report_.status = response.status;
  report_.bytes_out = response_body.passed();
  Arm();
  front_->SendResponse(response);
}

void RequestExchange::OnResponseBody() {
  Progress();
  if (held_ != nullptr) return KeepHeld();
  if (CutSlowReader(0)) return;
  KeepForCache();
  report_.bytes_out = response_body.passed();
  if (front_ != nullptr) front_->OnResponseBody();
}

void RequestExchange::OnResponseTaken(size_t bytes) {
  Progress();
  if (CutSlowReader(bytes)) return;
  const size_t held = std::min(bytes, held_to_send_);
  held_to_send_ -= held;
  if (back_ != nullptr && bytes > held) back_->OnResponseTaken(bytes - held);
}

void RequestExchange::OnBackDone() {
  back_ = nullptr;
  CountOut();
  if (held_ != nullptr) return KeepHeld();
  StoreComplete();
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
  if (ServeStale()) return;
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
  tunnel_ = false;
  report_.reason = reason;
  report_.detail = std::move(detail);
  HttpResponse response;
  response.status = status;
  response.fields.Add("cache-control", "no-store");
  SendPage(std::move(response));
}

// Sends a head with a page of this gateway.
void RequestExchange::SendPage(HttpResponse response) {
  own_page_ = true;
  response.fields.Add("content-type", "text/plain");
  response.fields.Add(kRequestId, report_.id);
  const std::string page = absl::StrCat(response.status, " ", StatusText(response.status), "\n");
  response.content_length = page.size();
  if (!to_head_) response_body.Append(page);
  response_body.End();
  SendResponse(std::move(response));
}

void RequestExchange::AbortFront(HttpReason reason, std::string detail) {
  report_.reason = reason;
  report_.detail = std::move(detail);
  if (FrontStream* const front = std::exchange(front_, nullptr)) front->Abort(report_.detail);
  Finish();
}

void RequestExchange::CountOut() {
  if (std::exchange(counted_, false)) core_.chooser.Closed(candidates_[candidate_].endpoint);
}

void RequestExchange::DropBack() {
  continuation_.reset();
  judge_call_.reset();
  if (std::exchange(held_, nullptr) != nullptr) response_body = BodyPipe();
  LeaveFetch();
  EndFetch();
  if (std::exchange(in_pool_, false)) {
    core_.pool.Forget(*this);
    core_.chooser.Abandoned(candidates_[candidate_], ShownToBackend());
  }
  CountOut();
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

}  // namespace trestle
