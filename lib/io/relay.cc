#include "trestle/io/relay.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/io/splice_path.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

absl::Status BlockedStatus(Direction direction, absl::string_view reason) {
  return MakeError(ErrorCode::kBlockedByInspector, SourceOf(direction), Phase::kRelay,
                   std::string(reason));
}

}  // namespace

/// One direction: reads from `source`, asks the inspector, writes to `sink`.
class Relay::Pipe {
 public:
  enum class Step : uint8_t {
    kWaiting,   // A callback of source or sink will come.
    kTurnOver,  // There is more to do at once; other connections go first.
    kDone,      // All bytes and the end were carried.
    kFailed,    // See failed_leg(); no more bytes will be carried.
    kEndLost,   // As kFailed, but only the mark of the end was lost.
    kBlocked,   // The inspector blocked; see blocked().
  };

  Pipe(Direction direction, BufferPool& pool, Transport& source, Transport& sink,
       Inspector* inspector, const RelayOptions& options)
      : direction_(direction),
        source_(source),
        sink_(sink),
        inspector_(inspector),
        options_(options),
        buffer_(pool),
        direct_(source, sink, options.buffer_bytes, options.splice && inspector == nullptr) {}

  Step Pump();

  void OnReadable() { read_waits_ = false; }
  void OnWritable() { write_waits_ = false; }

  /// Drops all bytes: the sink failed.
  void Stop() {
    state_ = State::kDone;
    buffer_.Clear();
    direct_.Release();
    replacement_.clear();
  }

  /// Carries the bytes that the source still has, then stops: writing to the source's leg failed.
  void DrainSource() { source_failed_ = true; }

  /// Records that the opposite direction has sent its end to the leg that this one reads.
  void NoteOurEnd() { bytes_at_our_end_ = bytes_read_; }

  /// Records that the opposite direction has read bytes.
  void NoteAnswer() { bytes_answered_ = bytes_read_; }

  /// Returns the number of bytes read since the opposite direction last read bytes.
  uint64_t unanswered_bytes() const { return bytes_read_ - bytes_answered_; }

  /// Returns whether the source failed after our end, with no bytes in between except an alert.
  bool broke_after_our_end() const {
    if (!bytes_at_our_end_.has_value() || failed_leg_ != source_leg()) return false;
    const bool from_client = direction_ == Direction::kToBackend;
    return bytes_read_ - *bytes_at_our_end_ <= (from_client ? options_.client_alert_bytes : 0);
  }

  void NoteLeftUnmarked() { left_unmarked_ = true; }
  bool left_unmarked() const { return left_unmarked_; }

  /// Stops reading, drops the undecided bytes, and sends `last_words` as the last bytes.
  void EndWith(std::string last_words) {
    if (state_ != State::kCopying) return Stop();
    last_words_ = std::move(last_words);
    state_ = State::kLastWords;
  }

  bool done() const { return state_ == State::kDone; }

  /// Returns whether the inspector has decided anything since the last call.
  bool TakeDecided() { return std::exchange(decided_, false); }

  /// Returns whether the inspector waits for the other direction.
  bool waits_for_other() const { return state_ == State::kCopying && waits_; }

  /// Asks the inspector again, because the other direction made progress.
  void AskAgain() { waits_ = false; }

  /// Blocks the connection, because the other direction has ended.
  void GiveUpWaiting() {
    waits_ = false;
    blocked_ = Verdict::Block(absl::StrCat("the inspector still waited with ", buffer_.size(),
                                           " bytes when the other direction had ended"));
  }

  Leg failed_leg() const { return failed_leg_; }
  const Verdict& blocked() const { return *blocked_; }
  Leg source_leg() const { return SourceOf(direction_); }
  Direction direction() const { return direction_; }
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }
  uint64_t bytes_spliced() const { return direct_.bytes_written(); }
  bool holds_buffers() const {
    return buffer_.holds_memory() || !replacement_.empty() || direct_.holds_pipe();
  }

 private:
  enum class State : uint8_t { kCopying, kClosing, kLastWords, kDone };
  enum class Outcome : uint8_t { kProgress, kWaiting, kEnded, kFailed, kBlocked };

  Outcome CopyOnce();
  Outcome Fill();
  IoResult ReadSource();
  Outcome Judge();
  Outcome WriteJudged();
  Outcome WriteText();
  Step Close();
  Step SayLastWords();
  Step Fail(Leg leg);

  // Bytes are either in the buffer or in the direct path, never in both.
  size_t judged_bytes() const {
    return inspector_ == nullptr ? buffer_.size() + direct_.held_bytes() : forward_bytes_;
  }

  const Direction direction_;
  Transport& source_;
  Transport& sink_;
  Inspector* const inspector_;
  const RelayOptions& options_;
  ByteQueue buffer_;          // Bytes read; the first judged_bytes() of it may be written.
  SplicePath direct_;         // Bypasses the buffer in bulk transfers without an inspector.
  size_t forward_bytes_ = 0;  // Used with an inspector only.
  std::string replacement_;   // Written before the inspector is asked again.
  std::string last_words_;
  std::optional<Verdict> blocked_;
  State state_ = State::kCopying;
  Leg failed_leg_ = Leg::kFront;
  bool read_waits_ = false;   // Read returned kWouldBlock; OnReadable will come.
  bool write_waits_ = false;  // Write returned kWouldBlock; OnWritable will come.
  bool held_ = false;         // The inspector returned Hold().
  bool waits_ = false;        // The inspector returned Wait().
  bool asks_again_ = false;   // The inspector asked for another call, even without bytes.
  bool decided_ = false;      // See TakeDecided().
  bool source_ended_ = false;
  bool source_failed_ = false;
  bool end_judged_ = false;  // The inspector has seen the end of the stream.
  bool left_unmarked_ = false;
  std::optional<uint64_t> bytes_at_our_end_;  // See NoteOurEnd().
  uint64_t bytes_answered_ = 0;               // See NoteAnswer().
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
};

Relay::Pipe::Step Relay::Pipe::Pump() {
  const uint64_t turn_end = bytes_read_ + bytes_written_ + 2 * options_.turn_bytes;
  while (state_ == State::kCopying) {
    switch (CopyOnce()) {
      case Outcome::kProgress:
        if (bytes_read_ + bytes_written_ >= turn_end) return Step::kTurnOver;
        break;
      case Outcome::kWaiting:
        return Step::kWaiting;
      case Outcome::kEnded:
        state_ = State::kClosing;
        break;
      case Outcome::kFailed:
        return Fail(failed_leg_);
      case Outcome::kBlocked:
        return Step::kBlocked;
    }
  }
  if (state_ == State::kClosing) return Close();
  if (state_ == State::kLastWords) return SayLastWords();
  return Step::kDone;
}

Relay::Pipe::Outcome Relay::Pipe::CopyOnce() {
  if (!replacement_.empty()) return WriteText();
  if (judged_bytes() > 0) return WriteJudged();
  if (waits_) {
    // Goes on reading while there is room, so that it notices a failed leg.
    const bool room = buffer_.size() < options_.buffer_bytes && !source_ended_;
    return room ? Fill() : Outcome::kWaiting;
  }
  const bool undecided = !buffer_.empty() || asks_again_ || (source_ended_ && !end_judged_);
  if (inspector_ != nullptr && undecided && !held_) return Judge();
  if (source_ended_) return Outcome::kEnded;
  return Fill();
}

Relay::Pipe::Outcome Relay::Pipe::Fill() {
  if (read_waits_ && !source_failed_) return Outcome::kWaiting;
  const IoResult result = ReadSource();
  switch (result.state) {
    case IoState::kOk:
      bytes_read_ += result.bytes;
      held_ = false;
      return Outcome::kProgress;
    case IoState::kEndOfStream:
      source_ended_ = true;
      held_ = false;
      return Outcome::kProgress;
    case IoState::kWouldBlock:
      read_waits_ = true;
      if (!source_failed_) return Outcome::kWaiting;
      failed_leg_ = source_leg();
      return Outcome::kFailed;
    case IoState::kFailed:
      failed_leg_ = source_leg();
      return Outcome::kFailed;
  }
  return Outcome::kFailed;
}

IoResult Relay::Pipe::ReadSource() {
  if (!source_failed_ && direct_.Begin()) return direct_.Read();
  const size_t room = options_.buffer_bytes - buffer_.size();
  const IoResult result = source_.Read(buffer_.Prepare(room).first(room));
  buffer_.Commit(result.bytes);
  direct_.OnCopied(result.bytes);
  return result;
}

Relay::Pipe::Outcome Relay::Pipe::Judge() {
  Verdict verdict = inspector_->Inspect(direction_, buffer_.view(), source_ended_);
  const size_t bytes = std::min(verdict.bytes(), buffer_.size());
  asks_again_ = verdict.asks_again();
  switch (verdict.action()) {
    case Verdict::Action::kForward:
      if (bytes == 0 && !buffer_.empty()) break;
      forward_bytes_ = bytes;
      decided_ = true;
      end_judged_ = source_ended_ && bytes == buffer_.size() && !asks_again_;
      return Outcome::kProgress;
    case Verdict::Action::kReplace:
      if (bytes == 0 && verdict.text().empty()) break;
      buffer_.Consume(bytes);
      replacement_ = verdict.text();
      decided_ = true;
      end_judged_ = source_ended_ && buffer_.empty() && !asks_again_;
      return Outcome::kProgress;
    case Verdict::Action::kBlock:
      blocked_ = std::move(verdict);
      return Outcome::kBlocked;
    case Verdict::Action::kWait:
      waits_ = asks_again_ = true;
      return Outcome::kProgress;
    case Verdict::Action::kHold:
      break;
  }
  if (source_ended_ && buffer_.empty()) {
    decided_ = end_judged_ = true;
    return Outcome::kProgress;
  }
  if (source_ended_ || buffer_.size() >= options_.buffer_bytes) {
    blocked_ = Verdict::Block(
        absl::StrCat("the inspector was still undecided about ", buffer_.size(), " bytes at ",
                     source_ended_ ? "the end of the stream" : "the limit of the buffer"));
    return Outcome::kBlocked;
  }
  held_ = true;
  return Outcome::kProgress;
}

Relay::Pipe::Outcome Relay::Pipe::WriteJudged() {
  if (write_waits_) return Outcome::kWaiting;
  const bool direct = direct_.held_bytes() > 0;
  const IoResult result =
      direct ? direct_.Write() : sink_.Write(buffer_.view().first(judged_bytes()));
  if (result.state == IoState::kOk) {
    bytes_written_ += result.bytes;
    if (inspector_ != nullptr) forward_bytes_ -= result.bytes;
    if (!direct) buffer_.Consume(result.bytes);
    return Outcome::kProgress;
  }
  write_waits_ = result.state == IoState::kWouldBlock;
  if (write_waits_) return Outcome::kWaiting;
  failed_leg_ = Other(source_leg());
  return Outcome::kFailed;
}

Relay::Pipe::Outcome Relay::Pipe::WriteText() {
  if (write_waits_) return Outcome::kWaiting;
  const IoResult result = sink_.Write(AsBytes(replacement_));
  if (result.state == IoState::kOk) {
    bytes_written_ += result.bytes;
    replacement_.erase(0, result.bytes);
    return Outcome::kProgress;
  }
  write_waits_ = result.state == IoState::kWouldBlock;
  if (write_waits_) return Outcome::kWaiting;
  failed_leg_ = Other(source_leg());
  return Outcome::kFailed;
}

Relay::Pipe::Step Relay::Pipe::Close() {
  if (write_waits_) return Step::kWaiting;
  const IoState state = sink_.ShutdownWrite(StreamEnd::kClean).state;
  write_waits_ = state == IoState::kWouldBlock;
  if (write_waits_) return Step::kWaiting;
  state_ = State::kDone;
  if (state == IoState::kOk) return Step::kDone;
  failed_leg_ = Other(source_leg());
  return Step::kEndLost;
}

Relay::Pipe::Step Relay::Pipe::SayLastWords() {
  while (true) {
    Outcome outcome;
    if (!replacement_.empty()) {
      outcome = WriteText();
    } else if (judged_bytes() > 0) {
      outcome = WriteJudged();
    } else if (!last_words_.empty()) {
      buffer_.Clear();
      replacement_ = std::exchange(last_words_, {});
      outcome = Outcome::kProgress;
    } else {
      Stop();
      return Step::kDone;
    }
    if (outcome == Outcome::kWaiting) return Step::kWaiting;
    if (outcome == Outcome::kFailed) return Fail(failed_leg_);
  }
}

Relay::Pipe::Step Relay::Pipe::Fail(Leg leg) {
  failed_leg_ = leg;
  Stop();
  return Step::kFailed;
}

Relay::Relay(Scheduler& scheduler, Transport& front, Transport& back, Inspector* inspector,
             const RelayOptions& options)
    : scheduler_(scheduler),
      options_(options),
      front_(front),
      back_(back),
      front_handler_(*this, Leg::kFront),
      back_handler_(*this, Leg::kBack),
      to_backend_(std::make_unique<Pipe>(Direction::kToBackend, scheduler.buffers(), front, back,
                                         inspector, options_)),
      to_client_(std::make_unique<Pipe>(Direction::kToClient, scheduler.buffers(), back, front,
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

bool Relay::PumpPipe(Pipe& pipe, Pipe& opposite) {
  if (pipe.done()) return false;
  const uint64_t read_before = pipe.bytes_read();
  const Pipe::Step step = pipe.Pump();
  if (pipe.bytes_read() != read_before) opposite.NoteAnswer();
  const bool ask_other = pipe.TakeDecided() && opposite.waits_for_other();
  if (ask_other) opposite.AskAgain();
  switch (step) {
    case Pipe::Step::kWaiting:
      if (!pipe.waits_for_other() || !opposite.done()) return ask_other;
      pipe.GiveUpWaiting();
      OnBlocked(pipe);
      return true;
    case Pipe::Step::kDone:
      opposite.NoteOurEnd();
      // Runs the opposite direction again if it waits: it must learn that this one has ended.
      return ask_other || opposite.waits_for_other();
    case Pipe::Step::kTurnOver:
      return true;
    case Pipe::Step::kBlocked:
      OnBlocked(pipe);
      return true;
    case Pipe::Step::kEndLost:
      // A peer loses nothing if it ended its own direction and closed before our end. Its end may
      // still be unread, so the opposite direction reads on. In passthrough that end may be an
      // alert: clients close with a RST if the backend's alert is unread.
      if (pipe.failed_leg() == Leg::kFront && options_.client_alert_bytes > 0) {
        opposite.NoteOurEnd();
      }
      opposite.DrainSource();
      return true;
    case Pipe::Step::kFailed:
      if (LeftUnmarked(pipe)) {
        pipe.NoteLeftUnmarked();
      } else {
        OnFailed(pipe.failed_leg(), opposite);
      }
      return true;
  }
  return false;
}

// When a kept connection ends, servers close their side too, often without close_notify. A server
// that has not answered the client's last bytes has cut the exchange.
bool Relay::LeftUnmarked(const Pipe& pipe) const {
  if (!outcome_.ok() || !pipe.broke_after_our_end()) return false;
  const bool owes_answer = to_backend_->unanswered_bytes() > options_.client_alert_bytes;
  if (pipe.failed_leg() == Leg::kBack && owes_answer) return false;
  const Transport& source = pipe.failed_leg() == Leg::kFront ? front_ : back_;
  const std::optional<Error> error = GetError(source.status());
  return error.has_value() && error->code == ErrorCode::kTruncated;
}

void Relay::OnFailed(Leg leg, Pipe& opposite) {
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

void Relay::OnBlocked(Pipe& pipe) {
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
