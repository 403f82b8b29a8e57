#include "trestle/tls/tls_stream.h"

#include <utility>

#include "absl/time/time.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

// Room for four full records: one call below replaces BoringSSL's small reads.
constexpr size_t kReadAheadBytes = 64 * 1024;

// The bytes at which reading stops while the handshake waits for a local answer: more than a second
// flight.
constexpr size_t kMaxReadAheadOfAnswerBytes = 16 * 1024;

// A peer can send endless records without data. One read makes at most this many reads below; then
// other connections get their turn.
constexpr int kMaxFillsPerRead = 16;

// A blocked writer gets its callback when two records fit, not a few bytes.
constexpr size_t kResumeWriteBytes = TlsEngine::kSendLimitBytes / 2;

}  // namespace

TlsStream::TlsStream(std::unique_ptr<TlsEngine> engine, std::unique_ptr<Transport> inner,
                     Scheduler& scheduler)
    : engine_(std::move(engine)), inner_(std::move(inner)), scheduler_(scheduler) {
  inner_->SetHandler(this);
  engine_->SetAnswerCallback([this] { ScheduleWake(); });
}

TlsStream::~TlsStream() = default;

void TlsStream::Handshake(absl::AnyInvocable<void(absl::Status)> done) {
  handshake_done_ = std::move(done);
  engine_->SetLocalAddress(inner_->info().local);
  if (AdvanceHandshake()) ScheduleWake();
}

// Returns true when the handshake is over, with success or failure.
bool TlsStream::AdvanceHandshake() {
  while (stage_ == Stage::kHandshake) {
    const IoState state = engine_->Handshake();
    Flush();
    if (state != IoState::kWouldBlock) {
      stage_ = Stage::kOver;
      break;
    }
    // Continued reading detects that the peer left; this limit bounds the bytes.
    const bool waits = engine_->waits_for_answer();
    if (waits && engine_->received().size() >= kMaxReadAheadOfAnswerBytes) break;
    const IoState filled = Fill();
    // A peer may send an alert before it closes: read it before a failed write counts.
    const bool nothing_came = filled == IoState::kWouldBlock;
    if (filled == IoState::kFailed || (nothing_came && inner_write_ == InnerWrite::kFailed)) {
      stage_ = Stage::kOver;
    }
    if (nothing_came || (waits && inner_read_ == InnerRead::kEnded)) break;
  }
  return handshake_over();
}

void TlsStream::FinishHandshake() {
  absl::AnyInvocable<void(absl::Status)> done = std::exchange(handshake_done_, nullptr);
  if (engine_->tickets_wait()) {
    request_came_ = !engine_->received().empty();
    SendTicketsAfter(request_came_ ? kAnswerDelay : kTicketDelay);
  }
  if ((read_owed_ && CanRead()) || (write_owed_ && CanWrite())) ScheduleWake();
  done(engine_->handshake_done() ? absl::OkStatus() : status());
  // `done` may have destroyed `this`.
}

void TlsStream::SendTicketsAfter(absl::Duration delay) {
  tickets_due_ = scheduler_.RunAfter(delay, [this, delay] {
    // Looks for a request that the owner has not read. The tickets leave with its answer.
    if (delay == kTicketDelay && !request_came_) Fill();
    tickets_due_.reset();
    if (delay == kTicketDelay && request_came_) {
      return SendTicketsAfter(kAnswerDelay - kTicketDelay);
    }
    SendTickets();
  });
}

void TlsStream::SendTickets() {
  engine_->QueueTickets();
  Flush();
}

IoResult TlsStream::Read(MutableByteView out) {
  if (out.empty()) return {0, IoState::kOk};
  for (int fills = 0; fills < kMaxFillsPerRead; ++fills) {
    if (stage_ == Stage::kAborted) return {0, IoState::kFailed};
    if (stage_ == Stage::kShutdown && !engine_->handshake_done()) return {0, Drain()};
    const IoResult result = engine_->Read(out);
    if (result.state == IoState::kFailed) return FailRead();
    if (result.state != IoState::kWouldBlock) return result;
    if (!engine_->handshake_done() && !handshake_over()) break;
    const IoState filled = Fill();
    if (filled == IoState::kFailed) return FailRead();
    if (filled == IoState::kWouldBlock) break;
  }
  read_owed_ = true;
  if (handshake_over() && CanRead()) ScheduleWake();
  return {0, IoState::kWouldBlock};
}

IoResult TlsStream::Write(ByteView data) {
  if (data.empty()) return {0, IoState::kOk};
  if (stage_ == Stage::kAborted || inner_write_ == InnerWrite::kFailed) {
    return {0, IoState::kFailed};
  }
  size_t taken = 0;
  while (taken < data.size()) {
    const IoResult result = engine_->Write(data.subspan(taken));
    if (result.state == IoState::kFailed) return FailWrite();
    taken += result.bytes;
    tickets_due_.reset();
    Flush();
    if (inner_write_ == InnerWrite::kFailed) return FailWrite();
    const bool stuck = inner_write_ == InnerWrite::kOwed || !engine_->handshake_done();
    if (result.state == IoState::kWouldBlock && stuck) break;
  }
  if (taken > 0) return {taken, IoState::kOk};
  write_owed_ = true;
  return {0, IoState::kWouldBlock};
}

IoResult TlsStream::ShutdownWrite(StreamEnd end) {
  if (stage_ == Stage::kAborted) return {0, IoState::kFailed};
  stage_ = Stage::kShutdown;
  handshake_done_ = nullptr;
  tickets_due_.reset();
  if (end == StreamEnd::kClean) engine_->QueueCloseNotify();
  Flush(/*end_follows=*/end == StreamEnd::kClean);
  if (inner_write_ == InnerWrite::kFailed) return FailWrite();
  if (!engine_->to_send().empty()) {
    write_owed_ = true;
    return {0, IoState::kWouldBlock};
  }
  const IoResult result = inner_->ShutdownWrite(end);
  const bool waits = result.state == IoState::kWouldBlock;
  inner_write_ = waits ? InnerWrite::kEnding : InnerWrite::kEnded;
  if (waits) write_owed_ = true;
  if (result.state == IoState::kFailed) FailWriteBelow();
  return result;
}

void TlsStream::Abort() {
  if (stage_ == Stage::kAborted) return;
  stage_ = Stage::kAborted;
  inner_->Abort();
  wake_.reset();
  tickets_due_.reset();
  handshake_done_ = nullptr;
  read_owed_ = write_owed_ = false;
  engine_->received().Clear();
  engine_->to_send().Clear();
  if (!inner_failure_.ok()) return;
  Error error;
  error.code = ErrorCode::kCancelled;
  error.detail = "aborted";
  inner_failure_ = AtLeg(MakeError(error), engine_->leg(), Phase::kRelay);
}

absl::Status TlsStream::status() const {
  return engine_->status().ok() ? inner_failure_ : engine_->status();
}

bool TlsStream::holds_buffers() const { return engine_->holds_buffers(); }

// Returns kOk if the engine got bytes or the end of the stream.
IoState TlsStream::Fill() {
  if (inner_read_ == InnerRead::kFailed) return IoState::kFailed;
  if (inner_read_ == InnerRead::kOwed) return IoState::kWouldBlock;
  ByteQueue& received = engine_->received();
  const IoResult result = inner_->Read(received.Prepare(kReadAheadBytes));
  received.Commit(result.bytes);
  switch (result.state) {
    case IoState::kOk:
      request_came_ = request_came_ || tickets_due_ != nullptr;
      return IoState::kOk;
    case IoState::kWouldBlock:
      inner_read_ = InnerRead::kOwed;
      return IoState::kWouldBlock;
    case IoState::kEndOfStream:
      inner_read_ = InnerRead::kEnded;
      engine_->EndReceived();
      return IoState::kOk;
    case IoState::kFailed:
      inner_read_ = InnerRead::kFailed;
      FailBelow();
      return IoState::kFailed;
  }
  return IoState::kFailed;
}

void TlsStream::Flush(bool end_follows) {
  ByteQueue& to_send = engine_->to_send();
  while (!to_send.empty() && inner_write_ == InnerWrite::kReady) WriteBelow(end_follows);
  // No byte can follow the end.
  if (inner_write_ == InnerWrite::kEnded || inner_write_ == InnerWrite::kFailed) to_send.Clear();
}

void TlsStream::WriteBelow(bool end_follows) {
  const ByteView bytes = engine_->to_send().view();
  const IoResult result = end_follows ? inner_->WriteBeforeEnd(bytes) : inner_->Write(bytes);
  engine_->to_send().Consume(result.bytes);
  if (result.state == IoState::kWouldBlock) inner_write_ = InnerWrite::kOwed;
  if (result.state == IoState::kFailed) FailWriteBelow();
}

void TlsStream::FailBelow() {
  if (!inner_failure_.ok()) return;
  inner_failure_ = AtLeg(inner_->status(), engine_->leg(),
                         engine_->handshake_done() ? Phase::kRelay : Phase::kHandshake);
}

// Bytes and an end that arrived before the connection broke can be read at once.
void TlsStream::FailWriteBelow() {
  inner_write_ = InnerWrite::kFailed;
  if (inner_read_ == InnerRead::kOwed) inner_read_ = InnerRead::kReady;
  FailBelow();
}

// A failure ends both directions: a waiting writer gets its callback, too.
IoResult TlsStream::FailRead() {
  Flush();
  if (write_owed_ && CanWrite()) ScheduleWake();
  return {0, stage_ == Stage::kShutdown ? Drain() : IoState::kFailed};
}

// Closing a socket with unread bytes sends RST, which can overtake the alert. After a failure,
// reads therefore drop the peer's bytes until the peer ends too.
IoState TlsStream::Drain() {
  for (int fills = 0; fills < kMaxFillsPerRead && inner_read_ != InnerRead::kOwed; ++fills) {
    if (inner_read_ == InnerRead::kEnded || Fill() == IoState::kFailed) return IoState::kFailed;
    engine_->received().Clear();
  }
  read_owed_ = true;
  if (inner_read_ != InnerRead::kOwed) ScheduleWake();
  return IoState::kWouldBlock;
}

IoResult TlsStream::FailWrite() {
  Flush();
  if (read_owed_ && CanRead()) ScheduleWake();
  return {0, IoState::kFailed};
}

// Returns whether a blocked read is worth trying again.
bool TlsStream::CanRead() const {
  const bool failed = !engine_->status().ok() && stage_ != Stage::kShutdown;
  return failed || inner_read_ != InnerRead::kOwed || !engine_->received().empty();
}

bool TlsStream::CanWrite() const {
  if (inner_write_ == InnerWrite::kFailed) return true;
  const bool waits = inner_write_ == InnerWrite::kOwed || inner_write_ == InnerWrite::kEnding;
  if (stage_ == Stage::kShutdown) return !waits && engine_->to_send().empty();
  return !engine_->status().ok() || engine_->to_send().size() <= kResumeWriteBytes;
}

// Returns true if it called the handler, which may have destroyed `this`.
bool TlsStream::NotifyReadable() {
  if (!read_owed_ || !CanRead()) return false;
  read_owed_ = false;
  if (handler_ == nullptr) return false;
  handler_->OnReadable();
  return true;
}

bool TlsStream::NotifyWritable() {
  if (!write_owed_ || !CanWrite()) return false;
  write_owed_ = false;
  if (handler_ == nullptr) return false;
  handler_->OnWritable();
  return true;
}

void TlsStream::ScheduleWake() {
  if (wake_ != nullptr) return;
  wake_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { Wake(); });
}

void TlsStream::Wake() {
  wake_.reset();
  if (handshake_done_ != nullptr) {
    if (AdvanceHandshake()) FinishHandshake();
    return;
  }
  // One callback a turn, because it may destroy `this`.
  if (read_owed_ && CanRead() && write_owed_ && CanWrite()) ScheduleWake();
  if (!NotifyReadable()) NotifyWritable();
}

void TlsStream::OnReadable() {
  if (inner_read_ == InnerRead::kOwed) inner_read_ = InnerRead::kReady;
  if (handshake_over()) {
    NotifyReadable();
  } else if (AdvanceHandshake() && handshake_done_ != nullptr) {
    FinishHandshake();
  }
}

void TlsStream::OnWritable() {
  if (inner_write_ == InnerWrite::kOwed) inner_write_ = InnerWrite::kReady;
  if (inner_write_ == InnerWrite::kEnding) inner_write_ = InnerWrite::kEnded;
  Flush();
  if (handshake_over()) {
    NotifyWritable();
  } else if (AdvanceHandshake() && handshake_done_ != nullptr) {
    FinishHandshake();
  }
}

}  // namespace trestle
