// What can go wrong, as a closed list. Every failed absl::Status that Trestle hands out carries a
// TlsError, so that a program can tell "the back leg's certificate expired" from all else.
#ifndef TRESTLE_BASE_ERROR_H_
#define TRESTLE_BASE_ERROR_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "trestle/base/leg.h"

namespace trestle {

/// The kinds of failure. The list is closed: new kinds are a change of the interface.
enum class ErrorCode : uint8_t {
  kNotTls,                ///< The first bytes are no TLS record.
  kMalformedHello,        ///< A ClientHello that RFC 8446 or RFC 6066 forbids.
  kHelloTooLarge,         ///< The ClientHello is over the limit of bytes or records.
  kNoRoute,               ///< No route (and no default) for this server name.
  kNoCertificate,         ///< No credential for this server name.
  kNoCommonParameters,    ///< No version, cipher, group or signature algorithm in common.
  kPeerAlert,             ///< The peer sent a fatal alert; see `alert`.
  kCertificateExpired,    ///< A certificate of the chain is not valid now (or not yet).
  kCertificateUntrusted,  ///< The chain doesn't lead to a trusted root, or is unfit for its use.
  kNameMismatch,          ///< The certificate is not for the name that was asked for.
  kClientCertificateMissing,  ///< The client sent no certificate where one is required.
  kAlpnMismatch,              ///< No application protocol in common.
  kTruncated,                 ///< The stream ended without close_notify, or was reset.
  kTimeout,                   ///< A phase took longer than its limit.
  kBlockedByInspector,        ///< An inspector refused the traffic.
  kOverLimit,                 ///< Too many connections, handshakes or KeyUpdates.
  kProtocol,                  ///< Any other violation of TLS by the peer.
  kTransport,                 ///< The connection below failed (refused, unreachable, …).
  kConfiguration,             ///< A file, flag or option is unusable; nothing was changed.
  kCancelled,                 ///< Closed by this side: shutdown, or drain ran out of time.
  kInternal,                  ///< A fault of this library or of memory.
};

/// Where in a connection's life the failure came.
enum class Phase : uint8_t { kSetUp, kHello, kRoute, kDial, kHandshake, kRelay, kDrain };

/// Whose limit it was that ErrorCode::kOverLimit tells of.
enum class Limit : uint8_t {
  kConnections,                   ///< ConnectionLimits::connections.
  kFullHandshakes,                ///< ConnectionLimits::full_handshakes.
  kHandshakesPerSecond,           ///< …::full_handshakes_per_second.
  kHandshakesPerSecondPerClient,  ///< …::full_handshakes_per_second_per_client.
  kKeyUpdates,                    ///< ServerTlsOptions::max_key_updates_per_minute.
  kTasks,                         ///< Of a pool of threads: what waits for one.
};

/// One failure. `detail` is a sentence for people, without a full stop at its end; it never holds
/// raw bytes from the network.
struct TlsError {
  ErrorCode code = ErrorCode::kInternal;
  std::optional<Leg> leg;  ///< Unset where no leg is concerned (set-up).
  Phase phase = Phase::kSetUp;
  std::optional<uint8_t> alert;  ///< The TLS alert received, or sent because of this (RFC 8446 6).
  std::string detail;
  std::optional<Limit> limit = {};  ///< With ErrorCode::kOverLimit, where it is one of ours.
};

/// Names a code in snake_case, as logs and metrics show it: "certificate_expired".
absl::string_view ErrorCodeName(ErrorCode code);

/// Names a limit as metrics show it, like the examples' flag for it: "max_connections".
absl::string_view LimitName(Limit limit);

/// Names a phase: "handshake".
absl::string_view PhaseName(Phase phase);

/// Names a TLS alert by RFC 8446 appendix B.2: "unrecognized_name"; "alert_200" for unknown ones.
std::string AlertName(uint8_t alert);

/// Makes the status for `error`. Its message reads "back leg, handshake: certificate_expired: …".
absl::Status MakeError(const TlsError& error);

/// Reads the error back out of a status. Empty for OK and for statuses not made by `MakeError`.
std::optional<TlsError> GetTlsError(const absl::Status& status);

/// Returns `status` with leg and phase filled in, for a failure that was made where they were not
/// known. OK stays OK; a status that isn't Trestle's becomes kTransport with its text as detail.
absl::Status AtLeg(const absl::Status& status, Leg leg, Phase phase);

}  // namespace trestle

#endif  // TRESTLE_BASE_ERROR_H_
