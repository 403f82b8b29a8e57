#include "examples/quickstart/conversation.h"

#include <array>
#include <utility>

#include "absl/strings/match.h"

namespace trestle::examples {
namespace {

constexpr size_t kMaxReceivedBytes = 64 * 1024;

}  // namespace

Conversation::Conversation(std::unique_ptr<Transport> transport, Scheduler& scheduler)
    : transport_(std::move(transport)), scheduler_(scheduler) {
  transport_->SetHandler(this);
}

void Conversation::Send(absl::string_view text) {
  to_send_.append(text.data(), text.size());
  next_advance_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { Advance(); });
}

void Conversation::End() {
  ending_ = true;
  next_advance_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { Advance(); });
}

void Conversation::ReadUntil(absl::string_view mark, Callback done) {
  mark_ = std::string(mark);
  done_ = std::move(done);
  next_advance_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { Advance(); });
}

void Conversation::Advance() {
  if (!Write() || (done_ && !Read())) Finish(transport_->status());
}

bool Conversation::Write() {
  while (!to_send_.empty()) {
    const IoResult result = transport_->Write(AsBytes(to_send_));
    if (result.state != IoState::kOk) return result.state == IoState::kWouldBlock;
    to_send_.erase(0, result.bytes);
  }
  if (!ending_ || ended_) return true;
  const IoState state = transport_->ShutdownWrite(StreamEnd::kClean).state;
  ended_ = state == IoState::kOk;
  return state != IoState::kFailed;
}

bool Conversation::Read() {
  std::array<uint8_t, 4096> buffer;
  while (true) {
    if (!mark_.empty() && absl::StrContains(received_, mark_)) {
      Finish(absl::OkStatus());
      return true;
    }
    const IoResult result = transport_->Read(absl::MakeSpan(buffer));
    if (result.state == IoState::kWouldBlock) return true;
    if (result.state == IoState::kFailed) return false;
    if (result.state == IoState::kEndOfStream) {
      Finish(mark_.empty() ? absl::OkStatus() : absl::DataLossError("the peer ended too early"));
      return true;
    }
    received_.append(reinterpret_cast<const char*>(buffer.data()), result.bytes);
    if (received_.size() > kMaxReceivedBytes) {
      Finish(absl::ResourceExhaustedError("the peer sent too much"));
      return true;
    }
  }
}

void Conversation::Finish(absl::Status status) {
  if (!done_) return;
  Callback done = std::exchange(done_, nullptr);
  done(std::move(status));
}

}  // namespace trestle::examples
