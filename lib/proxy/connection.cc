#include "lib/proxy/connection.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "lib/proxy/connection_set.h"
#include "lib/proxy/proxy_header_leg.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

ErrorCode CodeOf(const absl::Status& status) {
  const std::optional<TlsError> error = GetTlsError(status);
  return error.has_value() ? error->code : ErrorCode::kInternal;
}

// How a leg is ended after a failure.
StreamEnd EndFor(Leg leg, bool relayed, ErrorCode code) {
  // Before any byte was carried nothing can be cut short, and a clean end disturbs nobody.
  if (!relayed) return StreamEnd::kClean;
  const bool blocked = code == ErrorCode::kBlockedByInspector;
  return blocked && leg == Leg::kFront ? StreamEnd::kClean : StreamEnd::kTruncated;
}

}  // namespace

Connection::Connection(ConnectionSet& set, uint64_t id) : set_(set), back_connector_(set, report_) {
  report_.id = id;
  report_.mode = set.plan.mode();
  report_.accepted = stage_start_ = set.scheduler.Now();
}

Connection::~Connection() = default;

void Connection::Start(std::unique_ptr<Transport> front) {
  const TransportInfo info = front->info();
  report_.front.local = info.local;
  report_.front.peer = info.peer;
  front_opener_ = set_.plan.NewFront(set_.limiter, this);
  report_.front.via = info.via;
  // A block that hands a connection on has read its header.
  if (info.proxy_header == nullptr && set_.options.proxy_protocol_from.Contains(info.peer)) {
    report_.front.via = info.peer;
    front_opener_ = std::make_unique<ProxyHeaderLeg>(set_.scheduler, std::move(front_opener_));
  }
  LimitPhase(set_.options.hello_timeout);
  front_opener_->Open(std::move(front),
                      [this](absl::Status status) { OnFrontOpen(std::move(status)); });
}

// Called from inside the front leg: nothing may be destroyed here.
void Connection::OnHello(HelloToAnswer hello, Answer answer) {
  const TransportInfo info = front_opener_->info();
  front_facts_.server_name = report_.server_name = hello.server_name;
  front_facts_.peer = report_.front.peer = info.peer;
  const RouteTarget* target = nullptr;
  early_failure_ = Choose(&target);
  if (!early_failure_.ok()) return answer(early_failure_);
  back_connector_.Choose(std::get<Backends>(*target), info.peer);
  std::optional<absl::StatusOr<HelloAnswer>> decided =
      set_.plan.AnswerHello(hello, back_connector_.first(), front_facts_);
  if (decided.has_value()) {
    early_failure_ = decided->status();
    return answer(*std::move(decided));
  }
  hello_answer_ = std::move(answer);
  stage_ = Stage::kOpeningBack;
  phase_timer_.reset();
  back_connector_.Open(front_facts_, info,
                       [this](absl::Status status) { OnEarlyBackOpen(std::move(status)); });
}

// The front leg goes on: its end, good or bad, is told to OnFrontOpen.
void Connection::OnEarlyBackOpen(absl::Status status) {
  stage_ = Stage::kOpeningFront;
  stage_start_ = set_.scheduler.Now();
  early_failure_ = status;
  LimitPhase(set_.options.handshake_timeout);
  Answer answer = std::exchange(hello_answer_, nullptr);
  if (!status.ok()) return answer(std::move(status));
  back_ = back_connector_.Take();
  answer(HelloAnswer{report_.back.tls->alpn});
}

void Connection::OnFrontOpen(absl::Status status) {
  report_.times.front = set_.scheduler.Now() - report_.accepted;
  front_facts_ = front_opener_->facts();
  report_.server_name = front_facts_.server_name;
  report_.hello = front_facts_.hello;
  if (!early_failure_.ok()) return Fail(early_failure_);
  if (!status.ok()) return Fail(status);
  report_.front.tls = front_facts_.tls;
  front_ = front_opener_->Take();
  front_opener_.reset();
  const TransportInfo info = front_->info();
  report_.front.local = info.local;
  report_.front.peer = front_facts_.peer = info.peer;
  if (report_.front.tls.has_value() && report_.front.tls->acme_challenge) {
    return Close(absl::OkStatus());  // The handshake was all that the ACME server wanted.
  }
  if (set_.IsTooOld(*this)) return Cancel(kCertificatesReplaced);
  LimitByCertificate();
  if (back_ != nullptr) return StartRelay();
  if (back_connector_.chosen()) return OpenBack();
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
  absl::StatusOr<ConnectionPlan::Choice> choice = set_.plan.Choose(front_facts_);
  if (!choice.ok()) return choice.status();
  report_.route = choice->route;
  *target = choice->target;
  return absl::OkStatus();
}

void Connection::LimitByCertificate() {
  if (!report_.front.tls.has_value()) return;
  const absl::Time end =
      report_.front.tls->certificate_expires + set_.options.after_certificate_expiry;
  if (end == absl::InfiniteFuture()) return;
  const absl::Duration left = std::max(end - set_.scheduler.Now(), absl::ZeroDuration());
  certificate_timer_ = set_.scheduler.RunAfter(
      left, [this] { Cancel("the certificate that the client was shown has expired"); });
}

void Connection::ReadContent(std::unique_ptr<ContentReader> reader, const ContentRouting& options) {
  stage_ = Stage::kReadingContent;
  stage_start_ = set_.scheduler.Now();
  content_ = std::make_unique<ContentLeg>(set_.scheduler, std::move(reader), options.max_bytes);
  LimitPhase(options.timeout);
  content_->Read(std::move(front_),
                 [this](absl::Status status) { OnContentRead(std::move(status)); });
}

void Connection::OnContentRead(absl::Status status) {
  front_ = content_->Take();
  last_words_ = content_->last_words();
  const std::shared_ptr<const ContentTarget> target = content_->target();
  content_.reset();
  if (!status.ok()) return Fail(status);
  report_.route = target->route;
  front_facts_.backend_name = target->backend_name;
  GoTo(target->target);
}

void Connection::GoTo(const RouteTarget& target) {
  if (ConnectionHandler* const* handler = std::get_if<ConnectionHandler*>(&target)) {
    return HandOver(**handler);
  }
  back_connector_.Choose(std::get<Backends>(target), report_.front.peer);
  OpenBack();
}

void Connection::OpenBack() {
  stage_ = Stage::kOpeningBack;
  phase_timer_.reset();
  back_connector_.Open(front_facts_, front_->info(),
                       [this](absl::Status status) { OnBackOpen(std::move(status)); });
}

void Connection::HandOver(ConnectionHandler& handler) {
  phase_timer_.reset();
  front_->SetHandler(nullptr);
  report_.handed_over = true;
  handler.Serve(std::move(front_));
  Finish();
}

void Connection::OnBackOpen(absl::Status status) {
  if (!status.ok()) return Fail(status);
  back_ = back_connector_.Take();
  StartRelay();
}

void Connection::StartRelay() {
  phase_timer_.reset();
  front_facts_ = {};  // The report has what is to be told; an idle connection keeps no more.
  stage_ = Stage::kRelaying;
  stage_start_ = set_.scheduler.Now();
  inspector_ = set_.plan.NewInspector(report_);
  relay_ = std::make_unique<Relay>(set_.scheduler, *front_, *back_, inspector_.get(),
                                   set_.options.relay);
  relay_->Start([this](absl::Status status) { OnRelayDone(std::move(status)); });
  if (set_.observer != nullptr) set_.observer->OnEstablished(report_);
}

void Connection::OnRelayDone(absl::Status status) {
  if (status.ok()) {
    CollectLegs();
    return Finish();
  }
  Fail(status);
}

void Connection::LimitPhase(absl::Duration limit) {
  phase_timer_ = set_.scheduler.RunAfter(limit, [this] { OnPhaseTimeout(); });
}

void Connection::OnPhaseTimeout() {
  if (stage_ == Stage::kClosing) {
    if (front_closer_.has_value()) front_closer_->Cut();
    if (back_closer_.has_value()) back_closer_->Cut();
    return Finish();
  }
  const absl::Duration taken = set_.scheduler.Now() - stage_start_;
  if (stage_ == Stage::kOpeningFront && front_opener_->hello_received() &&
      taken < set_.options.handshake_timeout) {
    return LimitPhase(set_.options.handshake_timeout - taken);
  }
  if (!early_failure_.ok()) return Fail(early_failure_);
  Fail(MakeError({ErrorCode::kTimeout, Leg::kFront, stage_phase(), std::nullopt,
                  absl::StrCat("not finished within ", absl::FormatDuration(taken))}));
}

Phase Connection::stage_phase() const {
  switch (stage_) {
    case Stage::kOpeningFront:
      return front_opener_ != nullptr && front_opener_->hello_received() ? Phase::kHandshake
                                                                         : Phase::kHello;
    case Stage::kReadingContent:
      return Phase::kRoute;
    case Stage::kOpeningBack:
      return back_connector_.phase();
    case Stage::kRelaying:
      return Phase::kRelay;
    case Stage::kClosing:
    case Stage::kClosed:
      return Phase::kDrain;
  }
  return Phase::kRelay;
}

void Connection::Cancel(absl::string_view why) {
  if (stage_ == Stage::kClosing || stage_ == Stage::kClosed) return;
  Fail(MakeError(
      {ErrorCode::kCancelled, std::nullopt, stage_phase(), std::nullopt, std::string(why)}));
}

void Connection::Cut() {
  if (stage_ == Stage::kClosed) return;
  if (stage_ != Stage::kClosing) {
    report_.status = MakeError({ErrorCode::kCancelled, std::nullopt, stage_phase(), std::nullopt,
                                "the block was shut down"});
    CollectLegs();
  }
  if (front_ != nullptr) front_->Abort();
  if (back_ != nullptr) back_->Abort();
  Finish();
}

void Connection::Fail(const absl::Status& status) {
  if (stage_ == Stage::kOpeningFront && front_opener_ != nullptr) {
    report_.server_name = front_opener_->facts().server_name;
  }
  Close(status);
}

void Connection::Close(absl::Status status) {
  certificate_timer_.reset();
  const bool relayed = stage_ == Stage::kRelaying;
  CollectLegs();
  stage_ = Stage::kClosing;
  report_.status = std::move(status);
  if (!relayed) SayLastWords();
  LimitPhase(set_.options.close_timeout);
  const ErrorCode code = CodeOf(report_.status);
  const auto close = [&](Leg leg, std::unique_ptr<Transport> transport,
                         std::optional<LegCloser>& closer) {
    if (transport == nullptr) return;
    const StreamEnd end = EndFor(leg, relayed, code);
    // A peer that let its time run out is not given more.
    closer.emplace(std::move(transport), end,
                   end == StreamEnd::kClean && code != ErrorCode::kTimeout);
    if (!closer->Start([this] { OnLegClosed(); })) ++legs_closing_;
  };
  close(Leg::kFront, std::move(front_), front_closer_);
  close(Leg::kBack, std::move(back_), back_closer_);
  if (legs_closing_ == 0) Finish();
}

void Connection::SayLastWords() {
  const std::optional<TlsError> error = GetTlsError(report_.status);
  if (!error.has_value() || front_ == nullptr) return;
  const std::string words = last_words_.empty() ? set_.plan.LastWords(*error) : last_words_;
  // A client that doesn't even take a few bytes at once is not waited for.
  if (!words.empty()) front_->Write(AsBytes(words));
}

void Connection::CollectLegs() {
  phase_timer_.reset();
  if (relay_ != nullptr) {
    report_.times.relay = set_.scheduler.Now() - stage_start_;
    report_.front.bytes_read = relay_->bytes_read(Leg::kFront);
    report_.front.bytes_written = relay_->bytes_written(Leg::kFront);
    report_.front.bytes_spliced = relay_->bytes_direct(Leg::kFront);
    report_.back.bytes_read = relay_->bytes_read(Leg::kBack);
    report_.back.bytes_written = relay_->bytes_written(Leg::kBack);
    report_.back.bytes_spliced = relay_->bytes_direct(Leg::kBack);
    relay_.reset();
  }
  if (front_opener_ != nullptr) front_ = front_opener_->Take();
  if (content_ != nullptr) front_ = content_->Take();
  content_.reset();
  front_opener_.reset();
  if (back_ == nullptr) back_ = back_connector_.Take();
}

void Connection::OnLegClosed() {
  if (--legs_closing_ == 0) Finish();
}

void Connection::Finish() {
  stage_ = Stage::kClosed;
  phase_timer_.reset();
  certificate_timer_.reset();
  back_connector_.CountOut();
  report_.duration = set_.scheduler.Now() - report_.accepted;
  if (set_.observer != nullptr) set_.observer->OnClosed(report_);
  set_.Bury(report_.id);
}

}  // namespace trestle
