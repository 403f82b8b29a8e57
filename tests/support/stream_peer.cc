#include "tests/support/stream_peer.h"

#include <array>
#include <utility>

namespace trestle {

StreamPeer::StreamPeer(Scheduler& scheduler, std::unique_ptr<Transport> transport)
    : scheduler_(scheduler), transport_(std::move(transport)) {
  transport_->SetHandler(this);
  Kick();
}

StreamPeer::~StreamPeer() { transport_->SetHandler(nullptr); }

void StreamPeer::Send(absl::string_view bytes) {
  to_send_.append(bytes.data(), bytes.size());
  Kick();
}

void StreamPeer::End(StreamEnd end) {
  end_ = end;
  Kick();
}

void StreamPeer::SetReading(bool reading) {
  reading_ = reading;
  Kick();
}

void StreamPeer::Kick() {
  kick_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] {
    if (!read_waits_) OnReadable();
    if (!write_waits_) OnWritable();
  });
}

void StreamPeer::OnReadable() {
  read_waits_ = false;
  std::array<uint8_t, 16384> bytes;
  while (reading_ && !saw_end_ && failure_.ok()) {
    const IoResult result = transport_->Read(absl::MakeSpan(bytes));
    switch (result.state) {
      case IoState::kOk:
        received_.append(reinterpret_cast<const char*>(bytes.data()), result.bytes);
        break;
      case IoState::kWouldBlock:
        read_waits_ = true;
        return;
      case IoState::kEndOfStream:
        saw_end_ = true;
        return;
      case IoState::kFailed:
        failure_ = transport_->status();
        return;
    }
  }
}

void StreamPeer::OnWritable() {
  write_waits_ = false;
  while (!to_send_.empty() && failure_.ok()) {
    const IoResult result = transport_->Write(AsBytes(to_send_));
    if (result.state == IoState::kWouldBlock) {
      write_waits_ = true;
      return;
    }
    if (result.state == IoState::kFailed) {
      failure_ = transport_->status();
      return;
    }
    to_send_.erase(0, result.bytes);
  }
  if (!end_.has_value() || end_sent_ || !failure_.ok()) return;
  const IoState state = transport_->ShutdownWrite(*end_).state;
  write_waits_ = state == IoState::kWouldBlock;
  end_sent_ = state == IoState::kOk;
}

}  // namespace trestle
