// LegCloser: ends one leg decently: last words flushed, end marked, and the peer given the time to
// read them before the socket goes.
#ifndef TRESTLE_LIB_PROXY_LEG_CLOSER_H_
#define TRESTLE_LIB_PROXY_LEG_CLOSER_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "trestle/io/transport.h"

namespace trestle {

class LegCloser final : private TransportHandler {
 public:
  /// Closes `leg` with `end`. With `linger`, reads and drops what the peer still sends until it
  /// ends too: closing a socket with unread bytes sends RST, which can overtake a last alert.
  LegCloser(std::unique_ptr<Transport> leg, StreamEnd end, bool linger)
      : leg_(std::move(leg)), end_(end), linger_(linger) {}
  ~LegCloser() { leg_->SetHandler(nullptr); }

  /// Starts. True when the leg is closed already; else `done` is called once, from the loop.
  bool Start(absl::AnyInvocable<void()> done);

  /// Gives up waiting: cuts the leg.
  void Cut() { leg_->Abort(); }

 private:
  void OnReadable() override { Advance(); }
  void OnWritable() override { Advance(); }
  void Advance();
  bool Closed();

  const std::unique_ptr<Transport> leg_;
  const StreamEnd end_;
  const bool linger_;
  bool shut_down_ = false;
  absl::AnyInvocable<void()> done_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_LEG_CLOSER_H_
