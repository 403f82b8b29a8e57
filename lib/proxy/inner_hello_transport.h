// InnerHelloTransport: a client's stream behind a router that opened its hello (ECH). It reads as
// if the client had sent the inner hello, and after a HelloRetryRequest the second inner hello.
#ifndef TRESTLE_LIB_PROXY_INNER_HELLO_TRANSPORT_H_
#define TRESTLE_LIB_PROXY_INNER_HELLO_TRANSPORT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "lib/wire/hello_retry.h"
#include "lib/wire/tls_records.h"
#include "trestle/base/error.h"
#include "trestle/io/transport.h"
#include "trestle/wire/client_hello.h"
#include "trestle/wire/ech_opener.h"

namespace trestle {

/// Inspects the server's direction until it is known whether that begins with a HelloRetryRequest.
/// Inspects the client's direction until its last hello has passed. From then on, bulk data may
/// bypass this process (`splice_pool`).
///
/// A client that violates RFC 9849 gets an alert; reads then fail with the same error as for a
/// first hello.
class InnerHelloTransport final : public Transport {
 public:
  /// `first` is the inner hello of `opening`, which must be kOpened. `surplus` has the bytes that
  /// `raw` delivered after the outer hello.
  InnerHelloTransport(EchOpening opening, uint16_t record_version, ByteView surplus,
                      std::unique_ptr<Transport> raw);

  IoResult Read(MutableByteView out) override;
  IoResult Write(ByteView data) override { return Note(data, raw_->Write(data)); }
  IoResult WriteBeforeEnd(ByteView data) override { return Note(data, raw_->WriteBeforeEnd(data)); }
  IoResult ShutdownWrite(StreamEnd end) override {
    write_ended_ = true;
    return raw_->ShutdownWrite(end);
  }
  void Abort() override;
  void SetHandler(TransportHandler* handler) override { raw_->SetHandler(handler); }
  absl::Status status() const override { return failure_.ok() ? raw_->status() : failure_; }
  TransportInfo info() const override { return raw_->info(); }

  SplicePool* splice_pool() override {
    return hellos_ == nullptr && ready_.empty() && failure_.ok() ? raw_->splice_pool() : nullptr;
  }
  IoResult ReadInto(SpliceBuffer& pipe, size_t max_bytes) override {
    return raw_->ReadInto(pipe, max_bytes);
  }
  IoResult WriteFrom(SpliceBuffer& pipe) override { return raw_->WriteFrom(pipe); }

 private:
  using Answer = wire_internal::HelloRetryScanner::Answer;

  // State until the client's last hello has passed.
  struct Hellos {
    std::unique_ptr<EchContext> context;
    uint16_t record_version;
    wire_internal::HelloRetryScanner server;
    Answer answer = Answer::kUndecided;
    wire_internal::RecordFollower client;
    std::unique_ptr<ClientHelloReader> second;  // Set once the second hello has begun.
  };

  IoResult Note(ByteView data, IoResult written);
  void Take(ByteView from_client);
  void TakeSecond(ByteView from_client);
  void Fail(absl::Status failure);

  const std::unique_ptr<Transport> raw_;
  std::string ready_;  // Bytes to read before those of `raw_`.
  size_t taken_ = 0;   // Of `ready_`.
  std::unique_ptr<Hellos> hellos_;
  bool write_ended_ = false;
  absl::Status failure_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_INNER_HELLO_TRANSPORT_H_
