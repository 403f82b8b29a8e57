// ByteSender: sends a few bytes on a leg before anything else uses it, in as many writes as that
// takes.
#ifndef TRESTLE_LIB_PROXY_BYTE_SENDER_H_
#define TRESTLE_LIB_PROXY_BYTE_SENDER_H_

#include <cstddef>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "trestle/io/transport.h"

namespace trestle {

class ByteSender final : private TransportHandler {
 public:
  /// Takes over the handler of `leg`, which must outlive the sender.
  ByteSender(Transport& leg, std::string bytes) : leg_(leg), bytes_(std::move(bytes)) {
    leg_.SetHandler(this);
  }
  ~ByteSender() { leg_.SetHandler(nullptr); }
  ByteSender(const ByteSender&) = delete;
  ByteSender& operator=(const ByteSender&) = delete;

  /// Starts. After kOk or kFailed, `done` is never called. After kWouldBlock, `done` is called
  /// once, from the loop, with one of these two; the sender may be destroyed in it.
  IoState Start(absl::AnyInvocable<void(IoState)> done) {
    const IoState state = Send();
    if (state == IoState::kWouldBlock) done_ = std::move(done);
    return state;
  }

 private:
  void OnReadable() override {}

  void OnWritable() override {
    const IoState state = Send();
    if (state == IoState::kWouldBlock) return;
    absl::AnyInvocable<void(IoState)> done = std::exchange(done_, nullptr);
    done(state);
  }

  IoState Send() {
    while (sent_ < bytes_.size()) {
      const IoResult result = leg_.Write(AsBytes(bytes_).subspan(sent_));
      if (result.state != IoState::kOk) return result.state;
      sent_ += result.bytes;
    }
    return IoState::kOk;
  }

  Transport& leg_;
  const std::string bytes_;
  size_t sent_ = 0;
  absl::AnyInvocable<void(IoState)> done_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_BYTE_SENDER_H_
