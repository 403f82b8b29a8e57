// HealthCheck: what shows that a backend is healthy: it accepts a connection, completes a verified
// TLS handshake, or answers an HTTP request. HealthChecker runs checks by schedule.
#ifndef TRESTLE_WATCH_HEALTH_CHECK_H_
#define TRESTLE_WATCH_HEALTH_CHECK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/base/leg.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/proxy/backend_group.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/tls_stream.h"

namespace trestle {

class ByteSender;
class Http2Ask;

/// How far a check goes.
enum class HealthCheckKind : uint8_t {
  kNone,  ///< There is no check. Connections and the operator alone change the state.
  kTcp,   ///< The backend accepts a connection.
  kTls,   ///< It also completes a TLS handshake, verified as that of a bridge.
  kHttp,  ///< It also answers GET with an expected status, over TLS if `tls` is set.
};

/// Returns a kind's name in lower case: "http".
absl::string_view EnumName(HealthCheckKind kind);

/// What a check does. Immutable while it is in use.
struct HealthCheck {
  HealthCheckKind kind = HealthCheckKind::kTcp;
  /// Returns the trust and the client certificate of now, so that a reload applies to the next
  /// check. Required for kTls. Empty: clear text. Called on the checker's thread; never returns
  /// null.
  absl::AnyInvocable<std::shared_ptr<const ClientTlsConfig>() const> tls = {};
  /// The name to send as SNI, which the certificate must match. Empty: that of a backend that is
  /// configured by name (`NamedTarget::certificate_name`), else the backend's address.
  std::string server_name = {};
  /// The name that the certificate must match instead. Empty: the name that is sent.
  std::string verify_name = {};
  /// Of kHttp: the path, which begins with "/", and Host; at most 4096 bytes each. An empty host is
  /// the server's name, else the backend's address.
  std::string path = "/";
  std::string host = {};
  /// Of kHttp in clear text: HTTP/2 with prior knowledge (RFC 9113 3.3). Otherwise HTTP/1.1. Over
  /// TLS, the backend chooses by ALPN.
  bool http2 = false;
  /// Of kHttp: the lowest and the highest status that is good.
  int lowest_status = 200;
  int highest_status = 299;
  /// The PROXY header to send first. That of version 2 says LOCAL: the check itself is the client.
  ProxyProtocolOut proxy_header = ProxyProtocolOut::kNone;
};

/// Fails with ErrorCode::kConfiguration if `check` has no TLS where it needs it. Also fails for a
/// path or a host that can't be in a request, and for statuses outside of 200 to 599.
absl::Status CheckHealthCheck(const HealthCheck& check);

/// One check of one backend, on one loop, by another kind than kNone.
class HealthCheckRun final : private TransportHandler {
 public:
  /// Gets OK, or why the check failed: an Error of the back leg.
  using Callback = absl::AnyInvocable<void(absl::Status)>;

  /// Starts the check, which takes `timeout` at most. Calls `done` once, from the loop and never
  /// inside this call; the run may be destroyed in it. Destroying it earlier cancels the check.
  /// `scheduler` and `dialer` must outlive it.
  HealthCheckRun(Scheduler& scheduler, Dialer& dialer, std::shared_ptr<const HealthCheck> check,
                 GroupedBackend backend, absl::Duration timeout, Callback done);
  ~HealthCheckRun();
  HealthCheckRun(const HealthCheckRun&) = delete;
  HealthCheckRun& operator=(const HealthCheckRun&) = delete;

 private:
  void OnReadable() override;
  void OnWritable() override {}

  std::string server_name() const;
  void OnDialed(absl::StatusOr<std::unique_ptr<Transport>> transport);
  absl::StatusOr<std::string> ProxyHeaderText() const;
  void Send(std::string bytes, absl::AnyInvocable<void()> then);
  void AfterSent(IoState state, absl::AnyInvocable<void()> then);
  void StartTls();
  void OnHandshake(absl::Status status);
  void Ask();
  bool AsksHttp2() const;
  std::string Request() const;
  void ReadAnswer();
  bool ReadHttp2(absl::string_view bytes);
  void JudgeStatusLine();
  void JudgeStatus(int status);
  void DropRest();
  void OnTimeout();
  Phase phase() const;
  void Fail(Phase phase, ErrorCode code, std::string detail);
  void Finish(absl::Status status);

  Scheduler& scheduler_;
  const std::shared_ptr<const HealthCheck> check_;
  const GroupedBackend backend_;
  const absl::Duration timeout_;
  Callback done_;
  Timer limit_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<Transport> stream_;
  TlsStream* tls_ = nullptr;  // `stream_`, once TLS began.
  std::unique_ptr<ByteSender> sender_;
  bool asked_ = false;
  std::unique_ptr<Http2Ask> http2_;  // Set once it asks by HTTP/2.
  std::string answer_;               // The beginning of the response.
  size_t dropped_ = 0;               // Bytes of the rest.
  bool answered_ = false;            // The status was good.
};

}  // namespace trestle

#endif  // TRESTLE_WATCH_HEALTH_CHECK_H_
