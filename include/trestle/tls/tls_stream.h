// TlsStream: TLS over any Transport, and itself a Transport: a TlsEngine joined to the transport
// that carries it. Reads and writes many records per call on the transport below.
#ifndef TRESTLE_TLS_TLS_STREAM_H_
#define TRESTLE_TLS_TLS_STREAM_H_

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// The five rules of Transport hold. In addition:
///   1. `Handshake` comes first, once. Until it is done, `Read` and `Write` return kWouldBlock.
///   2. End of stream without close_notify: `Read` returns kFailed with ErrorCode::kTruncated.
///   3. `ShutdownWrite(kClean)` sends close_notify, then ends the stream below.
///      `ShutdownWrite(kTruncated)` ends the stream below with kTruncated, without close_notify.
///   4. After a failure, `ShutdownWrite` sends the pending alert. From then on `Read` drops the
///      peer's bytes (kWouldBlock) until the peer ends too (kFailed). Keep reading: closing with
///      unread bytes resets the connection and can lose the alert. StreamCloser does all of it.
///   5. A failure of the transport below is reported with this stream's leg, if it has one.
///   6. A server sends its TLS 1.3 tickets with the first data or with close_notify. If neither
///      follows the handshake within `kTicketDelay`, it sends them alone. A client with Nagle's
///      algorithm waits for an acknowledgement before its next small segment, and the tickets bring
///      it. If a request arrived meanwhile, the tickets wait for its answer for up to
///      `kAnswerDelay`.
///   7. No buffers are held while nothing is in flight. A slow peer costs at most
///      TlsEngine::kSendLimitBytes and one record. Received bytes take at most one block of
///      BufferPool.
///   8. The caller may destroy the stream inside any callback. All calls come from the loop's
///      thread.
class TlsStream final : public Transport, private TransportHandler {
 public:
  /// How long tickets wait for data to leave with, from the end of the handshake (rule 6).
  static constexpr absl::Duration kTicketDelay = absl::Milliseconds(2);
  static constexpr absl::Duration kAnswerDelay = absl::Milliseconds(100);

  /// Takes ownership of `engine` and `inner`, and sets the handler of `inner`. `scheduler` must
  /// outlive the stream.
  TlsStream(std::unique_ptr<TlsEngine> engine, std::unique_ptr<Transport> inner,
            Scheduler& scheduler);
  ~TlsStream() override;

  /// Runs the handshake. Call it once, before any other call. `done` runs once, from the loop and
  /// never inside this call, with OK or with `status()`. The stream may be destroyed in it.
  /// `Abort()` and `ShutdownWrite` end a handshake in progress; `done` does not run after them.
  void Handshake(absl::AnyInvocable<void(absl::Status)> done);

  /// Returns the negotiated parameters; during the handshake, the values known so far.
  const TlsInfo& tls_info() const { return engine_->info(); }
  /// Returns the same object shared: it outlives the stream.
  std::shared_ptr<const TlsInfo> shared_tls_info() const { return engine_->shared_info(); }

  /// Client: copies the certificates that the server sent, and its staple if one was requested.
  ServedChain served_chain() const { return engine_->served_chain(); }

  /// Server: tells whether the client's complete hello arrived and parsed.
  bool hello_received() const { return engine_->hello_received(); }

  /// Tells whether the peer sent any byte.
  bool anything_received() const { return engine_->anything_received(); }

  /// Tells whether the stream holds any bytes of records or plaintext now.
  bool holds_buffers() const;

  IoResult Read(MutableByteView out) override;
  IoResult Write(ByteView data) override;
  IoResult ShutdownWrite(StreamEnd end) override;
  void Abort() override;
  void SetHandler(TransportHandler* handler) override { handler_ = handler; }
  absl::Status status() const override;

  /// Returns the addresses of the transport below.
  TransportInfo info() const override { return inner_->info(); }

 private:
  enum class Stage : uint8_t {
    kHandshake,
    kOver,      // The handshake succeeded or failed.
    kShutdown,  // ShutdownWrite was called.
    kAborted,
  };
  // The two directions of the transport below.
  enum class InnerRead : uint8_t {
    kReady,
    kOwed,
    kEnded,
    kFailed
  };  // kOwed: OnReadable will come.
  enum class InnerWrite : uint8_t {
    kReady,
    kOwed,    // OnWritable will come.
    kEnding,  // The end was asked for; OnWritable will come.
    kEnded,
    kFailed,
  };

  void OnReadable() override;
  void OnWritable() override;

  bool handshake_over() const { return stage_ != Stage::kHandshake; }
  bool AdvanceHandshake();
  void FinishHandshake();
  void SendTicketsAfter(absl::Duration delay);
  void SendTickets();
  IoState Fill();
  IoState Drain();
  void Flush(bool end_follows = false);
  void WriteBelow(bool end_follows);
  bool CanRead() const;
  bool CanWrite() const;
  bool NotifyReadable();
  bool NotifyWritable();
  void ScheduleWake();
  void Wake();
  void FailBelow();
  void FailWriteBelow();
  IoResult FailRead();
  IoResult FailWrite();

  std::unique_ptr<TlsEngine> engine_;
  std::unique_ptr<Transport> inner_;
  Scheduler& scheduler_;
  TransportHandler* handler_ = nullptr;
  absl::AnyInvocable<void(absl::Status)> handshake_done_;  // Empty once called.
  absl::Status inner_failure_;
  Timer wake_;  // For owed callbacks that the transport below does not trigger.
  Timer tickets_due_;

  Stage stage_ = Stage::kHandshake;
  InnerRead inner_read_ = InnerRead::kReady;
  InnerWrite inner_write_ = InnerWrite::kReady;
  bool read_owed_ = false;     // The handler is owed OnReadable.
  bool write_owed_ = false;    // The handler is owed OnWritable.
  bool request_came_ = false;  // While the tickets waited.
};

}  // namespace trestle

#endif  // TRESTLE_TLS_TLS_STREAM_H_
