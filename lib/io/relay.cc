#include "trestle/io/relay.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/io/relay_pipe.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

absl::Status BlockedStatus(Direction direction, absl::string_view reason) {
  return MakeError(ErrorCode::kBlockedByInspector, SourceOf(direction), Phase::kRelay,
                   std::string(reason));
}

}  // namespace

Relay::Relay(Scheduler& scheduler, Transport& front, Transport& back, Inspector* inspector,
             const RelayOptions& options)
    : scheduler_(scheduler),
      options_(options),
      front_(front),
      back_(back),
      front_handler_(*this, Leg::kFront),
      back_handler_(*this, Leg::kBack),
      to_backend_(std::make_unique<RelayPipe>(Direction::kToBackend, scheduler.buffers(), front,
                                              back, inspector, options_)),
      to_client_(std::make_unique<RelayPipe>(Direction::kToClient, scheduler.buffers(), back, front,
                                             inspector, options_)) {}

Relay::~Relay() {
  front_.SetHandler(nullptr);
  back_.SetHandler(nullptr);
}

void Relay::Start(absl::AnyInvocable<void(absl::Status)> done) {
  done_ = std::move(done);
  front_.SetHandler(&front_handler_);
  back_.SetHandler(&back_handler_);
  last_activity_ = scheduler_.MonotonicNow();
  WatchIdle(options_.idle_timeout);
  SchedulePump();
}

uint64_t Relay::bytes_read(Leg leg) const {
  return (leg == Leg::kFront ? to_backend_ : to_client_)->bytes_read();
}

uint64_t Relay::bytes_written(Leg leg) const {
  return (leg == Leg::kFront ? to_client_ : to_backend_)->bytes_written();
}

uint64_t Relay::bytes_spliced(Leg leg) const {
  return (leg == Leg::kFront ? to_client_ : to_backend_)->bytes_spliced();
}

uint64_t Relay::BytesMoved() const {
  return to_backend_->bytes_read() + to_backend_->bytes_written() + to_client_->bytes_read() +
         to_client_->bytes_written();
}

bool Relay::left_unmarked(Leg leg) const {
  return (leg == Leg::kFront ? to_backend_ : to_client_)->left_unmarked();
}

bool Relay::holds_buffers() const {
  return to_backend_->holds_buffers() || to_client_->holds_buffers();
}

void Relay::LegHandler::OnReadable() {
  (leg == Leg::kFront ? relay.to_backend_ : relay.to_client_)->OnReadable();
  relay.Pump();
}

void Relay::LegHandler::OnWritable() {
  (leg == Leg::kFront ? relay.to_client_ : relay.to_backend_)->OnWritable();
  relay.Pump();
}

void Relay::Pump() {
  const uint64_t moved_before = BytesMoved();
  const bool backend_turn_over = PumpPipe(*to_backend_, *to_client_);
  const bool client_turn_over = PumpPipe(*to_client_, *to_backend_);
  if (BytesMoved() != moved_before) last_activity_ = scheduler_.MonotonicNow();
  if (to_backend_->done() && to_client_->done()) return Finish();
  if (backend_turn_over || client_turn_over) SchedulePump();
}

bool Relay::PumpPipe(RelayPipe& pipe, RelayPipe& opposite) {
  if (pipe.done()) return false;
  const uint64_t read_before = pipe.bytes_read();
  const RelayPipe::Step step = pipe.Pump();
  if (pipe.bytes_read() != read_before) opposite.NoteAnswer();
  const bool ask_other = pipe.TakeDecided() && opposite.waits_for_other();
  if (ask_other) opposite.AskAgain();
  switch (step) {
    case RelayPipe::Step::kWaiting:
      if (!pipe.waits_for_other() || !opposite.done()) return ask_other;
      pipe.GiveUpWaiting();
      OnBlocked(pipe);
      return true;
    case RelayPipe::Step::kDone:
      opposite.NoteOurEnd();
      // Runs the opposite direction again if it waits: it must learn that this one has ended.
      return ask_other || opposite.waits_for_other();
    case RelayPipe::Step::kTurnOver:
      return true;
    case RelayPipe::Step::kBlocked:
      OnBlocked(pipe);
      return true;
    case RelayPipe::Step::kEndLost:
      // A peer loses nothing if it ended its own direction and closed before our end. Its end may
      // still be unread, so the opposite direction reads on. In passthrough that end may be an
      // alert: clients close with a RST if the backend's alert is unread.
      if (pipe.failed_leg() == Leg::kFront && options_.client_alert_bytes > 0) {
        opposite.NoteOurEnd();
      }
      opposite.DrainSource();
      return true;
    case RelayPipe::Step::kFailed:
      if (LeftUnmarked(pipe)) {
        pipe.NoteLeftUnmarked();
        opposite.Stop();
      } else {
        OnFailed(pipe.failed_leg(), opposite);
      }
      return true;
  }
  return false;
}

// When a kept connection ends, servers close their side too, often without close_notify. A server
// that has not answered the client's last bytes has cut the exchange.
bool Relay::LeftUnmarked(const RelayPipe& pipe) const {
  if (!outcome_.ok()) return false;
  const bool owes_answer = to_backend_->unanswered_bytes() > options_.client_alert_bytes;
  const bool ended =
      pipe.broke_after_our_end() && !(pipe.failed_leg() == Leg::kBack && owes_answer);
  if (!ended && !ClientLeftIdle(pipe)) return false;
  const Transport& source = pipe.failed_leg() == Leg::kFront ? front_ : back_;
  const std::optional<Error> error = GetError(source.status());
  // A client that leaves within a second hello (ECH) has not left an idle connection.
  return error.has_value() && error->code == ErrorCode::kTruncated && error->phase != Phase::kHello;
}

// Browsers leave kept connections without close_notify, and those that they opened in advance.
// Nothing is cut if the client's last bytes, except an alert, were answered, and no byte of the
// answer waits here; or if no byte came from either side.
bool Relay::ClientLeftIdle(const RelayPipe& pipe) const {
  if (&pipe != to_backend_.get() || pipe.failed_leg() != Leg::kFront) return false;
  if (pipe.bytes_read() == 0) return to_client_->bytes_read() == 0;
  return pipe.unanswered_bytes() <= options_.client_alert_bytes && !to_client_->holds_buffers();
}

void Relay::OnFailed(Leg leg, RelayPipe& opposite) {
  if (outcome_.ok()) {
    outcome_ = AtLeg((leg == Leg::kFront ? front_ : back_).status(), leg, Phase::kRelay);
  }
  // The other leg still gets the bytes that the failed leg delivered before.
  if (opposite.source_leg() == leg) {
    opposite.DrainSource();
  } else {
    opposite.Stop();
  }
}

void Relay::OnBlocked(RelayPipe& pipe) {
  const Verdict& verdict = pipe.blocked();
  if (outcome_.ok()) outcome_ = BlockedStatus(pipe.direction(), verdict.reason());
  to_client_->EndWith(verdict.text());
  to_backend_->Stop();
}

void Relay::SchedulePump() {
  next_pump_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { Pump(); });
}

void Relay::WatchIdle(absl::Duration delay) {
  idle_timer_ = scheduler_.RunAfter(delay, [this] {
    const absl::Duration idle = scheduler_.MonotonicNow() - last_activity_;
    if (idle < options_.idle_timeout) return WatchIdle(options_.idle_timeout - idle);
    if (outcome_.ok()) {
      outcome_ = MakeError(
          ErrorCode::kTimeout, Phase::kRelay,
          absl::StrCat("no byte moved for ", absl::FormatDuration(options_.idle_timeout)));
    }
    Finish();
  });
}

void Relay::Finish() {
  next_pump_.reset();
  idle_timer_.reset();
  // The call may destroy the relay.
  absl::AnyInvocable<void(absl::Status)> done = std::exchange(done_, nullptr);
  if (done) done(outcome_);
}

}  // namespace trestle
