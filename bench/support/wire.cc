#include "bench/support/wire.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace trestle::bench {

class Wire::End final : public Transport {
 public:
  explicit End(Wire& wire) : wire_(wire) {}
  ~End() override { wire_.end_ = nullptr; }

  IoResult Read(MutableByteView out) override {
    const size_t bytes = std::min(out.size(), wire_.inbound_.size());
    if (bytes == 0) {
      if (wire_.inbound_ended_) return {0, IoState::kEndOfStream};
      read_owed_ = true;
      return {0, IoState::kWouldBlock};
    }
    std::memcpy(out.data(), wire_.inbound_.data(), bytes);
    wire_.inbound_.remove_prefix(bytes);
    return {bytes, IoState::kOk};
  }

  IoResult Write(ByteView data) override {
    wire_.sent_.append(AsText(data).data(), data.size());
    return {data.size(), IoState::kOk};
  }

  IoResult ShutdownWrite(StreamEnd /*end*/) override { return {0, IoState::kOk}; }
  void Abort() override { handler_ = nullptr; }
  void SetHandler(TransportHandler* handler) override { handler_ = handler; }
  absl::Status status() const override { return absl::OkStatus(); }
  TransportInfo info() const override { return {}; }

  // Called from outside the loop only, so it doesn't need the loop itself.
  void WakeReader() {
    if (!std::exchange(read_owed_, false)) return;
    wire_.loop_.PostFromAnyThread([&wire = wire_] {
      if (wire.end_ != nullptr && wire.end_->handler_ != nullptr) wire.end_->handler_->OnReadable();
    });
  }

 private:
  Wire& wire_;
  TransportHandler* handler_ = nullptr;
  bool read_owed_ = false;
};

std::unique_ptr<Transport> Wire::NewEnd() {
  inbound_ = ByteView();
  inbound_ended_ = false;
  sent_.clear();
  auto end = std::make_unique<End>(*this);
  end_ = end.get();
  return end;
}

void Wire::Deliver(ByteView bytes) {
  inbound_ = bytes;
  if (end_ != nullptr) end_->WakeReader();
}

void Wire::DeliverEnd() {
  inbound_ended_ = true;
  if (end_ != nullptr) end_->WakeReader();
}

std::unique_ptr<Dial> WireDialer::Connect(const Endpoint& /*endpoint*/, Callback done) {
  loop_.PostFromAnyThread([this, done = std::move(done)]() mutable { done(wire_.NewEnd()); });
  return std::make_unique<Dial>();
}

}  // namespace trestle::bench
