#include "lib/proxy/loan.h"

#include <utility>

#include "trestle/base/error.h"

namespace trestle {
namespace {

absl::Status HandlerError(absl::string_view what) {
  return MakeError(
      {ErrorCode::kCancelled, Leg::kFront, Phase::kRelay, std::nullopt, std::string(what)});
}

}  // namespace

// The handler's end of a loan. It outlives the loan if the handler keeps it.
class Loan::LentTransport final : public Transport, private TransportHandler {
 public:
  LentTransport(Loan& loan, Scheduler& scheduler, std::unique_ptr<Transport> leg)
      : loan_(&loan), scheduler_(scheduler), leg_(std::move(leg)) {
    leg_->SetHandler(this);
  }

  ~LentTransport() override {
    if (loan_ == nullptr) return;
    leg_->SetHandler(nullptr);
    loan_->NoteReturn(std::move(leg_));
  }

  std::unique_ptr<Transport> TakeBack(const absl::Status& why) {
    loan_ = nullptr;
    why_taken_ = why;
    info_ = leg_->info();
    leg_->SetHandler(nullptr);
    ScheduleCallbacks();
    return std::move(leg_);
  }

  IoResult Read(MutableByteView out) override {
    if (leg_ == nullptr) return {0, IoState::kFailed};
    return NoteRead(leg_->Read(out));
  }

  IoResult ReadInto(SpliceBuffer& pipe, size_t max_bytes) override {
    if (leg_ == nullptr) return {0, IoState::kFailed};
    return NoteRead(leg_->ReadInto(pipe, max_bytes));
  }

  IoResult Write(ByteView data) override {
    if (leg_ == nullptr) return {0, IoState::kFailed};
    return NoteWritten(leg_->Write(data));
  }

  IoResult WriteBeforeEnd(ByteView data) override {
    if (leg_ == nullptr) return {0, IoState::kFailed};
    return NoteWritten(leg_->WriteBeforeEnd(data));
  }

  IoResult WriteFrom(SpliceBuffer& pipe) override {
    if (leg_ == nullptr) return {0, IoState::kFailed};
    return NoteWritten(leg_->WriteFrom(pipe));
  }

  IoResult ShutdownWrite(StreamEnd end) override {
    if (leg_ == nullptr) return {0, IoState::kFailed};
    const IoResult result = leg_->ShutdownWrite(end);
    if (result.state == IoState::kWouldBlock) write_owed_ = true;
    loan_->NoteShutdown(end, result);
    return result;
  }

  void Abort() override {
    callbacks_.reset();
    read_owed_ = write_owed_ = false;
    if (leg_ == nullptr) return;
    leg_->Abort();
    loan_->NoteAbort();
  }

  void SetHandler(TransportHandler* handler) override { handler_ = handler; }
  absl::Status status() const override { return leg_ != nullptr ? leg_->status() : why_taken_; }
  TransportInfo info() const override { return leg_ != nullptr ? leg_->info() : info_; }
  SplicePool* splice_pool() override { return leg_ != nullptr ? leg_->splice_pool() : nullptr; }

 private:
  IoResult NoteRead(const IoResult& result) {
    if (result.state == IoState::kWouldBlock) read_owed_ = true;
    loan_->NoteRead(result);
    return result;
  }

  IoResult NoteWritten(const IoResult& result) {
    if (result.state == IoState::kWouldBlock) write_owed_ = true;
    loan_->NoteWritten(result);
    return result;
  }

  void OnReadable() override {
    read_owed_ = false;
    if (handler_ != nullptr) handler_->OnReadable();
  }

  void OnWritable() override {
    write_owed_ = false;
    if (handler_ != nullptr) handler_->OnWritable();
  }

  // Runs one callback per call of the loop, because it may destroy `this`.
  void ScheduleCallbacks() {
    if (!read_owed_ && !write_owed_) return;
    callbacks_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] {
      const bool both = read_owed_ && write_owed_;
      callbacks_.reset();
      if (!read_owed_) return OnWritable();
      if (both) {
        read_owed_ = false;
        ScheduleCallbacks();
      }
      OnReadable();
    });
  }

  Loan* loan_;  // Null once the leg was taken back.
  Scheduler& scheduler_;
  std::unique_ptr<Transport> leg_;
  TransportHandler* handler_ = nullptr;
  bool read_owed_ = false;
  bool write_owed_ = false;
  // Set once the leg was taken back.
  absl::Status why_taken_;
  TransportInfo info_;
  Timer callbacks_;
};

Loan::~Loan() {
  if (lent_ != nullptr) TakeBack(HandlerError("the block has ended the connection"));
}

std::unique_ptr<Transport> Loan::Lend(std::unique_ptr<Transport> leg,
                                      absl::AnyInvocable<void()> returned) {
  returned_ = std::move(returned);
  auto lent = std::make_unique<LentTransport>(*this, scheduler_, std::move(leg));
  lent_ = lent.get();
  return lent;
}

std::unique_ptr<Transport> Loan::TakeBack(const absl::Status& why) {
  return_.reset();
  LentTransport* const lent = std::exchange(lent_, nullptr);
  return lent != nullptr ? lent->TakeBack(why) : std::move(leg_);
}

absl::Status Loan::outcome() const {
  if (!failure_.ok() || end_marked()) return failure_;
  return HandlerError("the handler dropped the connection before it marked the end of its stream");
}

void Loan::NoteRead(const IoResult& result) {
  switch (result.state) {
    case IoState::kOk:
      bytes_read_ += result.bytes;
      break;
    case IoState::kWouldBlock:
      return;
    case IoState::kEndOfStream:
      read_ended_ = true;
      break;
    case IoState::kFailed:
      read_ended_ = true;
      NoteFailure();
      break;
  }
  last_activity_ = scheduler_.MonotonicNow();
}

void Loan::NoteWritten(const IoResult& result) {
  if (result.state == IoState::kWouldBlock) return;
  bytes_written_ += result.bytes;
  if (result.state == IoState::kFailed) NoteFailure();
  last_activity_ = scheduler_.MonotonicNow();
}

void Loan::NoteShutdown(StreamEnd end, const IoResult& result) {
  if (end == StreamEnd::kTruncated) {
    bytes_at_our_end_.reset();
    if (failure_.ok()) failure_ = HandlerError("the handler cut the connection");
  } else if (failure_.ok() && !end_marked()) {
    bytes_at_our_end_ = bytes_read_;
  }
  if (result.state == IoState::kWouldBlock) return;
  write_ended_ = true;
  if (result.state == IoState::kFailed) NoteFailure();
  last_activity_ = scheduler_.MonotonicNow();
}

void Loan::NoteAbort() {
  aborted_ = true;
  if (failure_.ok()) failure_ = HandlerError("the handler aborted the connection");
}

// Many clients close without marking their end, once they have the whole answer.
void Loan::NoteFailure() {
  if (!failure_.ok() || left_unmarked_) return;
  const absl::Status status = lent_->status();
  const std::optional<Error> error = GetError(status);
  const bool truncated = error.has_value() && error->code == ErrorCode::kTruncated;
  left_unmarked_ = truncated && bytes_at_our_end_ == bytes_read_;
  if (!left_unmarked_) failure_ = AtLeg(status, Leg::kFront, Phase::kRelay);
}

void Loan::NoteReturn(std::unique_ptr<Transport> leg) {
  lent_ = nullptr;
  leg_ = std::move(leg);
  // From the loop, because the handler's own call may be on the stack.
  return_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { returned_(); });
}

}  // namespace trestle
