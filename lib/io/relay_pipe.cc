#include "lib/io/relay_pipe.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace trestle {

RelayPipe::Step RelayPipe::Pump() {
  const uint64_t turn_end = bytes_read_ + bytes_written_ + 2 * options_.turn_bytes;
  while (stage_ == Stage::kCopying) {
    switch (CopyOnce()) {
      case Outcome::kProgress:
        if (bytes_read_ + bytes_written_ >= turn_end) return Step::kTurnOver;
        break;
      case Outcome::kWaiting:
        return Step::kWaiting;
      case Outcome::kEnded:
        stage_ = Stage::kClosing;
        break;
      case Outcome::kFailed:
        return Fail();
      case Outcome::kBlocked:
        return Step::kBlocked;
    }
  }
  if (stage_ == Stage::kClosing) return Close();
  if (stage_ == Stage::kLastWords) return SendLastWords();
  return Step::kDone;
}

RelayPipe::Outcome RelayPipe::CopyOnce() {
  if (!replacement_.empty()) return WriteReplacement();
  if (judged_bytes() > 0) return WriteJudged();
  if (MustInspect()) return Inspect();
  if (source_state_ == SourceState::kEnded)
    return waits_for_other() ? Outcome::kWaiting : Outcome::kEnded;
  // While the inspector waits, reading goes on in the room left, to notice a failed leg.
  if (buffer_.size() >= options_.buffer_bytes) return Outcome::kWaiting;
  return Fill();
}

bool RelayPipe::MustInspect() const {
  if (inspector_ == nullptr) return false;
  switch (inspection_) {
    case Inspection::kIdle:
      return !buffer_.empty() || source_state_ == SourceState::kEnded;
    case Inspection::kAsksAgain:
      return true;
    case Inspection::kHolds:
    case Inspection::kWaits:
    case Inspection::kSawEnd:
      return false;
  }
  return false;
}

RelayPipe::Outcome RelayPipe::Inspect() {
  Verdict verdict =
      inspector_->Inspect(direction_, buffer_.view(), source_state_ == SourceState::kEnded);
  const size_t bytes = std::min(verdict.bytes(), buffer_.size());
  switch (verdict.action()) {
    case Verdict::Action::kForward:
      if (bytes == 0 && !buffer_.empty()) return HoldUndecided();
      forward_bytes_ = bytes;
      break;
    case Verdict::Action::kReplace:
      if (bytes == 0 && verdict.text().empty()) return HoldUndecided();
      buffer_.Consume(bytes);
      replacement_ = verdict.text();
      break;
    case Verdict::Action::kBlock:
      blocked_ = std::move(verdict);
      return Outcome::kBlocked;
    case Verdict::Action::kWait:
      inspection_ = Inspection::kWaits;
      return Outcome::kProgress;
    case Verdict::Action::kHold:
      return HoldUndecided();
  }
  decided_ = true;
  inspection_ = AfterBytes(verdict);
  return Outcome::kProgress;
}

// Returns what follows a verdict that forwards or replaces bytes.
RelayPipe::Inspection RelayPipe::AfterBytes(const Verdict& verdict) const {
  if (verdict.asks_again()) return Inspection::kAsksAgain;
  const bool all_judged = forward_bytes_ == buffer_.size();
  return source_state_ == SourceState::kEnded && all_judged ? Inspection::kSawEnd
                                                            : Inspection::kIdle;
}

RelayPipe::Outcome RelayPipe::HoldUndecided() {
  const bool ended = source_state_ == SourceState::kEnded;
  if (ended && buffer_.empty()) {
    decided_ = true;
    inspection_ = Inspection::kSawEnd;
    return Outcome::kProgress;
  }
  if (ended || buffer_.size() >= options_.buffer_bytes) {
    blocked_ = Verdict::Block(
        absl::StrCat("the inspector was still undecided about ", buffer_.size(), " bytes at ",
                     ended ? "the end of the stream" : "the limit of the buffer"));
    return Outcome::kBlocked;
  }
  inspection_ = Inspection::kHolds;
  return Outcome::kProgress;
}

void RelayPipe::GiveUpWaiting() {
  inspection_ = Inspection::kIdle;
  blocked_ = Verdict::Block(absl::StrCat("the inspector still waited with ", buffer_.size(),
                                         " bytes when the other direction had ended"));
}

RelayPipe::Outcome RelayPipe::Fill() {
  if (source_state_ == SourceState::kBlocked) return Outcome::kWaiting;
  const IoResult result = ReadSource();
  switch (result.state) {
    case IoState::kOk:
      bytes_read_ += result.bytes;
      break;
    case IoState::kEndOfStream:
      source_state_ = SourceState::kEnded;
      break;
    case IoState::kWouldBlock:
      if (source_state_ == SourceState::kReadable) {
        source_state_ = SourceState::kBlocked;
        return Outcome::kWaiting;
      }
      failed_leg_ = source_leg();
      return Outcome::kFailed;
    case IoState::kFailed:
      failed_leg_ = source_leg();
      return Outcome::kFailed;
  }
  if (inspection_ == Inspection::kHolds) inspection_ = Inspection::kIdle;
  return Outcome::kProgress;
}

IoResult RelayPipe::ReadSource() {
  if (source_state_ == SourceState::kReadable && direct_.Begin()) return direct_.Read();
  const size_t room = options_.buffer_bytes - buffer_.size();
  const IoResult result = source_.Read(buffer_.Prepare(room).first(room));
  buffer_.Commit(result.bytes);
  direct_.OnCopied(result.bytes);
  return result;
}

RelayPipe::Outcome RelayPipe::WriteJudged() {
  if (sink_blocked_) return Outcome::kWaiting;
  if (direct_.held_bytes() > 0) return AfterWrite(direct_.Write());
  const IoResult result = sink_.Write(buffer_.view().first(judged_bytes()));
  if (result.state == IoState::kOk) {
    if (inspector_ != nullptr) forward_bytes_ -= result.bytes;
    buffer_.Consume(result.bytes);
  }
  return AfterWrite(result);
}

RelayPipe::Outcome RelayPipe::WriteReplacement() {
  if (sink_blocked_) return Outcome::kWaiting;
  const IoResult result = sink_.Write(AsBytes(replacement_));
  if (result.state == IoState::kOk) replacement_.erase(0, result.bytes);
  return AfterWrite(result);
}

RelayPipe::Outcome RelayPipe::AfterWrite(const IoResult& result) {
  if (result.state == IoState::kOk) {
    bytes_written_ += result.bytes;
    return Outcome::kProgress;
  }
  sink_blocked_ = result.state == IoState::kWouldBlock;
  if (sink_blocked_) return Outcome::kWaiting;
  failed_leg_ = sink_leg();
  return Outcome::kFailed;
}

RelayPipe::Step RelayPipe::Close() {
  if (sink_blocked_) return Step::kWaiting;
  const IoState state = sink_.ShutdownWrite(StreamEnd::kClean).state;
  sink_blocked_ = state == IoState::kWouldBlock;
  if (sink_blocked_) return Step::kWaiting;
  stage_ = Stage::kDone;
  if (state == IoState::kOk) return Step::kDone;
  failed_leg_ = sink_leg();
  return Step::kEndLost;
}

void RelayPipe::EndWith(std::string last_words) {
  if (stage_ != Stage::kCopying) return Stop();
  last_words_ = std::move(last_words);
  stage_ = Stage::kLastWords;
}

RelayPipe::Step RelayPipe::SendLastWords() {
  while (true) {
    Outcome outcome;
    if (!replacement_.empty()) {
      outcome = WriteReplacement();
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
    if (outcome == Outcome::kFailed) return Fail();
  }
}

void RelayPipe::Stop() {
  stage_ = Stage::kDone;
  buffer_.Clear();
  direct_.Release();
  replacement_.clear();
}

RelayPipe::Step RelayPipe::Fail() {
  Stop();
  return Step::kFailed;
}

bool RelayPipe::broke_after_our_end() const {
  if (!bytes_at_our_end_.has_value() || failed_leg_ != source_leg()) return false;
  const bool from_client = direction_ == Direction::kToBackend;
  return bytes_read_ - *bytes_at_our_end_ <= (from_client ? options_.client_alert_bytes : 0);
}

}  // namespace trestle
