// LegProbe: connects to one TLS server as a proxy's back leg does. It reports the negotiated
// parameters, the certificates, and when their verification will fail.
#ifndef TRESTLE_WATCH_LEG_PROBE_H_
#define TRESTLE_WATCH_LEG_PROBE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/tls/client_session_cache.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/credential.h"
#include "trestle/tls/tls_info.h"
#include "trestle/tls/tls_parameters.h"
#include "trestle/tls/tls_stream.h"
#include "trestle/watch/start_tls.h"

namespace trestle {

class ByteSender;
class EchInnerHello;

/// How to look at a leg: trust, name, protocols and limits.
struct LegProbeOptions {
  /// Required, unless `only_ech_inner`: verifies chains against the trust anchors.
  std::shared_ptr<const ChainChecker> checker;
  /// The client certificate to present to any server that requests one; may be null.
  std::shared_ptr<const Credential> credential;
  /// The protocol versions and groups to offer.
  TlsParameters parameters;
  /// Requests a certificate with a key of this type. Empty: the server's preference.
  std::optional<KeyType> key_type = std::nullopt;
  /// Makes no handshake, and looks at no certificate: only asks whether servers confirm an inner
  /// hello, see `LegProbeTarget::ech_inner`. `ProbeReport::status` is then OK, and `good` is false.
  bool only_ech_inner = false;
  /// Timeouts of the phases. Each must be positive and finite.
  absl::Duration dial_timeout = absl::Seconds(10);
  absl::Duration start_tls_timeout = absl::Seconds(10);
  absl::Duration handshake_timeout = absl::Seconds(10);
  /// How long to wait for one message after the handshake. A TLS 1.3 server sends session tickets,
  /// and rejections of client certificates, after it.
  absl::Duration ticket_wait = absl::Milliseconds(500);
};

/// The shared configuration of many probes. Immutable, so thread-safe.
class LegProbeConfig {
 public:
  /// Creates a configuration. Fails with ErrorCode::kConfiguration if an option is missing or
  /// invalid.
  static absl::StatusOr<std::shared_ptr<const LegProbeConfig>> Create(LegProbeOptions options);

  const LegProbeOptions& options() const { return options_; }

  /// Returns a TLS config that verifies nothing: the probe checks the chain after the handshake, so
  /// that it can report invalid chains.
  const std::shared_ptr<const ClientTlsConfig>& tls() const { return tls_; }

 private:
  LegProbeConfig(LegProbeOptions options, std::shared_ptr<const ClientTlsConfig> tls);

  const LegProbeOptions options_;
  const std::shared_ptr<const ClientTlsConfig> tls_;
};

/// The server to probe, and the protocols to use.
struct LegProbeTarget {
  Endpoint endpoint;
  /// The name to send as SNI. An empty name or an IP address is not sent.
  std::string server_name = {};
  /// The name that the certificate must match. Empty: `server_name`, or the endpoint's address if
  /// that is empty too.
  std::string verify_name = {};
  /// Application protocols to offer. The probe fails if the server selects none of them.
  std::vector<std::string> alpn = {};
  StartTls start_tls = StartTls::kNone;
  /// The PROXY header to send before all other bytes, with the addresses of the connection itself.
  ProxyProtocolOut proxy_header = ProxyProtocolOut::kNone;
  /// Also asks, on a second connection, whether the server confirms an inner hello (RFC 9849 7.2).
  /// The backend of a router that opens encrypted hellos must.
  bool ech_inner = false;

  /// Returns the name that the certificate must match: see `verify_name`.
  std::string expected_name() const;
};

/// The duration of each phase; zero for phases that were not reached.
struct ProbeTimes {
  absl::Duration dial;
  absl::Duration start_tls;
  absl::Duration handshake;
};

/// What a probe saw, up to the phase that it reached.
struct ProbeReport {
  LegProbeTarget target;
  absl::Time started;            ///< Wall-clock time.
  MonotonicTime started_moment;  ///< The same moment on the monotonic clock, for durations.
  Endpoint local;
  ProbeTimes times;
  /// OK if the handshake completed, whatever the certificates; else the reason.
  absl::Status status;
  TlsInfo tls;                      ///< The negotiated parameters, as far as the handshake got.
  bool post_quantum = false;        ///< The key exchange resists a quantum computer.
  bool resumption_offered = false;  ///< The server issued a session or a session ticket.
  /// With `LegProbeTarget::ech_inner`, and if `status` is OK: OK if the server confirmed an inner
  /// hello, else what it lacks.
  absl::Status ech_inner;
  /// The verdict on the server's chain; empty if it presented none.
  std::optional<ChainReport> chain;

  /// Returns whether the answer to an inner hello shows that the server will confirm none. False
  /// for failures that may be temporary or about the name, and if none was sent.
  bool denies_inner_hello() const;

  /// Returns whether a proxy's connection would succeed.
  bool good() const {
    return status.ok() && chain.has_value() && chain->verdict.ok() && ech_inner.ok();
  }
};

/// One probe, on one loop. It sends no application data, and ends the connection with close_notify.
class LegProbe final : private TransportHandler {
 public:
  using Callback = absl::AnyInvocable<void(ProbeReport)>;

  /// Starts the probe. Calls `done` once, from the loop and never from inside this call; the probe
  /// may be destroyed in it. Destroying the probe earlier cancels it. `scheduler` and `dialer` must
  /// outlive it.
  LegProbe(Scheduler& scheduler, Dialer& dialer, std::shared_ptr<const LegProbeConfig> config,
           LegProbeTarget target, Callback done);
  ~LegProbe();
  LegProbe(const LegProbe&) = delete;
  LegProbe& operator=(const LegProbe&) = delete;

 private:
  enum class Stage : uint8_t { kDialing, kStartTls, kHandshake, kTickets, kInnerHello };

  void OnReadable() override;
  void OnWritable() override {}

  void EnterStage(Stage stage, absl::Duration limit);
  void Connect();
  absl::Duration StageTime() const;
  void OnDialed(absl::StatusOr<std::unique_ptr<Transport>> transport);
  absl::StatusOr<std::string> ProxyHeaderText() const;
  // False where it failed, or goes on by itself once the bytes are out.
  bool Send(std::string bytes);
  bool FinishSending(IoState state);
  void GoOn();
  void BeginTls();
  void StartDialogue();
  void ReadDialogue();
  void StartHandshake();
  void OnHandshake(absl::Status status);
  void ReadTickets();
  void ConnectForInnerHello();
  void SendInnerHello();
  void ReadInnerAnswer();
  void OnTimeout();
  absl::string_view MissingAtTimeout() const;
  void Fail(Phase phase, ErrorCode code, std::string detail);
  void Finish(absl::Status status);
  void KeepHandshake();
  void Report();

  Scheduler& scheduler_;
  Dialer& dialer_;
  const std::shared_ptr<const LegProbeConfig> config_;
  Callback done_;
  ProbeReport report_;
  Stage stage_ = Stage::kDialing;
  MonotonicTime stage_start_;
  Timer limit_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<Transport> transport_;  // Until TLS begins.
  std::unique_ptr<ByteSender> sender_;    // While bytes are sent before TLS.
  std::optional<StartTlsDialogue> dialogue_;
  ClientSessionCache sessions_;  // Shows whether the server offers any.
  std::unique_ptr<TlsStream> stream_;
  std::unique_ptr<EchInnerHello> inner_hello_;  // Of the second connection.
};

}  // namespace trestle

#endif  // TRESTLE_WATCH_LEG_PROBE_H_
