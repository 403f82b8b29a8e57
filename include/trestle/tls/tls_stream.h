// TlsStream: TLS over any transport, itself a transport: a TlsEngine joined to what carries it.
// Reads and writes many records per call on the transport below.
#ifndef TRESTLE_TLS_TLS_STREAM_H_
#define TRESTLE_TLS_TLS_STREAM_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// Rules of Transport hold. In addition: end of stream without close_notify is kFailed with
/// ErrorCode::kTruncated; `ShutdownWrite(kClean)` sends close_notify before the end of the stream
/// below, `ShutdownWrite(kTruncated)` leaves it out; after a failure `ShutdownWrite` sends the
/// alert that is waiting, and from then on `Read` drops what the peer still sends (kWouldBlock)
/// until the peer ends too (kFailed), so that who lingers doesn't reset the alert away. A failure
/// of the transport below is passed on with this leg's name. A server's TLS 1.3 tickets leave with
/// the first data or with close_notify. Where none of these follows the handshake within
/// `kTicketDelay` they leave by themselves: a client that waits for an acknowledgement before its
/// next small segment (Nagle's algorithm) gets it with them. Where a request came meanwhile, they
/// wait for its answer, for up to `kAnswerDelay`.
/// Holds no buffers while nothing is in flight, and at most TlsEngine::kSendLimitBytes and one
/// record that the peer is too slow for.
class TlsStream final : public Transport, private TransportHandler {
 public:
  /// How long tickets wait for something that they could go with, from the end of the handshake on.
  static constexpr absl::Duration kTicketDelay = absl::Milliseconds(2);
  static constexpr absl::Duration kAnswerDelay = absl::Milliseconds(100);

  /// Takes over `inner`. `scheduler` must outlive the stream.
  TlsStream(std::unique_ptr<TlsEngine> engine, std::unique_ptr<Transport> inner,
            Scheduler& scheduler);
  ~TlsStream() override;

  /// Makes the handshake; to be called once, before anything else. `done` is called once, from the
  /// loop and never from inside this call; the stream may be destroyed in it. Not called after
  /// `Abort()` or `ShutdownWrite`, which end a handshake that is under way. Until then `Read` and
  /// `Write` answer kWouldBlock.
  void Handshake(absl::AnyInvocable<void(absl::Status)> done);

  /// What the handshake agreed; during it, what is known so far.
  const TlsInfo& tls_info() const { return engine_->info(); }
  /// The same, to be kept: it outlives the stream.
  std::shared_ptr<const TlsInfo> shared_tls_info() const { return engine_->shared_info(); }

  /// Client: copies the certificates that the server sent, and its staple where that was asked for.
  ServedChain served_chain() const { return engine_->served_chain(); }

  /// Server: tells whether the client's whole hello has arrived.
  bool hello_received() const { return engine_->hello_received(); }

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

  bool AdvanceHandshake();
  void FinishHandshake();
  void SendTicketsAfter(absl::Duration delay);
  void SendTickets();
  IoState Fill();
  IoState Drain();
  void Flush(bool end_follows = false);
  bool CanRead() const;
  bool CanWrite() const;
  bool NotifyReadable();
  bool NotifyWritable();
  void ScheduleWake();
  void Wake();
  void FailBelow();
  IoResult FailRead();
  IoResult FailWrite();

  std::unique_ptr<TlsEngine> engine_;
  std::unique_ptr<Transport> inner_;
  Scheduler& scheduler_;
  TransportHandler* handler_ = nullptr;
  absl::AnyInvocable<void(absl::Status)> handshake_done_;  // Empty once called.
  absl::Status inner_failure_;
  Timer wake_;  // For callbacks that are owed and don't come from below.
  Timer tickets_due_;

  bool handshake_over_ = false;
  bool read_owed_ = false;         // The handler waits for OnReadable.
  bool write_owed_ = false;        // The handler waits for OnWritable.
  bool inner_read_owed_ = false;   // OnReadable will come from below.
  bool inner_write_owed_ = false;  // OnWritable will come from below.
  bool inner_ended_ = false;
  bool inner_read_failed_ = false;
  bool inner_write_failed_ = false;
  bool shutdown_asked_ = false;
  bool inner_shutdown_ = false;  // Nothing may be written below any more.
  bool aborted_ = false;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_TLS_STREAM_H_
