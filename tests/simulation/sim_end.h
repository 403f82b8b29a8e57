// SimEnd: a client or a backend of a simulation: TLS or clear text over a memory transport.
#ifndef TRESTLE_TESTS_SIMULATION_SIM_END_H_
#define TRESTLE_TESTS_SIMULATION_SIM_END_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "tests/support/stream_peer.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::simulation {

class SimEnd {
 public:
  /// Starts at once. `engine` is null for clear text.
  SimEnd(Scheduler& loop, std::unique_ptr<Transport> raw, std::unique_ptr<TlsEngine> engine) {
    if (engine == nullptr) {
      peer_.emplace(loop, std::move(raw));
      return;
    }
    stream_ = std::make_unique<TlsStream>(std::move(engine), std::move(raw), loop);
    stream_->Handshake([this, &loop](absl::Status status) {
      handshake_failed_ = !status.ok();
      peer_.emplace(loop, std::move(stream_));
      if (handshake_failed_) return peer_->End();
      peer_->SetReading(reading_);
      peer_->Send(early_);
      if (early_end_.has_value()) peer_->End(*early_end_);
    });
  }

  void Send(absl::string_view bytes) {
    if (peer_.has_value()) return peer_->Send(bytes);
    early_.append(bytes.data(), bytes.size());
  }

  void Finish(StreamEnd end) {
    if (peer_.has_value()) return peer_->End(end);
    early_end_ = end;
  }

  void SetReading(bool reading) {
    reading_ = reading;
    if (peer_.has_value()) peer_->SetReading(reading);
  }

  absl::string_view received() const {
    return peer_.has_value() ? absl::string_view(peer_->received()) : absl::string_view();
  }
  bool saw_end() const { return !handshake_failed_ && peer_.has_value() && peer_->saw_end(); }
  /// Whether all that it had to send was accepted, with its end.
  bool sent_all() const {
    return !handshake_failed_ && peer_.has_value() && peer_->finished_sending();
  }

 private:
  std::unique_ptr<TlsStream> stream_;
  std::optional<StreamPeer> peer_;
  std::string early_;
  std::optional<StreamEnd> early_end_;
  bool reading_ = true;
  bool handshake_failed_ = false;
};

}  // namespace trestle::simulation

#endif  // TRESTLE_TESTS_SIMULATION_SIM_END_H_
