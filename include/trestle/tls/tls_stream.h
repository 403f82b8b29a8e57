// TlsStream: TLS over any transport, itself a transport: a TlsEngine joined to what carries it.
// Reads and writes many records per call on the transport below.
#ifndef TRESTLE_TLS_TLS_STREAM_H_
#define TRESTLE_TLS_TLS_STREAM_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// Rules of Transport hold. In addition: end of stream without close_notify is kFailed with
/// ErrorCode::kTruncated; `ShutdownWrite(kClean)` sends close_notify before the end of the stream
/// below, `ShutdownWrite(kTruncated)` leaves it out; after a failure `ShutdownWrite` sends the
/// alert that is waiting. Holds no buffers while nothing is in flight.
class TlsStream final : public Transport, private TransportHandler {
 public:
  /// Takes over `inner`. `scheduler` must outlive the stream.
  TlsStream(std::unique_ptr<TlsEngine> engine, std::unique_ptr<Transport> inner,
            Scheduler& scheduler);
  ~TlsStream() override;

  /// Makes the handshake; to be called once, before anything else. `done` is called once, from the
  /// loop and never from inside this call; the stream may be destroyed in it.
  void Handshake(absl::AnyInvocable<void(absl::Status)> done);

  /// What the handshake agreed; during it, what is known so far.
  const TlsInfo& tls_info() const { return engine_->info(); }

  /// Tells whether any record or plaintext is held now.
  bool holds_buffers() const;

  IoResult Read(MutableByteView out) override;
  IoResult Write(ByteView data) override;
  IoResult ShutdownWrite(StreamEnd end) override;
  void Abort() override;
  void SetHandler(TransportHandler* handler) override { handler_ = handler; }
  absl::Status status() const override;

  /// The addresses below; no fd, because the socket's bytes are not this stream's bytes.
  TransportInfo info() const override;

 private:
  void OnReadable() override;
  void OnWritable() override;

  // Implementation state belongs to tls_stream.cc's author.
  std::unique_ptr<TlsEngine> engine_;
  std::unique_ptr<Transport> inner_;
  Scheduler& scheduler_;
  TransportHandler* handler_ = nullptr;
  absl::AnyInvocable<void(absl::Status)> handshake_done_;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_TLS_STREAM_H_
