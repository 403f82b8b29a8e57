#include "lib/proxy/leg_closer.h"

#include <array>
#include <utility>

namespace trestle {
namespace {

// Maximum bytes to read from a peer after a failure.
constexpr int kMaxDroppedReads = 64;

}  // namespace

bool LegCloser::Start(absl::AnyInvocable<void()> done) {
  leg_->SetHandler(this);
  if (Closed()) return true;
  done_ = std::move(done);
  return false;
}

void LegCloser::Advance() {
  if (!Closed() || !done_) return;
  // The call may destroy the closer.
  absl::AnyInvocable<void()> done = std::exchange(done_, nullptr);
  done();
}

bool LegCloser::Closed() {
  if (!shut_down_) {
    if (SayLastWords() == IoState::kWouldBlock) return false;
    const IoState state = leg_->ShutdownWrite(end_).state;
    if (state == IoState::kWouldBlock) return false;
    if (state == IoState::kFailed || !linger_) return true;
    shut_down_ = true;
  }
  std::array<uint8_t, 4096> dropped;
  for (int reads = 0; reads < kMaxDroppedReads; ++reads) {
    const IoState state = leg_->Read(absl::MakeSpan(dropped)).state;
    if (state == IoState::kWouldBlock) return false;
    if (state != IoState::kOk) return true;
  }
  return true;
}

// If they fail, `ShutdownWrite` fails, too.
IoState LegCloser::SayLastWords() {
  while (!last_words_.empty()) {
    const IoResult result = leg_->Write(AsBytes(last_words_));
    if (result.state == IoState::kWouldBlock) return result.state;
    if (result.state != IoState::kOk) last_words_.clear();
    last_words_.erase(0, result.bytes);
  }
  return IoState::kOk;
}

}  // namespace trestle
