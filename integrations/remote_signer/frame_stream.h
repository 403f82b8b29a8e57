// FrameStream: sends and receives frames of the signing protocol over a transport.
#ifndef TRESTLE_INTEGRATIONS_REMOTE_SIGNER_FRAME_STREAM_H_
#define TRESTLE_INTEGRATIONS_REMOTE_SIGNER_FRAME_STREAM_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

namespace trestle {

/// On one loop. Received bytes are bounded by one frame and one read, sent ones by `kMaxUnsent`.
class FrameStream final : private TransportHandler {
 public:
  /// A peer that leaves more bytes than this unread is cut.
  static constexpr size_t kMaxUnsent = 1 << 20;

  /// Receives frames and the end. All calls come from the loop, never inside `Send`.
  class Owner {
   public:
    /// Called for the content of each frame. Must not destroy the stream: call `End` instead.
    virtual void OnFrame(ByteView content) = 0;
    /// Called once, with OK if the peer closed between two frames. May destroy the stream.
    virtual void OnEnd(absl::Status why) = 0;

   protected:
    ~Owner() = default;
  };

  /// Takes ownership of `transport`. `scheduler` and `owner` must outlive the stream.
  FrameStream(Scheduler& scheduler, std::unique_ptr<Transport> transport, Owner& owner);
  ~FrameStream();
  FrameStream(const FrameStream&) = delete;
  FrameStream& operator=(const FrameStream&) = delete;

  /// Sends a frame. If that fails, `OnEnd` tells.
  void Send(absl::string_view frame);

  /// Cuts the stream; `OnEnd` follows with `why`.
  void End(absl::Status why);

 private:
  void OnReadable() override;
  void OnWritable() override;
  bool TakeFrames();
  void Tell();

  Scheduler& scheduler_;
  const std::unique_ptr<Transport> transport_;
  Owner& owner_;
  std::string received_;
  std::string to_send_;
  size_t sent_bytes_ = 0;
  bool ended_ = false;
  absl::Status why_;
  Timer call_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_REMOTE_SIGNER_FRAME_STREAM_H_
