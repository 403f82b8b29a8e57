// TlsEngine: one TLS connection without I/O: bytes in, bytes out, time injected. The only class
// that touches SSL*. TlsStream joins it to a transport; use it alone to put TLS on anything else.
#ifndef TRESTLE_TLS_TLS_ENGINE_H_
#define TRESTLE_TLS_TLS_ENGINE_H_

#include <cstddef>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trestle/base/bytes.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/base/leg.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/tls/hello_hook.h"
#include "trestle/tls/tls_config.h"
#include "trestle/tls/tls_info.h"

typedef struct ssl_st SSL;

namespace trestle {

/// Put what the peer sent into `received()`, and send what is in `to_send()`, after every call:
/// also after a failure, because the alert that explains it is there.
class TlsEngine {
 public:
  /// `Write` takes no more while `to_send()` holds so many bytes. One record may overshoot it.
  static constexpr size_t kSendLimitBytes = 64 * 1024;

  /// Makes the server's side of a connection. `leg` is the leg that failures name. `scheduler`
  /// gives time and buffers, and must outlive the engine; so must `hook`, which may be null.
  static std::unique_ptr<TlsEngine> NewServer(std::shared_ptr<const ServerTlsConfig> config,
                                              Scheduler& scheduler, Leg leg,
                                              HelloHook* hook = nullptr);

  /// Makes the client's side. Fails with ErrorCode::kConfiguration for a target without a name (an
  /// empty name never means "no check") or with one that is neither a DNS name nor an IP address.
  static absl::StatusOr<std::unique_ptr<TlsEngine>> NewClient(
      std::shared_ptr<const ClientTlsConfig> config, const ClientTlsTarget& target,
      Scheduler& scheduler, Leg leg);

  ~TlsEngine();
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;

  /// Bytes from the peer, to be filled by the caller; the engine consumes them.
  ByteQueue& received();

  /// Says that the peer's bytes end here. Without a close_notify before it, reads fail with
  /// ErrorCode::kTruncated.
  void EndReceived();

  /// Bytes for the peer, to be consumed by the caller.
  ByteQueue& to_send();

  /// Server: sets who is asked, once, before a full handshake is made: when it is known that
  /// nothing is resumed, and before anything is signed. A failure becomes this engine's, and ends
  /// the handshake with the alert internal_error. Not asked once the engine failed.
  void SetAdmission(absl::AnyInvocable<absl::Status()> admit);

  /// Server: sets who is asked, once, about the complete hello, before a certificate is chosen or
  /// anything else is made of it. A failure becomes this engine's, with the alert that fits its
  /// code, as with a HelloHook. `check` must not destroy the engine.
  void SetHelloCheck(absl::AnyInvocable<absl::Status(const HelloToAnswer&)> check);

  /// Server: sets the address that the client connected to. A hello without a name is answered with
  /// a certificate for that address, if there is one (RFC 6066 3). Set it before the handshake.
  void SetLocalAddress(const Endpoint& address);

  /// Goes on with the handshake. kOk: it is finished. kWouldBlock: more must be received first.
  /// kFailed: see `status()`. `Read` and `Write` answer kWouldBlock before it is finished.
  IoState Handshake();

  /// After kWouldBlock: tells whether the handshake waits for an answer of this side's own (a
  /// verifier's verdict, …) rather than for bytes. More bytes may be received, but do not help.
  bool waits_for_answer() const;

  /// Sets what is called, on the loop's thread and never from inside `Handshake`, when such an
  /// answer has come: `Handshake` is worth calling again.
  void OnAnswer(absl::AnyInvocable<void()> call);

  /// Decrypts into `out` as many records as are there and fit. kEndOfStream after close_notify.
  IoResult Read(MutableByteView out);

  /// Encrypts from `data` into `to_send()`, until the send limit; kWouldBlock above it. A
  /// close_notify from the peer doesn't end this direction. Not allowed after `QueueCloseNotify`.
  IoResult Write(ByteView data);

  /// Server: tells whether TLS 1.3 tickets wait for the first data, or for close_notify, in front
  /// of which they leave (RFC 8446 4.6.1 lets them come at any time).
  bool tickets_wait() const;

  /// Queues the tickets that wait, for a client that only listens.
  void QueueTickets();

  /// Queues close_notify once (RFC 8446 6.1); reading goes on. No-op during the handshake and
  /// after a failure.
  void QueueCloseNotify();

  /// Why a call failed: OK before that; afterwards final, with leg, phase, alert and detail.
  const absl::Status& status() const;

  bool handshake_done() const;

  /// Server: tells whether the client's whole hello has arrived and parsed.
  bool hello_received() const;

  /// What was agreed; complete once `handshake_done()`. Before that, what is known so far.
  const TlsInfo& info() const;
  /// The same, to be kept: it outlives the engine.
  std::shared_ptr<const TlsInfo> shared_info() const;

  /// Client: copies what the server sent, once it has; also after a failure.
  ServedChain served_chain() const;

  /// The leg that failures name.
  Leg leg() const;

  /// Tells whether any record, or part of one, is held now. Once the handshake is done, false
  /// whenever nothing is in flight.
  bool holds_buffers() const;

 private:
  class State;

  explicit TlsEngine(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_TLS_ENGINE_H_
