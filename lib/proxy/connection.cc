#include "lib/proxy/connection.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "lib/proxy/connection_set.h"
#include "lib/proxy/proxy_header_leg.h"
#include "lib/wire/hidden_name.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

// Maximum time between checks of the end date.
constexpr absl::Duration kDateCheck = absl::Minutes(30);

constexpr uint8_t kAlertUnrecognizedName = 112;  // RFC 6066 3.

// The longest record with an alert is one of TLS 1.2 with AES-CBC and SHA-384. It has header, IV,
// and a padded block of alert and MAC (RFC 5246 6.2.3.2).
constexpr size_t kMaxAlertBytes = 5 + 16 + 64;

ErrorCode CodeOf(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  return error.has_value() ? error->code : ErrorCode::kInternal;
}

// Returns how to end a leg after a failure.
StreamEnd EndFor(Leg leg, bool cuts, ErrorCode code) {
  // A clean end is harmless before any byte was relayed, because nothing can be truncated. The same
  // holds after a handler has marked its end.
  if (!cuts) return StreamEnd::kClean;
  const bool blocked = code == ErrorCode::kBlockedByInspector;
  return blocked && leg == Leg::kFront ? StreamEnd::kClean : StreamEnd::kTruncated;
}

// Checks that TLS negotiates the server name and protocols by which the route was chosen, or at
// least the same route. They differ if the hello was encrypted (ECH).
absl::Status CheckSameRoute(const RoutedHello& routed, const HelloToAnswer& hello) {
  if (hello.server_name == routed.server_name && hello.alpn == routed.report.alpn) {
    return absl::OkStatus();
  }
  const bool leads_here =
      !routed.checks.empty() && absl::c_all_of(routed.checks, [&](const auto& check) {
        return check->LeadsToSameHandler(hello.server_name, hello.alpn);
      });
  if (leads_here) return absl::OkStatus();
  return MakeError({ErrorCode::kNoRoute, Leg::kFront, Phase::kRoute, kAlertUnrecognizedName,
                    absl::StrCat("the route was chosen by \"", routed.server_name,
                                 "\"; the hello that TLS answers leads elsewhere")});
}

}  // namespace

Connection::Connection(ConnectionSet& set, uint64_t id)
    : set_(set), opening_(std::make_unique<Opening>(set, report_)) {
  report_.id = id;
  report_.mode = set.plan.mode();
  report_.accepted = set.scheduler.Now();
  start_ = stage_start_ = set.scheduler.MonotonicNow();
}

Connection::~Connection() = default;

void Connection::Start(Accepted accepted) {
  Opening& opening = *opening_;
  if (accepted.time != MonotonicTime()) start_ = accepted.time;
  const absl::Duration waited = set_.scheduler.MonotonicNow() - start_;
  report_.accepted -= waited;
  slot_ = std::move(accepted.slot);
  opening.origin = std::move(accepted.origin);
  opening.routed = std::move(accepted.hello);
  if (opening.routed != nullptr) {
    report_.hello = opening.routed->report;
    report_.route = opening.routed->route;
    report_.server_name_hidden = opening.routed->server_name_hidden;
  }
  opening.front =
      set_.plan.NewFront({set_.options.limiter.get(), opening.origin, opening.routed.get(), *this,
                          [this](const HelloToAnswer& hello) { return OnHelloComplete(hello); }});
  // An earlier block that handed the connection over has read its header.
  const bool header_read = opening.origin.proxy_header != nullptr;
  if (!header_read && set_.options.proxy_protocol_from.Contains(opening.origin.peer)) {
    opening.origin.via = opening.origin.peer;
    opening.front =
        std::make_unique<ProxyHeaderLeg>(set_.scheduler, std::move(opening.front), opening.origin);
  }
  ReportOrigin();
  LimitPhase(std::max(set_.options.hello_timeout - waited, absl::ZeroDuration()));
  opening.front->Open(std::move(accepted.transport),
                      [this](absl::Status status) { OnFrontOpen(std::move(status)); });
}

void Connection::ReportOrigin() {
  const ConnectionOrigin& origin = opening_->origin;
  report_.front.local = origin.local;
  report_.front.peer = origin.peer;
  report_.front.via = origin.via;
}

void Connection::ReportFront() {
  report_.server_name = opening_->front->server_name();
  if (std::optional<HelloReport> hello = opening_->front->hello())
    report_.hello = *std::move(hello);
  ReportOrigin();
}

// Called from inside the front leg: nothing may be destroyed here.
absl::Status Connection::OnHelloComplete(const HelloToAnswer& hello) {
  report_.server_name_hidden |= hello.encrypted;
  stage_start_ = set_.scheduler.MonotonicNow();
  // If the handshake's limit is later than the hello's, OnPhaseTimeout extends the running timer.
  const MonotonicTime hello_end = start_ + set_.options.hello_timeout;
  const absl::Duration limit = set_.options.handshake_timeout;
  if (stage_start_ + limit < hello_end) LimitPhase(limit);
  if (opening_->routed == nullptr) return absl::OkStatus();
  return CheckSameRoute(*opening_->routed, hello);
}

// Called from inside the front leg: nothing may be destroyed here.
void Connection::OnHello(HelloToAnswer hello, Answer answer) {
  Opening& opening = *opening_;
  report_.server_name = hello.server_name;
  ReportOrigin();
  const RouteTarget* target = nullptr;
  opening.early_failure = Choose(&target);
  if (!opening.early_failure.ok()) return answer(opening.early_failure);
  opening.request.alpn_to_offer = set_.plan.AlpnToOffer(hello);
  opening.early_failure = opening.back.Choose(std::get<Backends>(*target), opening.request);
  if (!opening.early_failure.ok()) return answer(opening.early_failure);
  std::optional<absl::StatusOr<HelloAnswer>> decided =
      set_.plan.AnswerHello(hello, opening.back.first(), opening.request);
  if (decided.has_value()) {
    opening.early_failure = decided->status();
    return answer(*std::move(decided));
  }
  opening.hello_answer = std::move(answer);
  stage_ = Stage::kOpeningBack;
  phase_timer_.reset();
  opening.back.Open(opening.request, opening.origin,
                    [this](absl::Status status) { OnEarlyBackOpen(std::move(status)); });
}

// The front leg continues; OnFrontOpen receives its result.
void Connection::OnEarlyBackOpen(absl::Status status) {
  stage_ = Stage::kOpeningFront;
  stage_start_ = set_.scheduler.MonotonicNow();
  opening_->early_failure = status;
  LimitPhase(set_.options.handshake_timeout);
  Answer answer = std::exchange(opening_->hello_answer, nullptr);
  if (!status.ok()) return answer(std::move(status));
  back_ = opening_->back.Take();
  answer(HelloAnswer{report_.back.tls->alpn});
}

void Connection::OnFrontOpen(absl::Status status) {
  Opening& opening = *opening_;
  report_.times.front = set_.scheduler.MonotonicNow() - start_;
  ReportFront();
  if (!opening.early_failure.ok()) return Fail(opening.early_failure);
  if (CodeOf(status) == ErrorCode::kTruncated && !opening.front->anything_received()) {
    return Fail(MakeError(ErrorCode::kNothingSent, Leg::kFront, Phase::kHello,
                          "the client left before it sent anything, as health checks do"));
  }
  if (!status.ok()) {
    opening.last_words = opening.front->last_words();
    return Fail(status);
  }
  report_.front.tls = opening.front->tls();
  front_ = opening.front->Take();
  opening.front.reset();
  if (report_.front.tls != nullptr && report_.front.tls->acme_challenge) {
    return Close(absl::OkStatus());  // An ACME challenge needs only the handshake.
  }
  if (set_.IsTooOld(*this)) return Cancel(kCertificatesReplaced);
  LimitByCertificate();
  if (back_ != nullptr) return StartRelay();
  if (opening.back.chosen()) return OpenBack();
  ContentRouting* const content = set_.plan.content();
  if (content != nullptr && content->new_reader) {
    std::unique_ptr<ContentReader> reader = content->new_reader(report_);
    if (reader != nullptr) return ReadContent(std::move(reader), *content);
  }
  const RouteTarget* target = nullptr;
  if (absl::Status chosen = Choose(&target); !chosen.ok()) return Fail(chosen);
  GoTo(*target);
}

absl::Status Connection::Choose(const RouteTarget** target) {
  absl::StatusOr<ConnectionPlan::Choice> choice = set_.plan.Choose(report_);
  if (!choice.ok()) return choice.status();
  if (!choice->route.empty()) report_.route = choice->route;
  opening_->check = choice->check;
  *target = choice->target;
  return absl::OkStatus();
}

void Connection::LimitByCertificate() {
  if (report_.front.tls == nullptr) return;
  const absl::Time end =
      report_.front.tls->certificate_expires + set_.options.after_certificate_expiry;
  if (end != absl::InfiniteFuture()) EndWithCertificate(end);
}

// Checks the date repeatedly, because the system's clock may be set.
void Connection::EndWithCertificate(absl::Time end) {
  const absl::Duration left = end - set_.scheduler.Now();
  certificate_timer_ =
      set_.scheduler.RunAfter(std::clamp(left, absl::ZeroDuration(), kDateCheck), [this, end] {
        if (set_.scheduler.Now() < end) return EndWithCertificate(end);
        Cancel("the certificate presented to the client has expired");
      });
}

void Connection::ReadContent(std::unique_ptr<ContentReader> reader, const ContentRouting& options) {
  stage_ = Stage::kReadingContent;
  stage_start_ = set_.scheduler.MonotonicNow();
  opening_->content =
      std::make_unique<ContentLeg>(set_.scheduler, std::move(reader), options.max_bytes);
  LimitPhase(options.timeout);
  opening_->content->Read(std::move(front_),
                          [this](absl::Status status) { OnContentRead(std::move(status)); });
}

void Connection::OnContentRead(absl::Status status) {
  Opening& opening = *opening_;
  front_ = opening.content->Take();
  opening.last_words = opening.content->last_words();
  const std::shared_ptr<const ContentTarget> target = opening.content->target();
  opening.content.reset();
  if (!status.ok()) return Fail(status);
  report_.route = target->route;
  opening.request.backend_name = target->backend_name;
  GoTo(target->target);
}

void Connection::GoTo(const RouteTarget& target) {
  if (ConnectionHandler* const* handler = std::get_if<ConnectionHandler*>(&target)) {
    return set_.plan.lends() ? Lend(**handler) : HandOver(**handler);
  }
  const absl::Status chosen = opening_->back.Choose(std::get<Backends>(target), opening_->request);
  if (!chosen.ok()) return Fail(chosen);
  OpenBack();
}

void Connection::OpenBack() {
  stage_ = Stage::kOpeningBack;
  phase_timer_.reset();
  opening_->back.Open(opening_->request, opening_->origin,
                      [this](absl::Status status) { OnBackOpen(std::move(status)); });
}

void Connection::HandOver(ConnectionHandler& handler) {
  phase_timer_.reset();
  front_->SetHandler(nullptr);
  report_.handed_over = true;
  Accepted accepted = TakeAccepted();
  accepted.slot = std::move(slot_);
  handler.Serve(std::move(accepted));
  Finish();
}

void Connection::Lend(ConnectionHandler& handler) {
  stage_ = Stage::kLent;
  stage_start_ = set_.scheduler.MonotonicNow();
  LimitPhase(set_.options.relay.idle_timeout);
  loan_ = std::make_unique<Loan>(set_.scheduler);
  front_ = loan_->Lend(std::move(front_), [this] { OnReturned(); });
  Accepted accepted = TakeAccepted();
  accepted.reported_as = report_.id;
  opening_.reset();
  if (set_.observer != nullptr) set_.observer->OnEstablished(report_);
  handler.Serve(std::move(accepted));
}

void Connection::OnReturned() {
  if (!loan_->over()) return Close(loan_->outcome());
  report_.error = ToError(loan_->outcome());
  CollectLegs();
  Finish();
}

Accepted Connection::TakeAccepted() {
  Opening& opening = *opening_;
  Accepted accepted(std::move(front_));
  accepted.time = start_;
  accepted.origin = std::move(opening.origin);
  accepted.tls = report_.front.tls;
  // After TLS was terminated here, its hello does not describe the inner stream.
  if (set_.plan.mode() != ProxyMode::kPassthrough) return accepted;
  auto hello = std::make_shared<RoutedHello>();
  hello->server_name = report_.server_name;
  hello->server_name_hidden = report_.server_name_hidden;
  hello->report = *report_.hello;
  hello->route = report_.route;
  if (opening.routed != nullptr) hello->checks = opening.routed->checks;
  if (opening.check != nullptr) hello->checks.push_back(std::move(opening.check));
  accepted.hello = std::move(hello);
  return accepted;
}

void Connection::OnBackOpen(absl::Status status) {
  if (!status.ok()) return Fail(status);
  back_ = opening_->back.Take();
  StartRelay();
}

void Connection::StartRelay() {
  phase_timer_.reset();
  opening_.reset();
  stage_ = Stage::kRelaying;
  stage_start_ = set_.scheduler.MonotonicNow();
  inspector_ = set_.plan.NewInspector(report_);
  RelayOptions options = set_.options.relay;
  if (report_.front.tls == nullptr) options.client_alert_bytes = kMaxAlertBytes;
  relay_ = std::make_unique<Relay>(set_.scheduler, *front_, *back_, inspector_.get(), options);
  relay_->Start([this](absl::Status status) { OnRelayDone(std::move(status)); });
  if (set_.observer != nullptr) set_.observer->OnEstablished(report_);
}

void Connection::OnRelayDone(absl::Status status) {
  if (!status.ok()) return Fail(status);
  // A stream whose end was not marked must not look complete on the other leg.
  if (relay_->left_unmarked(Leg::kFront) || relay_->left_unmarked(Leg::kBack)) {
    return Close(absl::OkStatus());
  }
  CollectLegs();
  Finish();
}

// An encrypted name may occur in any message: a backend's certificate, a content reader or an
// inspector may quote it.
void Connection::HideName() {
  if (!report_.server_name_hidden) return;
  const auto hide = [this](Error& error) {
    error.detail = wire_internal::HideName(error.detail, report_.server_name);
  };
  if (report_.error.has_value()) hide(*report_.error);
  for (FailedTry& failed : report_.failed_tries) hide(failed.error);
}

void Connection::LimitPhase(absl::Duration limit) {
  phase_timer_ = set_.scheduler.RunAfter(limit, [this] { OnPhaseTimeout(); });
}

void Connection::OnPhaseTimeout() {
  if (stage_ == Stage::kLent) return OnSilence();
  const absl::Duration taken = set_.scheduler.MonotonicNow() - stage_start_;
  if (stage_ == Stage::kOpeningFront && opening_->front->hello_received() &&
      taken < set_.options.handshake_timeout) {
    return LimitPhase(set_.options.handshake_timeout - taken);
  }
  if (!opening_->early_failure.ok()) return Fail(opening_->early_failure);
  Fail(MakeError(ErrorCode::kTimeout, Leg::kFront, stage_phase(),
                 absl::StrCat("not finished within ", absl::FormatDuration(taken))));
}

void Connection::OnSilence() {
  const absl::Duration limit = set_.options.relay.idle_timeout;
  const absl::Duration silence = set_.scheduler.MonotonicNow() - loan_->last_activity();
  if (silence < limit) return LimitPhase(limit - silence);
  Fail(MakeError(ErrorCode::kTimeout, Leg::kFront, Phase::kRelay,
                 absl::StrCat("no byte moved for ", absl::FormatDuration(limit))));
}

Phase Connection::stage_phase() const {
  switch (stage_) {
    case Stage::kOpeningFront:
      return opening_->front != nullptr && opening_->front->hello_received() ? Phase::kHandshake
                                                                             : Phase::kHello;
    case Stage::kReadingContent:
      return Phase::kRoute;
    case Stage::kOpeningBack:
      return opening_->back.phase();
    case Stage::kRelaying:
    case Stage::kLent:
      return Phase::kRelay;
    case Stage::kClosing:
    case Stage::kClosed:
      return Phase::kDrain;
  }
  return Phase::kRelay;
}

void Connection::Cancel(absl::string_view why) {
  if (stage_ == Stage::kClosing || stage_ == Stage::kClosed) return;
  Fail(MakeError(ErrorCode::kCancelled, stage_phase(), std::string(why)));
}

void Connection::Cut() {
  if (stage_ == Stage::kClosed) return;
  if (stage_ != Stage::kClosing) {
    report_.error =
        ToError(MakeError(ErrorCode::kCancelled, stage_phase(), "the block was shut down"));
    CollectLegs();
  }
  if (front_ != nullptr) front_->Abort();
  if (back_ != nullptr) back_->Abort();
  Finish();
}

void Connection::Fail(const absl::Status& status) {
  if (stage_ == Stage::kOpeningFront && opening_->front != nullptr) {
    ReportFront();
  }
  Close(status);
}

void Connection::Close(const absl::Status& status) {
  certificate_timer_.reset();
  report_.error = ToError(status);
  const bool cuts = stage_ == Stage::kRelaying || (loan_ != nullptr && !loan_->end_marked());
  CollectLegs();
  stage_ = Stage::kClosing;
  std::string last_words = opening_ != nullptr ? LastWords() : std::string();
  const ErrorCode code = report_.ok() ? ErrorCode::kInternal : report_.error->code;
  closing_ = std::make_unique<Closing>();
  const auto close = [&](Leg leg, std::unique_ptr<Transport> transport,
                         std::optional<StreamCloser>& closer, std::string words) {
    if (transport == nullptr) return;
    StreamCloserOptions options;
    options.end = EndFor(leg, cuts, code);
    // A peer that caused a timeout gets no more time.
    options.linger = options.end == StreamEnd::kClean && code != ErrorCode::kTimeout;
    options.last_words = std::move(words);
    options.limit = set_.options.close_timeout;
    closer.emplace(set_.scheduler, std::move(transport), std::move(options));
    if (!closer->Start([this] { OnLegClosed(); })) ++closing_->legs_open;
  };
  close(Leg::kFront, std::move(front_), closing_->front, std::move(last_words));
  close(Leg::kBack, std::move(back_), closing_->back, {});
  if (closing_->legs_open == 0) Finish();
}

// Returns the bytes that the client receives before its leg ends.
std::string Connection::LastWords() {
  if (report_.ok() || front_ == nullptr) return "";
  if (!opening_->last_words.empty()) return std::move(opening_->last_words);
  return set_.plan.LastWords(*report_.error);
}

void Connection::CollectLegs() {
  phase_timer_.reset();
  if (relay_ != nullptr) {
    report_.times.relay = set_.scheduler.MonotonicNow() - stage_start_;
    report_.front.bytes_read = relay_->bytes_read(Leg::kFront);
    report_.front.bytes_written = relay_->bytes_written(Leg::kFront);
    report_.front.bytes_spliced = relay_->bytes_spliced(Leg::kFront);
    report_.back.bytes_read = relay_->bytes_read(Leg::kBack);
    report_.back.bytes_written = relay_->bytes_written(Leg::kBack);
    report_.back.bytes_spliced = relay_->bytes_spliced(Leg::kBack);
    report_.front.left_unmarked = relay_->left_unmarked(Leg::kFront);
    report_.back.left_unmarked = relay_->left_unmarked(Leg::kBack);
    relay_.reset();
  }
  if (loan_ != nullptr) {
    report_.times.relay = set_.scheduler.MonotonicNow() - stage_start_;
    report_.front.bytes_read = loan_->bytes_read();
    report_.front.bytes_written = loan_->bytes_written();
    report_.front.left_unmarked = loan_->left_unmarked();
    front_ = loan_->TakeBack(report_.ok() ? absl::OkStatus() : MakeError(*report_.error));
    loan_.reset();
  }
  if (opening_ == nullptr) return;
  if (opening_->front != nullptr) front_ = opening_->front->Take();
  if (opening_->content != nullptr) front_ = opening_->content->Take();
  opening_->content.reset();
  opening_->front.reset();
  if (back_ == nullptr) back_ = opening_->back.Take();
}

void Connection::OnLegClosed() {
  if (--closing_->legs_open == 0) Finish();
}

void Connection::Finish() {
  stage_ = Stage::kClosed;
  slot_.Release();
  phase_timer_.reset();
  certificate_timer_.reset();
  // If bytes flowed, the connector is gone and the backend still counts the connection.
  if (opening_ != nullptr) {
    opening_->back.CountOut();
  } else {
    set_.chooser.Closed(report_.back.peer);
  }
  HideName();
  report_.duration = set_.scheduler.MonotonicNow() - start_;
  if (set_.observer != nullptr) set_.observer->OnClosed(report_);
  set_.Bury(report_.id);
}

}  // namespace trestle
