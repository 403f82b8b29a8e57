// LegProbe: looks at one TLS server as the back leg of a proxy would meet it, and reports all there
// is to know: how it answers, what it agrees to, its certificates, and when they will fail.
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
#include "trestle/proxy/proxy_block.h"
#include "trestle/tls/chain_checker.h"
#include "trestle/tls/client_session_cache.h"
#include "trestle/tls/credential.h"
#include "trestle/tls/tls_config.h"
#include "trestle/tls/tls_info.h"
#include "trestle/tls/tls_stream.h"
#include "trestle/watch/start_tls.h"

namespace trestle {

struct LegProbeOptions {
  /// Required: whom to trust.
  std::shared_ptr<const ChainChecker> checker;
  /// Shown to servers that ask for a certificate, whoever they are; may be null.
  std::shared_ptr<const Credential> credential;
  /// Versions and groups to offer.
  TlsParameters parameters;
  /// Asks for a certificate with a key of this type; empty: the one that the server prefers.
  std::optional<KeyType> key_type = std::nullopt;
  /// Each must be above zero and finite.
  absl::Duration dial_timeout = absl::Seconds(10);
  absl::Duration start_tls_timeout = absl::Seconds(10);
  absl::Duration handshake_timeout = absl::Seconds(10);
  /// TLS 1.3 servers send session tickets, and refusals of client certificates, after the
  /// handshake: so long at most one of these is waited for.
  absl::Duration ticket_wait = absl::Milliseconds(500);
};

/// What many probes have in common. Immutable.
class LegProbeConfig {
 public:
  /// Fails with ErrorCode::kConfiguration when an option is missing or can't be used.
  static absl::StatusOr<std::shared_ptr<const LegProbeConfig>> Create(LegProbeOptions options);

  const LegProbeOptions& options() const { return options_; }

  /// Verifies nothing: the chain is judged afterwards, and a bad one is what probes are for.
  const std::shared_ptr<const ClientTlsConfig>& tls() const { return tls_; }

 private:
  LegProbeConfig(LegProbeOptions options, std::shared_ptr<const ClientTlsConfig> tls);

  const LegProbeOptions options_;
  const std::shared_ptr<const ClientTlsConfig> tls_;
};

/// Which server, and how it is spoken to.
struct LegProbeTarget {
  Endpoint endpoint;
  /// Sent as SNI. Empty, or an IP address: none is sent.
  std::string server_name = {};
  /// What the certificate must be for. Empty: `server_name`, or the endpoint's address without one.
  std::string verify_name = {};
  /// Application protocols to offer; a server that picks none of them fails the probe.
  std::vector<std::string> alpn = {};
  StartTls start_tls = StartTls::kNone;
  /// Sent before all else, with the addresses of the connection itself.
  ProxyProtocolOut proxy_header = ProxyProtocolOut::kNone;

  /// The name that the certificate is judged by.
  std::string expected_name() const;
};

/// How long each phase took; zero for those that were not reached.
struct ProbeTimes {
  absl::Duration dial;
  absl::Duration start_tls;
  absl::Duration handshake;
};

struct ProbeReport {
  LegProbeTarget target;
  absl::Time started;            ///< The date.
  MonotonicTime started_moment;  ///< The same moment, for what counts from it.
  Endpoint local;
  ProbeTimes times;
  /// OK where the handshake was finished, whatever its certificates; else why not.
  absl::Status status;
  TlsInfo tls;                      ///< What was agreed, as far as it came.
  bool post_quantum = false;        ///< The key exchange resists a quantum computer.
  bool resumption_offered = false;  ///< The server gave a session ticket, or a session.
  /// What the server's certificates are worth; empty where it showed none.
  std::optional<ChainReport> chain;

  /// A connection of a proxy would have been made.
  bool good() const { return status.ok() && chain.has_value() && chain->verdict.ok(); }
};

/// One probe. It carries no application data, and ends the connection with close_notify.
class LegProbe final : private TransportHandler {
 public:
  using Callback = absl::AnyInvocable<void(ProbeReport)>;

  /// Starts. `done` is called once, from the loop and never from inside this call; the probe may be
  /// destroyed in it. Destroying the probe before gives it up. `scheduler` and `dialer` must
  /// outlive it.
  LegProbe(Scheduler& scheduler, Dialer& dialer, std::shared_ptr<const LegProbeConfig> config,
           LegProbeTarget target, Callback done);
  ~LegProbe();
  LegProbe(const LegProbe&) = delete;
  LegProbe& operator=(const LegProbe&) = delete;

 private:
  enum class Stage : uint8_t { kDialing, kStartTls, kHandshake, kTickets };

  void OnReadable() override;
  void OnWritable() override {}

  void EnterStage(Stage stage, absl::Duration limit);
  absl::Duration StageTime() const;
  void OnDialed(absl::StatusOr<std::unique_ptr<Transport>> transport);
  absl::Status SendProxyHeader();
  absl::Status SendAll(absl::string_view bytes);
  void StartDialogue();
  void ReadDialogue();
  void StartHandshake();
  void OnHandshake(absl::Status status);
  void ReadTickets();
  void OnTimeout();
  void Fail(Phase phase, ErrorCode code, std::string detail);
  void Finish(absl::Status status);

  Scheduler& scheduler_;
  const std::shared_ptr<const LegProbeConfig> config_;
  Callback done_;
  ProbeReport report_;
  Stage stage_ = Stage::kDialing;
  MonotonicTime stage_start_;
  Timer limit_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<Transport> transport_;  // Until TLS begins.
  StartTlsDialogue dialogue_;
  ClientSessionCache sessions_;  // Shows whether the server offers any.
  std::unique_ptr<TlsStream> stream_;
};

}  // namespace trestle

#endif  // TRESTLE_WATCH_LEG_PROBE_H_
