#include "integrations/remote_signer/frame_stream.h"

#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "integrations/remote_signer/signing_protocol.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr size_t kLengthBytes = 4;
constexpr int kReadsPerTurn = 8;

absl::Status Broken(absl::string_view why) {
  return MakeError(ErrorCode::kTransport, Phase::kSetUp, std::string(why));
}

size_t LengthIn(absl::string_view head) {
  size_t length = 0;
  for (const uint8_t byte : AsBytes(head)) length = length << 8 | byte;
  return length;
}

}  // namespace

FrameStream::FrameStream(Scheduler& scheduler, std::unique_ptr<Transport> transport, Owner& owner)
    : scheduler_(scheduler), transport_(std::move(transport)), owner_(owner) {
  transport_->SetHandler(this);
  call_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { OnReadable(); });
}

FrameStream::~FrameStream() { transport_->Abort(); }

void FrameStream::Send(absl::string_view frame) {
  if (ended_) return;
  absl::StrAppend(&to_send_, frame);
  OnWritable();
  if (to_send_.size() - sent_bytes_ > kMaxUnsent) End(Broken("the peer reads nothing"));
}

void FrameStream::End(absl::Status why) {
  if (std::exchange(ended_, true)) return;
  why_ = std::move(why);
  transport_->SetHandler(nullptr);
  call_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { Tell(); });
}

void FrameStream::Tell() { owner_.OnEnd(why_); }

void FrameStream::OnWritable() {
  while (sent_bytes_ < to_send_.size()) {
    const IoResult result = transport_->Write(AsBytes(to_send_).subspan(sent_bytes_));
    // If it failed, the read reports the reason.
    if (result.state != IoState::kOk) return;
    sent_bytes_ += result.bytes;
  }
  to_send_.clear();
  sent_bytes_ = 0;
}

void FrameStream::OnReadable() {
  std::array<uint8_t, 16 * 1024> buffer;
  for (int reads = 0; !ended_; ++reads) {
    if (reads == kReadsPerTurn) {
      // Other connections of the loop have their turn first.
      call_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { OnReadable(); });
      return;
    }
    const IoResult result = transport_->Read(MutableByteView(buffer.data(), buffer.size()));
    switch (result.state) {
      case IoState::kOk:
        break;
      case IoState::kWouldBlock:
        return;
      case IoState::kEndOfStream:
        return End(received_.empty() ? absl::OkStatus() : Broken("it ended inside a frame"));
      case IoState::kFailed:
        return End(Broken(GetError(transport_->status()).value_or(Error()).detail));
    }
    absl::StrAppend(&received_, AsText(ByteView(buffer.data(), result.bytes)));
    if (!TakeFrames()) return;
  }
}

// Passes the complete frames on. Returns false if the stream has ended.
bool FrameStream::TakeFrames() {
  absl::string_view rest = received_;
  while (rest.size() >= kLengthBytes) {
    const size_t length = LengthIn(rest.substr(0, kLengthBytes));
    if (length > kMaxSigningFrameBytes) {
      End(Broken("it sent a frame over the limit"));
      return false;
    }
    if (rest.size() - kLengthBytes < length) break;
    owner_.OnFrame(AsBytes(rest.substr(kLengthBytes, length)));
    if (ended_) return false;
    rest.remove_prefix(kLengthBytes + length);
  }
  received_.erase(0, received_.size() - rest.size());
  return true;
}

}  // namespace trestle
