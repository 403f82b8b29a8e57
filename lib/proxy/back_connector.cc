#include "lib/proxy/back_connector.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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
  report_.back.peer = candidate.endpoint;
  set_.chooser.Opened(candidate);
  set_.chooser.Try(candidate, shown_, set_.scheduler.MonotonicNow());
  if (dials_.empty()) {
    phase_start_ = set_.scheduler.MonotonicNow();
    Limit(set_.options.dial_timeout, report_.times.dial);
  }
  auto dial = std::make_unique<DialTry>(candidate);
  dial->Start(set_.dialer,
              [this, dial = dial.get()](absl::StatusOr<std::unique_ptr<Transport>> back) {
                OnDialed(*dial, std::move(back));
              });
  dials_.push_back(std::move(dial));
  DialAnotherSoon();
}

void BackConnector::DialAnotherSoon() {
  next_dial_.reset();
  if (tried_ == candidates_.size() || !candidates_[tried_].may_race) return;
  next_dial_ = set_.scheduler.RunAfter(set_.options.next_dial_after, [this] { DialNext(); });
}

void BackConnector::OnDialed(DialTry& dial, absl::StatusOr<std::unique_ptr<Transport>> back) {
  const auto is_it = [&](const std::unique_ptr<DialTry>& other) { return other.get() == &dial; };
  const auto found = std::find_if(dials_.begin(), dials_.end(), is_it);
  const std::unique_ptr<DialTry> ended = std::move(*found);
  dials_.erase(found);
  if (!back.ok()) {
    return OnDialFailed(ended->backend(), AtLeg(back.status(), Leg::kBack, Phase::kDial));
  }
  LeaveDials();
  backend_ = ended->backend();
  counted_ = trying_ = true;
  leg_ = *std::move(back);
  report_.back.peer = backend_.endpoint;
  report_.back.local = leg_->info().local;
  SendPreamble();
}

// The next one is dialed at once (RFC 8305 5). Another dial in progress may yet succeed.
void BackConnector::OnDialFailed(const BackendChooser::Candidate& backend, absl::Status status) {
  report_.back.peer = backend.endpoint;
  Fail(backend, status, {});
  set_.chooser.Abandoned(backend, shown_);
  set_.chooser.Closed(backend.endpoint);
  set_.plan.OnBackOpened(*request_, status);
  if (dials_.empty()) CountTime();
  const bool more = tried_ < candidates_.size();
  if (!more && dials_.empty()) return Finish(std::move(status));
  report_.failed_tries.push_back({backend.endpoint, *ToError(status)});
  if (more && (dials_.empty() || candidates_[tried_].may_race)) DialNext();
}

// Another backend was faster. The dials go on without the connection.
void BackConnector::LeaveDials() {
  next_dial_.reset();
  for (std::unique_ptr<DialTry>& dial : dials_) {
    set_.chooser.Closed(dial->backend().endpoint);
    set_.AwaitLeft(std::move(dial), shown_);
  }
  dials_.clear();
}

void BackConnector::DropDials() {
  next_dial_.reset();
  for (const std::unique_ptr<DialTry>& dial : dials_) {
    set_.chooser.Abandoned(dial->backend(), shown_);
    set_.chooser.Closed(dial->backend().endpoint);
  }
  dials_.clear();
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
    return FailOpen(AtLeg(leg_->status(), Leg::kBack, Phase::kDial), {});
  }
  OpenLeg();
}

void BackConnector::OpenLeg() {
  if (!shown_.empty()) set_.chooser.Succeeded(backend_, {}, set_.scheduler.MonotonicNow());
  absl::StatusOr<std::unique_ptr<LegOpener>> opener = set_.plan.NewBack(*request_, backend_);
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
  if (!status.ok()) return FailOpen(std::move(status), shown_);
  leg_ = opener_->Take();
  opener_.reset();
  set_.plan.OnBackOpened(*request_, status);
  Finish(absl::OkStatus());
}

void BackConnector::FailOpen(absl::Status status, const BackendChooser::Shown& after_showing) {
  Fail(backend_, status, after_showing);
  EndTry();
  TryNext(std::move(status));
}

void BackConnector::Fail(const BackendChooser::Candidate& backend, const absl::Status& status,
                         const BackendChooser::Shown& after_showing) {
  if (!BlamesBackend(status)) return;
  set_.chooser.Failed(backend, after_showing, status, set_.options.ejection,
                      set_.scheduler.MonotonicNow());
}

// The try has no result, so another connection may try.
void BackConnector::EndTry() {
  if (!std::exchange(trying_, false)) return;
  set_.chooser.Abandoned(backend_, shown_);
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
  DropDials();
  if (status.ok()) set_.chooser.Succeeded(backend_, shown_, set_.scheduler.MonotonicNow());
  EndTry();
  // The call may destroy the connector.
  absl::AnyInvocable<void(absl::Status)> done = std::exchange(done_, nullptr);
  done(std::move(status));
}

std::unique_ptr<Transport> BackConnector::Take() {
  EndTry();
  limit_.reset();
  DropDials();
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
  if (opener_ != nullptr) report_.back.tls = opener_->tls();
  if (!dials_.empty()) {
    report_.back.peer = dials_.back()->backend().endpoint;
    const auto append = [](std::string* out, const std::unique_ptr<DialTry>& dial) {
      out->append(dial->backend().endpoint.ToString());
    };
    absl::StrAppend(&what, " (", absl::StrJoin(dials_, ", ", append), ")");
  } else if (phase == Phase::kDial) {
    absl::StrAppend(&what, " (", report_.back.peer.ToString(), ")");
  }
  absl::Status status = MakeError(ErrorCode::kTimeout, Leg::kBack, phase, std::move(what));
  for (const std::unique_ptr<DialTry>& dial : dials_) Fail(dial->backend(), status, {});
  if (dials_.empty())
    Fail(backend_, status, phase == Phase::kDial ? BackendChooser::Shown() : shown_);
  Finish(std::move(status));
}

void BackConnector::CountTime() {
  absl::Duration& total = phase() == Phase::kDial ? report_.times.dial : report_.times.back;
  total += set_.scheduler.MonotonicNow() - phase_start_;
}

void BackConnector::CountOut() {
  if (std::exchange(counted_, false)) set_.chooser.Closed(backend_.endpoint);
}

}  // namespace trestle
