// The closed list of errors. Every failed absl::Status that Trestle returns carries an Error, so
// a program can tell "the back leg's certificate expired" from other failures.
#ifndef TRESTLE_BASE_ERROR_H_
#define TRESTLE_BASE_ERROR_H_

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "trestle/base/leg.h"

namespace trestle {

/// The kinds of failure. The list is closed: a new kind is a change of the interface.
enum class ErrorCode : uint8_t {
  kNotTls,                ///< The first bytes are not a TLS record.
  kMalformedHello,        ///< A ClientHello that RFC 8446 or RFC 6066 forbids.
  kHelloTooLarge,         ///< The ClientHello is over the limit of bytes or records.
  kNoRoute,               ///< No route (and no default) for this server name.
  kNoCertificate,         ///< No credential for this server name.
  kNoCommonParameters,    ///< No version, cipher, group or signature algorithm in common.
  kPeerAlert,             ///< The peer sent a fatal alert; see `alert`.
  kCertificateExpired,    ///< A certificate of the chain has expired or is not valid yet.
  kCertificateUntrusted,  ///< The chain doesn't lead to a trusted root, or is unfit for its use.
  kNameMismatch,          ///< The certificate is not for the requested name.
  kClientCertificateMissing,  ///< The client sent no certificate where one is required.
  kAlpnMismatch,              ///< No application protocol in common.
  kNothingSent,               ///< The client left before it sent a byte, as health checks do.
  kTruncated,                 ///< The stream ended without close_notify, or was reset.
  kTimeout,                   ///< A phase took longer than its limit.
  kBlockedByInspector,        ///< An inspector blocked the traffic.
  kOverLimit,                 ///< Too many connections, handshakes or KeyUpdates.
  kProtocol,                  ///< Any other violation of TLS by the peer.
  kNoBackend,                 ///< No backend is known: names have no address, or all are out.
  kTransport,                 ///< The underlying connection failed (refused, unreachable, …).
  kConfiguration,             ///< A file, flag or option is unusable; nothing was changed.
  kCancelled,                 ///< Closed by this side: shutdown, or the drain timed out.
  kInternal,                  ///< A fault of this library, or out of memory.
};

/// The phase of a connection in which it failed.
enum class Phase : uint8_t { kSetUp, kHello, kRoute, kDial, kHandshake, kRelay, kDrain };

/// The limit that an ErrorCode::kOverLimit reports.
enum class Limit : uint8_t {
  kConnections,                   ///< ConnectionLimits::connections.
  kFullHandshakes,                ///< ConnectionLimits::full_handshakes.
  kHandshakesPerSecond,           ///< …::full_handshakes_per_second.
  kHandshakesPerSecondPerClient,  ///< …::full_handshakes_per_second_per_client.
  kKeyUpdates,                    ///< ServerTlsOptions::max_key_updates_per_minute.
  kTasks,                         ///< The number of tasks that wait in a pool of threads.
  kFlows,                         ///< QuicFlowLimits::unproven_flows or ::flows.
  kHeldDatagrams,                 ///< QuicFlowLimits::held_bytes.
};

/// One failure. `detail` is a sentence for people, without a final full stop. It never holds raw
/// bytes from the network.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::optional<Leg> leg;  ///< Unset if the failure concerns no leg (set-up, TLS without a proxy).
  Phase phase = Phase::kSetUp;
  std::optional<uint8_t> alert;  ///< The TLS alert received, or sent because of this (RFC 8446 6).
  std::string detail;
  std::optional<Limit> limit = {};  ///< With ErrorCode::kOverLimit, if it is one of Trestle's own.

  /// Returns one line: "back leg, handshake: certificate_expired: …".
  std::string ToString() const;
};

/// Writes `error.ToString()`.
std::ostream& operator<<(std::ostream& out, const Error& error);

/// Returns a code's name in snake_case, as logs and metrics show it: "certificate_expired".
absl::string_view EnumName(ErrorCode code);

/// Returns a limit's name as metrics show it; the examples' flag has the same: "max_connections".
absl::string_view EnumName(Limit limit);

/// Returns a phase's name: "handshake".
absl::string_view EnumName(Phase phase);

/// Returns a TLS alert's name (RFC 8446 B.2): "unrecognized_name"; "alert_200" for an unknown one.
std::string AlertName(uint8_t alert);

/// Makes the status for `error`. Its message is `error.ToString()`.
absl::Status MakeError(const Error& error);

/// Makes the status for an error that concerns no leg.
absl::Status MakeError(ErrorCode code, Phase phase, std::string detail);

/// Makes the status for an error of one leg.
absl::Status MakeError(ErrorCode code, Leg leg, Phase phase, std::string detail);

/// Makes the status for an unusable file, flag or option: ErrorCode::kConfiguration in set-up.
absl::Status ConfigurationError(absl::string_view detail);

/// Makes the status for one of Trestle's own limits: ErrorCode::kOverLimit, without a leg.
absl::Status OverLimitError(Limit limit, Phase phase, std::string detail);

/// Returns the error that a status carries; empty for OK and for statuses not made by `MakeError`.
std::optional<Error> GetError(const absl::Status& status);

/// Returns the error of a failed status as a value for reports; empty for OK. A status that isn't
/// Trestle's becomes kInternal with its text as the detail.
std::optional<Error> ToError(const absl::Status& status);

/// Returns "ok" for no error, else `error->ToString()`.
std::string ErrorText(const std::optional<Error>& error);

/// Returns `status` with leg and phase filled in, for code that makes errors without knowing them.
/// Without a leg, as on a TLS stream outside a proxy, the result names none. OK stays OK. A status
/// that isn't Trestle's becomes kTransport with its text as the detail.
absl::Status AtLeg(const absl::Status& status, std::optional<Leg> leg, Phase phase);

}  // namespace trestle

#endif  // TRESTLE_BASE_ERROR_H_
