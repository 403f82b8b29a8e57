#include "tests/bogo/chopped_transport.h"

#include "absl/time/time.h"

namespace trestle::bogo {

IoResult ChoppedTransport::Read(MutableByteView out) {
  if (!may_read_) return BlockRead();
  const IoResult result = inner_->Read(out.subspan(0, 1));
  if (result.state == IoState::kOk) may_read_ = false;
  return result;
}

IoResult ChoppedTransport::Write(ByteView data) {
  if (writable_bytes_ == 0) {
    write_waits_ = true;
    return {0, IoState::kWouldBlock};
  }
  if (!may_write_) return BlockWrite();
  const IoResult result = inner_->Write(data.subspan(0, 1));
  if (result.state != IoState::kOk) return result;
  may_write_ = false;
  if (writable_bytes_ != kNoLimit) --writable_bytes_;
  return result;
}

void ChoppedTransport::ReleaseWrites() {
  writable_bytes_ = kNoLimit;
  if (write_waits_) BlockWrite();
  write_waits_ = false;
}

void ChoppedTransport::Abort() {
  read_later_.reset();
  write_later_.reset();
  inner_->Abort();
}

// The handler may destroy this object.
IoResult ChoppedTransport::BlockRead() {
  if (read_later_ == nullptr) {
    read_later_ = loop_.RunAfter(absl::ZeroDuration(), [this] {
      read_later_.reset();
      may_read_ = true;
      handler_->OnReadable();
    });
  }
  return {0, IoState::kWouldBlock};
}

IoResult ChoppedTransport::BlockWrite() {
  if (write_later_ == nullptr) {
    write_later_ = loop_.RunAfter(absl::ZeroDuration(), [this] {
      write_later_.reset();
      may_write_ = true;
      handler_->OnWritable();
    });
  }
  return {0, IoState::kWouldBlock};
}

}  // namespace trestle::bogo
