#include "trestle/base/error.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace trestle {
namespace {

constexpr absl::string_view kPayloadUrl = "trestle/Error";

// The payload: code, phase, leg, alert, limit (each one byte, 0xff and a presence byte where
// unset), detail.
constexpr size_t kHeaderBytes = 6;
constexpr uint8_t kUnset = 0xff;

absl::StatusCode StatusCodeFor(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotTls:
    case ErrorCode::kMalformedHello:
    case ErrorCode::kConfiguration:
      return absl::StatusCode::kInvalidArgument;
    case ErrorCode::kHelloTooLarge:
    case ErrorCode::kOverLimit:
      return absl::StatusCode::kResourceExhausted;
    case ErrorCode::kNoRoute:
    case ErrorCode::kNoCertificate:
      return absl::StatusCode::kNotFound;
    case ErrorCode::kCertificateExpired:
    case ErrorCode::kCertificateUntrusted:
    case ErrorCode::kNameMismatch:
    case ErrorCode::kClientCertificateMissing:
      return absl::StatusCode::kUnauthenticated;
    case ErrorCode::kNoCommonParameters:
    case ErrorCode::kAlpnMismatch:
    case ErrorCode::kProtocol:
      return absl::StatusCode::kFailedPrecondition;
    case ErrorCode::kBlockedByInspector:
      return absl::StatusCode::kPermissionDenied;
    case ErrorCode::kNothingSent:
      return absl::StatusCode::kCancelled;
    case ErrorCode::kTruncated:
      return absl::StatusCode::kDataLoss;
    case ErrorCode::kTimeout:
      return absl::StatusCode::kDeadlineExceeded;
    case ErrorCode::kPeerAlert:
    case ErrorCode::kNoBackend:
    case ErrorCode::kTransport:
      return absl::StatusCode::kUnavailable;
    case ErrorCode::kCancelled:
      return absl::StatusCode::kCancelled;
    case ErrorCode::kInternal:
      return absl::StatusCode::kInternal;
  }
  return absl::StatusCode::kInternal;
}

}  // namespace

absl::string_view EnumName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotTls:
      return "not_tls";
    case ErrorCode::kMalformedHello:
      return "malformed_hello";
    case ErrorCode::kHelloTooLarge:
      return "hello_too_large";
    case ErrorCode::kNoRoute:
      return "no_route";
    case ErrorCode::kNoCertificate:
      return "no_certificate";
    case ErrorCode::kNoCommonParameters:
      return "no_common_parameters";
    case ErrorCode::kPeerAlert:
      return "peer_alert";
    case ErrorCode::kCertificateExpired:
      return "certificate_expired";
    case ErrorCode::kCertificateUntrusted:
      return "certificate_untrusted";
    case ErrorCode::kNameMismatch:
      return "name_mismatch";
    case ErrorCode::kClientCertificateMissing:
      return "client_certificate_missing";
    case ErrorCode::kAlpnMismatch:
      return "alpn_mismatch";
    case ErrorCode::kNothingSent:
      return "nothing_sent";
    case ErrorCode::kTruncated:
      return "truncated";
    case ErrorCode::kTimeout:
      return "timeout";
    case ErrorCode::kBlockedByInspector:
      return "blocked_by_inspector";
    case ErrorCode::kOverLimit:
      return "over_limit";
    case ErrorCode::kProtocol:
      return "protocol";
    case ErrorCode::kNoBackend:
      return "no_backend";
    case ErrorCode::kTransport:
      return "transport";
    case ErrorCode::kConfiguration:
      return "configuration";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

absl::string_view EnumName(Limit limit) {
  switch (limit) {
    case Limit::kConnections:
      return "max_connections";
    case Limit::kFullHandshakes:
      return "max_full_handshakes";
    case Limit::kHandshakesPerSecond:
      return "max_handshakes_per_second";
    case Limit::kHandshakesPerSecondPerClient:
      return "max_handshakes_per_second_per_client";
    case Limit::kKeyUpdates:
      return "max_key_updates_per_minute";
    case Limit::kTasks:
      return "waiting_tasks";
    case Limit::kFlows:
      return "max_quic_flows";
    case Limit::kHeldDatagrams:
      return "max_quic_held_bytes";
  }
  return "";
}

absl::string_view EnumName(Phase phase) {
  switch (phase) {
    case Phase::kSetUp:
      return "set-up";
    case Phase::kHello:
      return "hello";
    case Phase::kRoute:
      return "route";
    case Phase::kDial:
      return "dial";
    case Phase::kHandshake:
      return "handshake";
    case Phase::kRelay:
      return "relay";
    case Phase::kDrain:
      return "drain";
  }
  return "set-up";
}

std::string AlertName(uint8_t alert) {
  switch (alert) {
    case 0:
      return "close_notify";
    case 10:
      return "unexpected_message";
    case 20:
      return "bad_record_mac";
    case 22:
      return "record_overflow";
    case 40:
      return "handshake_failure";
    case 42:
      return "bad_certificate";
    case 43:
      return "unsupported_certificate";
    case 44:
      return "certificate_revoked";
    case 45:
      return "certificate_expired";
    case 46:
      return "certificate_unknown";
    case 47:
      return "illegal_parameter";
    case 48:
      return "unknown_ca";
    case 49:
      return "access_denied";
    case 50:
      return "decode_error";
    case 51:
      return "decrypt_error";
    case 70:
      return "protocol_version";
    case 71:
      return "insufficient_security";
    case 80:
      return "internal_error";
    case 86:
      return "inappropriate_fallback";
    case 90:
      return "user_canceled";
    case 100:
      return "no_renegotiation";
    case 109:
      return "missing_extension";
    case 110:
      return "unsupported_extension";
    case 112:
      return "unrecognized_name";
    case 113:
      return "bad_certificate_status_response";
    case 115:
      return "unknown_psk_identity";
    case 116:
      return "certificate_required";
    case 120:
      return "no_application_protocol";
    case 121:
      return "ech_required";
    default:
      return absl::StrCat("alert_", alert);
  }
}

std::string Error::ToString() const {
  std::string where;
  if (leg.has_value()) absl::StrAppend(&where, EnumName(*leg), " leg, ");
  return absl::StrCat(where, EnumName(phase), ": ", EnumName(code),
                      alert.has_value() ? " (" + AlertName(*alert) + ")" : "",
                      detail.empty() ? "" : ": ", detail);
}

std::ostream& operator<<(std::ostream& out, const Error& error) { return out << error.ToString(); }

absl::Status MakeError(const Error& error) {
  std::string payload;
  payload.reserve(kHeaderBytes + error.detail.size());
  payload.push_back(static_cast<char>(error.code));
  payload.push_back(static_cast<char>(error.phase));
  payload.push_back(
      static_cast<char>(error.leg.has_value() ? static_cast<uint8_t>(*error.leg) : kUnset));
  payload.push_back(static_cast<char>(error.alert.has_value()));
  payload.push_back(static_cast<char>(error.alert.value_or(0)));
  payload.push_back(
      static_cast<char>(error.limit.has_value() ? static_cast<uint8_t>(*error.limit) : kUnset));
  payload.append(error.detail);
  absl::Status status(StatusCodeFor(error.code), error.ToString());
  status.SetPayload(kPayloadUrl, absl::Cord(std::move(payload)));
  return status;
}

absl::Status MakeError(ErrorCode code, Phase phase, std::string detail) {
  Error error;
  error.code = code;
  error.phase = phase;
  error.detail = std::move(detail);
  return MakeError(error);
}

absl::Status MakeError(ErrorCode code, Leg leg, Phase phase, std::string detail) {
  Error error;
  error.code = code;
  error.leg = leg;
  error.phase = phase;
  error.detail = std::move(detail);
  return MakeError(error);
}

absl::Status ConfigurationError(absl::string_view detail) {
  return MakeError(ErrorCode::kConfiguration, Phase::kSetUp, std::string(detail));
}

absl::Status OverLimitError(Limit limit, Phase phase, std::string detail) {
  Error error;
  error.code = ErrorCode::kOverLimit;
  error.phase = phase;
  error.detail = std::move(detail);
  error.limit = limit;
  return MakeError(error);
}

std::optional<Error> GetError(const absl::Status& status) {
  const auto cord = status.GetPayload(kPayloadUrl);
  if (!cord.has_value() || cord->size() < kHeaderBytes) return std::nullopt;
  const std::string payload(*cord);
  Error error;
  error.code = static_cast<ErrorCode>(payload[0]);
  error.phase = static_cast<Phase>(payload[1]);
  if (static_cast<uint8_t>(payload[2]) != kUnset) error.leg = static_cast<Leg>(payload[2]);
  if (payload[3] != 0) error.alert = static_cast<uint8_t>(payload[4]);
  if (static_cast<uint8_t>(payload[5]) != kUnset) error.limit = static_cast<Limit>(payload[5]);
  error.detail = payload.substr(kHeaderBytes);
  return error;
}

std::optional<Error> ToError(const absl::Status& status) {
  if (status.ok()) return std::nullopt;
  if (std::optional<Error> known = GetError(status)) return known;
  Error error;
  error.detail = std::string(status.message());
  return error;
}

std::string ErrorText(const std::optional<Error>& error) {
  return error.has_value() ? error->ToString() : "ok";
}

absl::Status AtLeg(const absl::Status& status, std::optional<Leg> leg, Phase phase) {
  if (status.ok()) return status;
  Error error;
  if (std::optional<Error> known = GetError(status)) {
    error = *std::move(known);
  } else {
    error.code = ErrorCode::kTransport;
    error.detail = std::string(status.message());
  }
  error.leg = leg;
  error.phase = phase;
  return MakeError(error);
}

}  // namespace trestle
