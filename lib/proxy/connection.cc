#include "lib/proxy/connection.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "lib/proxy/backend_preamble.h"
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

Connection::Connection(ConnectionSet& set, uint64_t id) : set_(set) {
  report_.id = id;
  report_.mode = set.plan.mode();
  report_.accepted = stage_start_ = set.scheduler.Now();
}

Connection::~Connection() = default;

void Connection::Start(std::unique_ptr<Transport> front) {
  const TransportInfo info = front->info();
  report_.front.local = info.local;
  report_.front.peer = info.peer;
  front_opener_ = set_.plan.NewFront(set_.limiter);
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

void Connection::OnFrontOpen(absl::Status status) {
  const absl::Time now = set_.scheduler.Now();
  report_.times.front = now - stage_start_;
  front_facts_ = front_opener_->facts();
  report_.server_name = front_facts_.server_name;
  report_.hello = front_facts_.hello;
  if (!status.ok()) return Fail(status);
  report_.front.tls = front_facts_.tls;
  front_ = front_opener_->Take();
  front_opener_.reset();
  const TransportInfo info = front_->info();
  report_.front.local = info.local;
  report_.front.peer = info.peer;
  if (report_.front.tls.has_value() && report_.front.tls->acme_challenge) {
    return Close(absl::OkStatus());  // The handshake was all that the ACME server wanted.
  }
  if (set_.IsTooOld(*this)) return Cancel(kCertificatesReplaced);
  LimitByCertificate();
  ContentRouting* const content = set_.plan.content();
  if (content != nullptr && content->new_reader) {
    std::unique_ptr<ContentReader> reader = content->new_reader(report_);
    if (reader != nullptr) return ReadContent(std::move(reader), *content);
  }
  absl::StatusOr<ConnectionPlan::Choice> choice = set_.plan.Choose(front_facts_);
  if (!choice.ok()) return Fail(choice.status());
  report_.route = choice->route;
  GoTo(*choice->target);
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
  stage_ = Stage::kDialing;
  stage_start_ = set_.scheduler.Now();
  candidates_ = set_.chooser.Order(std::get<Backends>(target), report_.front.peer);
  LimitPhase(set_.options.dial_timeout);
  DialNext();
}

void Connection::DialNext() {
  const Endpoint& backend = candidates_[tried_++];
  report_.back.peer = backend;
  set_.chooser.Opened(backend);
  dial_ = set_.dialer.Connect(backend, [this](absl::StatusOr<std::unique_ptr<Transport>> back) {
    OnDialed(std::move(back));
  });
}

void Connection::HandOver(ConnectionHandler& handler) {
  phase_timer_.reset();
  front_->SetHandler(nullptr);
  report_.handed_over = true;
  handler.Serve(std::move(front_));
  Finish();
}

void Connection::OnDialed(absl::StatusOr<std::unique_ptr<Transport>> back) {
  const absl::Time now = set_.scheduler.Now();
  report_.times.dial = now - stage_start_;
  if (!back.ok()) {
    if (tried_ == candidates_.size()) return Fail(AtLeg(back.status(), Leg::kBack, Phase::kDial));
    set_.chooser.Closed(report_.back.peer);
    return DialNext();
  }
  back_ = *std::move(back);
  report_.back.local = back_->info().local;
  stage_ = Stage::kOpeningBack;
  stage_start_ = now;
  if (absl::Status sent = SendPreamble(); !sent.ok()) return Fail(sent);
  absl::StatusOr<std::unique_ptr<LegOpener>> opener =
      set_.plan.NewBack(front_facts_, report_.back.peer);
  if (!opener.ok()) return Fail(AtLeg(opener.status(), Leg::kBack, Phase::kHandshake));
  if (*opener == nullptr) return StartRelay();
  back_opener_ = *std::move(opener);
  LimitPhase(set_.options.handshake_timeout);
  back_opener_->Open(std::move(back_),
                     [this](absl::Status status) { OnBackOpen(std::move(status)); });
}

absl::Status Connection::SendPreamble() {
  const absl::StatusOr<std::string> preamble =
      BackendPreamble(set_.options.proxy_protocol_to_backend, front_->info(), front_facts_);
  if (!preamble.ok()) return AtLeg(preamble.status(), Leg::kBack, Phase::kDial);
  size_t sent = 0;
  while (sent < preamble->size()) {
    const IoResult result = back_->Write(AsBytes(*preamble).subspan(sent));
    // A fresh connection has room for far more; one that hasn't is broken.
    if (result.state != IoState::kOk) {
      return MakeError({ErrorCode::kTransport, Leg::kBack, Phase::kDial, std::nullopt,
                        "the backend did not take the PROXY header"});
    }
    sent += result.bytes;
  }
  return absl::OkStatus();
}

void Connection::OnBackOpen(absl::Status status) {
  report_.times.back = set_.scheduler.Now() - stage_start_;
  LegFacts facts = back_opener_->facts();
  report_.back.tls = std::move(facts.tls);
  if (!status.ok()) return Fail(status);
  back_ = back_opener_->Take();
  back_opener_.reset();
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
  std::string what = absl::StrCat("not finished within ", absl::FormatDuration(taken));
  if (stage_ == Stage::kDialing) absl::StrAppend(&what, " (", report_.back.peer.ToString(), ")");
  Fail(MakeError({ErrorCode::kTimeout, stage_leg(), stage_phase(), std::nullopt, std::move(what)}));
}

Leg Connection::stage_leg() const {
  const bool front = stage_ == Stage::kOpeningFront || stage_ == Stage::kReadingContent;
  return front ? Leg::kFront : Leg::kBack;
}

Phase Connection::stage_phase() const {
  switch (stage_) {
    case Stage::kOpeningFront:
      return front_opener_ != nullptr && front_opener_->hello_received() ? Phase::kHandshake
                                                                         : Phase::kHello;
    case Stage::kReadingContent:
      return Phase::kRoute;
    case Stage::kDialing:
      return Phase::kDial;
    case Stage::kOpeningBack:
      return Phase::kHandshake;
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
  dial_.reset();
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
  if (back_opener_ != nullptr) back_ = back_opener_->Take();
  front_opener_.reset();
  back_opener_.reset();
}

void Connection::OnLegClosed() {
  if (--legs_closing_ == 0) Finish();
}

void Connection::Finish() {
  stage_ = Stage::kClosed;
  phase_timer_.reset();
  certificate_timer_.reset();
  if (tried_ > 0) set_.chooser.Closed(report_.back.peer);
  report_.duration = set_.scheduler.Now() - report_.accepted;
  if (set_.observer != nullptr) set_.observer->OnClosed(report_);
  set_.Bury(report_.id);
}

}  // namespace trestle
