// StreamPeer: the peer of a connection in a test: sends the given bytes and keeps the received
// ones.
#ifndef TRESTLE_TESTS_SUPPORT_STREAM_PEER_H_
#define TRESTLE_TESTS_SUPPORT_STREAM_PEER_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

namespace trestle {

class StreamPeer final : public TransportHandler {
 public:
  /// Starts reading and writing soon, from the loop.
  StreamPeer(Scheduler& scheduler, std::unique_ptr<Transport> transport);
  ~StreamPeer();

  /// Queues bytes to be sent.
  void Send(absl::string_view bytes);

  /// Ends this direction after all queued bytes.
  void End(StreamEnd end = StreamEnd::kClean);

  /// Stops or resumes reading.
  void SetReading(bool reading);

  void Abort() { transport_->Abort(); }

  const std::string& received() const { return received_; }
  bool saw_end() const { return saw_end_; }
  /// Returns why the stream broke; OK if it didn't.
  const absl::Status& failure() const { return failure_; }
  size_t unsent_bytes() const { return to_send_.size(); }
  bool finished_sending() const { return end_sent_; }
  Transport& transport() { return *transport_; }

 private:
  void OnReadable() override;
  void OnWritable() override;
  void Kick();

  Scheduler& scheduler_;
  std::unique_ptr<Transport> transport_;
  std::string to_send_;
  std::string received_;
  std::optional<StreamEnd> end_;
  bool end_sent_ = false;
  bool reading_ = true;
  bool read_waits_ = false;
  bool write_waits_ = false;
  bool saw_end_ = false;
  absl::Status failure_;
  Timer kick_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_SUPPORT_STREAM_PEER_H_
