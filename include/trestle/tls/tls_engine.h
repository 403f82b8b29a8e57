// TlsEngine: one TLS connection without I/O. The caller moves the bytes; the Scheduler gives the
// time. The only class that touches SSL*. TlsStream joins it to a Transport; use it alone to run
// TLS over anything else.
#ifndef TRESTLE_TLS_TLS_ENGINE_H_
#define TRESTLE_TLS_TLS_ENGINE_H_

#include <cstddef>
#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trestle/base/bytes.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/base/leg.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/client_tls_target.h"
#include "trestle/tls/hello_hook.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// One TLS connection. Not thread-safe: one loop's thread makes all calls.
///
/// The caller appends the peer's bytes to `received()`. It sends the bytes in `to_send()` after
/// every call, also after a failure, because the alert is there. One turn over a non-blocking
/// socket:
///
///     ByteQueue& in = engine->received();
///     in.Commit(Receive(in.Prepare(16 * 1024)));   // At the end of the stream: EndReceived().
///     IoResult did = {0, engine->Handshake()};     // Still kOk when it is finished.
///     while (did.state == IoState::kOk) {
///       did = engine->Read(plain);                 // `plain`: 16 KiB of room.
///       Use(plain.subspan(0, did.bytes));
///     }
///     Send(engine->to_send());                     // Then Consume() the bytes sent.
class TlsEngine {
 public:
  /// `Write` accepts no data while `to_send()` holds this many bytes. One record may exceed the
  /// limit.
  static constexpr size_t kSendLimitBytes = 64 * 1024;

  /// Makes the server side of a connection. Failures name `leg`; outside a proxy there is none.
  /// `scheduler` gives time and buffers and must outlive the engine. So must `hook`, which may be
  /// null.
  static std::unique_ptr<TlsEngine> NewServer(std::shared_ptr<const ServerTlsConfig> config,
                                              Scheduler& scheduler,
                                              std::optional<Leg> leg = std::nullopt,
                                              HelloHook* hook = nullptr);

  /// Makes the client side. Fails with ErrorCode::kConfiguration for a target without a name: an
  /// empty name never means "no check". Also fails for a name that is neither a DNS name nor an IP
  /// address, and for malformed ALPN names. `verify_name` may also be a URI.
  static absl::StatusOr<std::unique_ptr<TlsEngine>> NewClient(
      std::shared_ptr<const ClientTlsConfig> config, const ClientTlsTarget& target,
      Scheduler& scheduler, std::optional<Leg> leg = std::nullopt);

  virtual ~TlsEngine() = default;
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;

  /// Bytes from the peer. The caller appends them; `Handshake` and `Read` consume them.
  ///
  /// The engine does not bound this queue; the caller does. Append again only after `Handshake` or
  /// `Read` returned kWouldBlock. Then the queue is empty, or holds at most 7 bytes that begin a
  /// connection or an alert. So it never holds more than one append and those. Exception: while
  /// `waits_for_answer()`, no bytes are consumed. Stop appending at a limit then, such as 16 KiB.
  /// After kFailed and kEndOfStream the queue is empty: drop later bytes.
  virtual ByteQueue& received() = 0;

  /// Marks the end of the peer's bytes. If no close_notify came before, reads fail with
  /// ErrorCode::kTruncated.
  virtual void EndReceived() = 0;

  /// Bytes for the peer. The caller sends and consumes them.
  virtual ByteQueue& to_send() = 0;

  /// Server: sets a function that admits or refuses a full handshake. It runs once, when no session
  /// is resumed and before anything is signed. Its failure becomes the engine's failure: the code
  /// of its Error, else ErrorCode::kOverLimit. The handshake ends with the alert internal_error.
  /// It does not run after the engine failed. `admit` must not destroy the engine.
  virtual void SetAdmission(absl::AnyInvocable<absl::Status()> admit) = 0;

  /// Server: sets a function that checks the complete hello. It runs once, before a certificate is
  /// chosen. Its failure becomes the engine's failure, with the alert that fits its code, as with a
  /// HelloHook. `check` must not destroy the engine.
  virtual void SetHelloCheck(absl::AnyInvocable<absl::Status(const HelloToAnswer&)> check) = 0;

  /// Server: sets the address that the client connected to. A hello without a server name gets a
  /// certificate for that address, if there is one (RFC 6066 3). Call it before the handshake.
  virtual void SetLocalAddress(const Endpoint& address) = 0;

  /// Advances the handshake. kOk: it is finished. kWouldBlock: it needs more received bytes, or
  /// waits for an answer. kFailed: see `status()`. Before it is finished, `Read` and `Write` return
  /// kWouldBlock.
  virtual IoState Handshake() = 0;

  /// Tells, after kWouldBlock, whether the handshake waits for a local answer, such as a verifier's
  /// verdict or a signature. More received bytes do not help then.
  virtual bool waits_for_answer() const = 0;

  /// Sets a function that runs when such an answer arrives or its time limit ends. Call `Handshake`
  /// again after it. It runs on the loop's thread, never inside `Handshake`. It must not destroy
  /// the engine: schedule the next turn.
  virtual void SetAnswerCallback(absl::AnyInvocable<void()> call) = 0;

  /// Decrypts into `out` as many records as are available and fit. Returns kEndOfStream after
  /// close_notify.
  virtual IoResult Read(MutableByteView out) = 0;

  /// Encrypts bytes of `data` into `to_send()` up to the send limit; above it, returns kWouldBlock.
  /// A close_notify from the peer does not end this direction. After `QueueCloseNotify`, fails with
  /// ErrorCode::kInternal.
  virtual IoResult Write(ByteView data) = 0;

  /// Server: tells whether TLS 1.3 tickets wait to be sent ahead of the first data or of
  /// close_notify. RFC 8446 4.6.1 allows them at any time after the handshake.
  virtual bool tickets_wait() const = 0;

  /// Queues the waiting tickets now, for a client that sends nothing and gets no data.
  virtual void QueueTickets() = 0;

  /// Queues close_notify once (RFC 8446 6.1). Reading continues. Does nothing during the handshake
  /// and after a failure.
  virtual void QueueCloseNotify() = 0;

  /// Returns the reason of the failure, with leg, phase, alert and detail. OK before a failure;
  /// final after it.
  virtual const absl::Status& status() const = 0;

  virtual bool handshake_done() const = 0;

  /// Server: tells whether the client's complete hello arrived and parsed.
  virtual bool hello_received() const = 0;

  /// Tells whether the peer sent any byte.
  virtual bool anything_received() const = 0;

  /// Returns the negotiated parameters: complete once `handshake_done()`, partial before. Lives as
  /// long as the engine.
  virtual const TlsInfo& info() const = 0;
  /// Returns the same object shared: it outlives the engine.
  virtual std::shared_ptr<const TlsInfo> shared_info() const = 0;

  /// Client: copies the certificates and staple that the server sent. Empty before they arrive;
  /// kept after a failure.
  virtual ServedChain served_chain() const = 0;

  /// Returns the leg that failures name, if any.
  virtual std::optional<Leg> leg() const = 0;

  /// Tells whether the engine holds any bytes of records now. False after the handshake whenever
  /// nothing is in flight.
  virtual bool holds_buffers() const = 0;

 private:
  friend class EngineState;  // The only implementation.

  TlsEngine() = default;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_TLS_ENGINE_H_
