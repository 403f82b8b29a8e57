#include "integrations/http/http_wire.h"

#include <algorithm>
#include <utility>

#include "trestle/base/bytes.h"

namespace trestle {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr int kReadsPerTurn = 4;
constexpr size_t kSendBytes = 64 * 1024;

}  // namespace

HttpWire::HttpWire(TurnQueue& turns, Scheduler& scheduler, std::unique_ptr<Transport> transport,
                   HttpWireOwner& owner, bool linger)
    : TurnItem(turns),
      turns_(turns),
      scheduler_(scheduler),
      transport_(std::move(transport)),
      owner_(owner),
      linger_(linger) {}

HttpWire::~HttpWire() { transport_->SetHandler(nullptr); }

void HttpWire::Start(HttpCodec& codec) {
  codec_ = &codec;
  transport_->SetHandler(this);
  Enqueue();
}

void HttpWire::OnReadable() {
  const TurnQueue::Turn turn(turns_);
  read_waits_ = false;
  Enqueue();
}

void HttpWire::OnWritable() {
  const TurnQueue::Turn turn(turns_);
  write_waits_ = false;
  Enqueue();
}

void HttpWire::RunTurn() {
  if (over_) return;
  ReadSome();
  if (!over_) Flush();
}

void HttpWire::ReadSome() {
  for (int reads = 0; !read_waits_ && !read_over_ && codec_->wants_bytes(); ++reads) {
    if (reads == kReadsPerTurn) {
      more_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] {
        const TurnQueue::Turn turn(turns_);
        Enqueue();
      });
      return;
    }
    if (!ReadOnce()) return;
  }
}

bool HttpWire::ReadOnce() {
  std::unique_ptr<uint8_t[]> block = scheduler_.buffers().Take();
  const IoResult result = transport_->Read({block.get(), kReadBytes});
  switch (result.state) {
    case IoState::kOk:
      codec_->Receive(AsText({block.get(), result.bytes}));
      owner_.OnWireActivity();
      break;
    case IoState::kWouldBlock:
      read_waits_ = true;
      break;
    case IoState::kEndOfStream:
      read_over_ = true;
      codec_->ReceiveEnd();
      break;
    case IoState::kFailed:
      read_over_ = true;
      codec_->OnLost(transport_->status());
      break;
  }
  scheduler_.buffers().Return(std::move(block));
  return result.state == IoState::kOk;
}

bool HttpWire::IsSilent() {
  if (over_ || read_over_ || !codec_->wants_bytes()) return false;
  return !ReadOnce() && read_waits_ && !over_ && codec_->failure().ok();
}

void HttpWire::Flush() {
  if (!WriteAll()) return;
  if (absl::Status failure = codec_->failure(); !failure.ok()) {
    transport_->Abort();
    return Finish(failure);
  }
  if (codec_->ends_writing()) EndWriting();
}

// Returns whether all bytes of the codec were sent.
bool HttpWire::WriteAll() {
  while (!write_waits_ && !write_ending_) {
    if (sent_ == out_.size()) {
      std::string().swap(out_);
      sent_ = 0;
      codec_->Produce(out_, kSendBytes);
      if (out_.empty()) return true;
    }
    const ByteView rest = AsBytes(absl::string_view(out_).substr(sent_));
    const bool last = out_.size() < kSendBytes && codec_->ends_writing();
    const IoResult result = last ? transport_->WriteBeforeEnd(rest) : transport_->Write(rest);
    if (result.state == IoState::kWouldBlock) {
      write_waits_ = true;
      stalled_since_ = scheduler_.MonotonicNow();
    } else if (result.state == IoState::kOk) {
      sent_ += result.bytes;
      owner_.OnWireActivity();
    } else {
      const absl::Status why = transport_->status();
      codec_->OnLost(why);
      transport_->Abort();
      Finish(why);
      return false;
    }
  }
  // A peer that does not read must not prevent the end of its connection.
  return write_ending_ || !codec_->failure().ok();
}

void HttpWire::EndWriting() {
  write_ending_ = true;
  if (!write_ended_) {
    const IoResult result = transport_->ShutdownWrite(StreamEnd::kClean);
    if (result.state == IoState::kWouldBlock) {
      write_waits_ = true;
      stalled_since_ = scheduler_.MonotonicNow();
      return Linger();
    }
    write_ended_ = true;
  }
  if (!codec_->over()) return;  // Half-closed.
  if (linger_ && !read_over_) return Linger();
  Finish(absl::OkStatus());
}

void HttpWire::Linger() {
  if (linger_limit_ != nullptr || !codec_->over()) return;
  linger_limit_ = scheduler_.RunAfter(kLingerTime, [this] {
    const TurnQueue::Turn turn(turns_);
    transport_->Abort();
    Finish(absl::OkStatus());
  });
}

void HttpWire::Finish(const absl::Status& why) {
  if (std::exchange(over_, true)) return;
  more_.reset();
  linger_limit_.reset();
  transport_->SetHandler(nullptr);
  codec_->OnLost(why.ok() ? absl::CancelledError("the connection is over") : why);
  owner_.OnWireOver(why);
}

void HttpWire::Abort() {
  if (std::exchange(over_, true)) return;
  more_.reset();
  linger_limit_.reset();
  transport_->SetHandler(nullptr);
  transport_->Abort();
}

}  // namespace trestle
