#include "trestle/io/stream_closer.h"

#include <array>
#include <utility>

namespace trestle {
namespace {

// Maximum bytes to read from a peer without a pause: these times the size of the buffer.
constexpr int kMaxDroppedReads = 64;

}  // namespace

StreamCloser::StreamCloser(Scheduler& scheduler, std::unique_ptr<Transport> stream,
                           StreamCloserOptions options)
    : scheduler_(scheduler), stream_(std::move(stream)), options_(std::move(options)) {}

StreamCloser::~StreamCloser() { stream_->SetHandler(nullptr); }

bool StreamCloser::Start(absl::AnyInvocable<void()> done) {
  stream_->SetHandler(this);
  if (Closed()) return true;
  done_ = std::move(done);
  if (options_.limit == absl::InfiniteDuration()) return false;
  limit_ = scheduler_.RunAfter(options_.limit, [this] {
    stream_->Abort();
    Finish();
  });
  return false;
}

void StreamCloser::Advance() {
  if (done_ && Closed()) Finish();
}

void StreamCloser::Finish() {
  limit_.reset();
  // The call may destroy the closer.
  absl::AnyInvocable<void()> done = std::exchange(done_, nullptr);
  done();
}

bool StreamCloser::Closed() {
  if (!shut_down_) {
    if (SayLastWords() == IoState::kWouldBlock) return false;
    const IoState state = stream_->ShutdownWrite(options_.end).state;
    if (state == IoState::kWouldBlock) return false;
    if (state == IoState::kFailed || !options_.linger) return true;
    shut_down_ = true;
  }
  std::array<uint8_t, 4096> dropped;
  for (int reads = 0; reads < kMaxDroppedReads; ++reads) {
    const IoState state = stream_->Read(absl::MakeSpan(dropped)).state;
    if (state == IoState::kWouldBlock) return false;
    if (state != IoState::kOk) return true;
  }
  return true;
}

// If they fail, `ShutdownWrite` fails, too.
IoState StreamCloser::SayLastWords() {
  std::string& words = options_.last_words;
  while (!words.empty()) {
    const IoResult result = stream_->Write(AsBytes(words));
    if (result.state == IoState::kWouldBlock) return result.state;
    if (result.state != IoState::kOk) words.clear();
    words.erase(0, result.bytes);
  }
  return IoState::kOk;
}

}  // namespace trestle
