#include "lib/proxy/back_connector.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/proxy/backend_preamble.h"
#include "lib/proxy/connection_set.h"
#include "trestle/base/error.h"

namespace trestle {

absl::Status BackConnector::Choose(const Backends& backends, const BackRequest& request) {
  candidates_ = set_.chooser.Order(backends, report_.front.peer, set_.plan.ShownToBackend(request),
                                   set_.scheduler.MonotonicNow());
  return candidates_.empty() ? NoBackendError(backends) : absl::OkStatus();
}

void BackConnector::Open(const BackRequest& request, const ConnectionOrigin& origin,
                         absl::AnyInvocable<void(absl::Status)> done) {
  request_ = &request;
  origin_ = &origin;
  done_ = std::move(done);
  shown_ = set_.plan.ShownToBackend(request);
  DialNext();
}

void BackConnector::DialNext() {
  const BackendChooser::Candidate& candidate = candidates_[tried_++];
  const Endpoint& backend = candidate.endpoint;
  report_.back.peer = backend;
  set_.chooser.Opened(candidate);
  set_.chooser.Try(backend, shown_, set_.scheduler.MonotonicNow());
  counted_ = trying_ = true;
  phase_start_ = set_.scheduler.MonotonicNow();
  Limit(set_.options.dial_timeout, report_.times.dial);
  dial_ = set_.dialer.Connect(backend, [this](absl::StatusOr<std::unique_ptr<Transport>> back) {
    OnDialed(std::move(back));
  });
}

void BackConnector::OnDialed(absl::StatusOr<std::unique_ptr<Transport>> back) {
  if (!back.ok()) {
    CountTime();
    return FailTry(AtLeg(back.status(), Leg::kBack, Phase::kDial), {});
  }
  leg_ = *std::move(back);
  report_.back.local = leg_->info().local;
  SendPreamble();
}

// The limit of the dial includes this: a backend that accepts no bytes counts as unreachable.
void BackConnector::SendPreamble() {
  absl::StatusOr<std::string> preamble =
      BackendPreamble(set_.options.proxy_protocol_to_backend, *origin_, report_);
  // Not the backend's fault: another one would not do better.
  if (!preamble.ok()) {
    CountTime();
    return Finish(AtLeg(preamble.status(), Leg::kBack, Phase::kDial));
  }
  preamble_.emplace(*leg_, *std::move(preamble));
  const IoState state = preamble_->Start([this](IoState end) { OnPreambleSent(end); });
  if (state != IoState::kWouldBlock) OnPreambleSent(state);
}

void BackConnector::OnPreambleSent(IoState state) {
  preamble_.reset();
  CountTime();
  if (state == IoState::kFailed) {
    return FailTry(AtLeg(leg_->status(), Leg::kBack, Phase::kDial), {});
  }
  OpenLeg();
}

void BackConnector::OpenLeg() {
  if (!shown_.empty()) set_.chooser.Succeeded(report_.back.peer, {});
  absl::StatusOr<std::unique_ptr<LegOpener>> opener = set_.plan.NewBack(*request_, tried());
  if (!opener.ok()) return Finish(AtLeg(opener.status(), Leg::kBack, Phase::kHandshake));
  if (*opener == nullptr) return Finish(absl::OkStatus());
  opener_ = *std::move(opener);
  phase_start_ = set_.scheduler.MonotonicNow();
  Limit(set_.options.handshake_timeout, report_.times.back);
  opener_->Open(std::move(leg_), [this](absl::Status status) { OnOpen(std::move(status)); });
}

void BackConnector::OnOpen(absl::Status status) {
  CountTime();
  report_.back.tls = opener_->tls();
  if (!status.ok()) return FailTry(std::move(status), shown_);
  leg_ = opener_->Take();
  opener_.reset();
  set_.plan.OnBackOpened(*request_, status);
  Finish(absl::OkStatus());
}

void BackConnector::FailTry(absl::Status status, const BackendChooser::Shown& after_showing) {
  if (BlamesBackend(status)) {
    set_.chooser.Failed(report_.back.peer, after_showing, set_.options.ejection,
                        set_.scheduler.MonotonicNow());
  }
  EndTry();
  TryNext(std::move(status));
}

// The try has no result, so another connection may try.
void BackConnector::EndTry() {
  if (!std::exchange(trying_, false)) return;
  set_.chooser.Abandoned(report_.back.peer, shown_);
}

void BackConnector::TryNext(absl::Status status) {
  set_.plan.OnBackOpened(*request_, status);
  if (tried_ == candidates_.size()) return Finish(std::move(status));
  report_.failed_tries.push_back({report_.back.peer, *ToError(status)});
  report_.back.tls.reset();
  CountOut();
  DropLeg();
  DialNext();
}

// Sends a pending alert, without waiting for the backend to read it.
void BackConnector::DropLeg() {
  preamble_.reset();
  if (opener_ != nullptr) leg_ = opener_->Take();
  opener_.reset();
  if (leg_ != nullptr) set_.Dismiss(std::move(leg_));
}

void BackConnector::Finish(absl::Status status) {
  limit_.reset();
  dial_.reset();
  if (status.ok()) set_.chooser.Succeeded(report_.back.peer, shown_);
  EndTry();
  // The call may destroy the connector.
  absl::AnyInvocable<void(absl::Status)> done = std::exchange(done_, nullptr);
  done(std::move(status));
}

std::unique_ptr<Transport> BackConnector::Take() {
  EndTry();
  limit_.reset();
  dial_.reset();
  preamble_.reset();
  done_ = nullptr;
  if (opener_ != nullptr) leg_ = opener_->Take();
  opener_.reset();
  return std::move(leg_);
}

// One limit of a phase covers all tries together.
void BackConnector::Limit(absl::Duration limit, absl::Duration spent) {
  limit_ = set_.scheduler.RunAfter(limit - spent, [this] { OnTimeout(); });
}

void BackConnector::OnTimeout() {
  const Phase phase = this->phase();
  CountTime();
  const absl::Duration taken = phase == Phase::kDial ? report_.times.dial : report_.times.back;
  std::string what = absl::StrCat("not finished within ", absl::FormatDuration(taken));
  if (phase == Phase::kDial) absl::StrAppend(&what, " (", report_.back.peer.ToString(), ")");
  if (opener_ != nullptr) report_.back.tls = opener_->tls();
  set_.chooser.Failed(report_.back.peer, phase == Phase::kDial ? BackendChooser::Shown() : shown_,
                      set_.options.ejection, set_.scheduler.MonotonicNow());
  Finish(MakeError(ErrorCode::kTimeout, Leg::kBack, phase, std::move(what)));
}

void BackConnector::CountTime() {
  absl::Duration& total = phase() == Phase::kDial ? report_.times.dial : report_.times.back;
  total += set_.scheduler.MonotonicNow() - phase_start_;
}

void BackConnector::CountOut() {
  if (std::exchange(counted_, false)) set_.chooser.Closed(report_.back.peer);
}

}  // namespace trestle
