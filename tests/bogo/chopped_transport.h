// ChoppedTransport: moves one byte a call and would block after each, so that every state of TLS
// above it is left and entered again at every byte.
#ifndef TRESTLE_TESTS_BOGO_CHOPPED_TRANSPORT_H_
#define TRESTLE_TESTS_BOGO_CHOPPED_TRANSPORT_H_

#include <cstddef>
#include <limits>
#include <memory>
#include <utility>

#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

namespace trestle::bogo {

class ChoppedTransport final : public Transport, private TransportHandler {
 public:
  ChoppedTransport(std::unique_ptr<Transport> inner, Scheduler& loop)
      : inner_(std::move(inner)), loop_(loop) {
    inner_->SetHandler(this);
  }

  /// Accepts `bytes` more bytes to write, and then none until `ReleaseWrites`.
  void HoldWritesAfter(size_t bytes) { writable_bytes_ = bytes; }
  void ReleaseWrites();
  /// Tells whether a write waits for its next turn.
  bool writing() const { return write_later_ != nullptr; }

  IoResult Read(MutableByteView out) override;
  IoResult Write(ByteView data) override;
  IoResult ShutdownWrite(StreamEnd end) override { return inner_->ShutdownWrite(end); }
  void Abort() override;
  void SetHandler(TransportHandler* handler) override { handler_ = handler; }
  absl::Status status() const override { return inner_->status(); }
  TransportInfo info() const override { return inner_->info(); }

 private:
  static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

  void OnReadable() override { handler_->OnReadable(); }
  void OnWritable() override { handler_->OnWritable(); }
  IoResult BlockRead();
  IoResult BlockWrite();

  const std::unique_ptr<Transport> inner_;
  Scheduler& loop_;
  TransportHandler* handler_ = nullptr;
  size_t writable_bytes_ = kNoLimit;
  bool may_read_ = true;
  bool may_write_ = true;
  bool write_waits_ = false;  // For `ReleaseWrites`.
  Timer read_later_;
  Timer write_later_;
};

}  // namespace trestle::bogo

#endif  // TRESTLE_TESTS_BOGO_CHOPPED_TRANSPORT_H_
