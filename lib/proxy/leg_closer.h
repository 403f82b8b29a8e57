// LegCloser: closes one leg in order: flushes the last bytes, sends the end, and gives the peer
// time to read them.
#ifndef TRESTLE_LIB_PROXY_LEG_CLOSER_H_
#define TRESTLE_LIB_PROXY_LEG_CLOSER_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "trestle/io/transport.h"

namespace trestle {

class LegCloser final : private TransportHandler {
 public:
  /// Writes `last_words`, then closes `leg` with `end`. With `linger`, reads and discards the
  /// peer's bytes until its end. Closing a socket with unread bytes sends a RST, which can overtake
  /// a last alert.
  LegCloser(std::unique_ptr<Transport> leg, StreamEnd end, bool linger, std::string last_words = {})
      : leg_(std::move(leg)), end_(end), linger_(linger), last_words_(std::move(last_words)) {}
  ~LegCloser() { leg_->SetHandler(nullptr); }

  /// Starts. Returns true if the leg is closed already; else `done` is called once, from the loop.
  bool Start(absl::AnyInvocable<void()> done);

  /// Stops waiting and cuts the leg.
  void Cut() { leg_->Abort(); }

 private:
  void OnReadable() override { Advance(); }
  void OnWritable() override { Advance(); }
  void Advance();
  bool Closed();
  IoState SayLastWords();

  const std::unique_ptr<Transport> leg_;
  const StreamEnd end_;
  const bool linger_;
  std::string last_words_;  // The bytes not written yet.
  bool shut_down_ = false;
  absl::AnyInvocable<void()> done_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_LEG_CLOSER_H_
