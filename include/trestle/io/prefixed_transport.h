// PrefixedTransport: puts bytes that were read ahead back in front of a transport, so that its next
// user reads the stream from the first byte.
#ifndef TRESTLE_IO_PREFIXED_TRANSPORT_H_
#define TRESTLE_IO_PREFIXED_TRANSPORT_H_

#include <memory>
#include <string>
#include <utility>

#include "trestle/io/transport.h"

namespace trestle {

/// A transport that first reads `prefix` and then the bytes of `inner`. No read callback of `inner`
/// may be pending (rule 3), unless the new owner tolerates a spurious OnReadable.
class PrefixedTransport final : public Transport {
 public:
  /// Takes over `inner`. Reads return `prefix` first, then the bytes of `inner`.
  PrefixedTransport(std::string prefix, std::unique_ptr<Transport> inner)
      : prefix_(std::move(prefix)), inner_(std::move(inner)) {}

  IoResult Read(MutableByteView out) override;
  IoResult Write(ByteView data) override { return inner_->Write(data); }
  IoResult WriteBeforeEnd(ByteView data) override { return inner_->WriteBeforeEnd(data); }
  IoResult ShutdownWrite(StreamEnd end) override { return inner_->ShutdownWrite(end); }
  void Abort() override;
  void SetHandler(TransportHandler* handler) override { inner_->SetHandler(handler); }
  absl::Status status() const override { return inner_->status(); }

  TransportInfo info() const override { return inner_->info(); }

  /// Returns null while prefix bytes are left.
  SplicePool* splice_pool() override { return prefix_.empty() ? inner_->splice_pool() : nullptr; }
  IoResult ReadInto(SpliceBuffer& pipe, size_t max_bytes) override {
    return inner_->ReadInto(pipe, max_bytes);
  }
  IoResult WriteFrom(SpliceBuffer& pipe) override { return inner_->WriteFrom(pipe); }

 private:
  std::string prefix_;
  size_t taken_ = 0;
  const std::unique_ptr<Transport> inner_;
};

}  // namespace trestle

#endif  // TRESTLE_IO_PREFIXED_TRANSPORT_H_
