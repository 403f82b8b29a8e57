#include "lib/tls/ssl_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "lib/tls/connection_record.h"

namespace trestle {
namespace {

constexpr int kMaxAlert = 255;

// "NO_SHARED_CIPHER" -> "no shared cipher".
std::string ReasonText(uint32_t packed_error) {
  const char* reason = ERR_reason_error_string(packed_error);
  if (reason == nullptr) return absl::StrCat("error ", ERR_GET_REASON(packed_error));
  return absl::StrReplaceAll(absl::AsciiStrToLower(reason), {{"_", " "}});
}

// Returns the peer's alert if `packed_error` is about one.
std::optional<uint8_t> PeerAlert(uint32_t packed_error, const ConnectionRecord& record) {
  if (ERR_GET_LIB(packed_error) != ERR_LIB_SSL) return std::nullopt;
  const int reason = ERR_GET_REASON(packed_error);
  if (reason >= SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + kMaxAlert) {
    return static_cast<uint8_t>(reason - SSL_AD_REASON_OFFSET);
  }
  // In TLS 1.3 an alert is an error at any level (RFC 8446 6). BoringSSL reports one with the level
  // "warning" as malformed.
  if (reason == SSL_R_BAD_ALERT) return record.alert_received;
  return std::nullopt;
}

bool IsAboutNegotiation(int reason) {
  switch (reason) {
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUP:
    case SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_CIPHERS_AVAILABLE:
    case SSL_R_NO_SUPPORTED_VERSIONS_ENABLED:
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_CERTIFICATE_TYPE:
    case SSL_R_INAPPROPRIATE_FALLBACK:
    case SSL_R_WRONG_CURVE:
    case SSL_R_WRONG_CIPHER_RETURNED:
    case SSL_R_WRONG_SIGNATURE_TYPE:
    case SSL_R_TLS13_DOWNGRADE:
      return true;
    default:
      return false;
  }
}

// Returns whether this side failed, not the peer.
bool IsOwnFailure(uint32_t packed_error) {
  switch (ERR_GET_REASON(packed_error)) {
    // These codes are the same in every part of BoringSSL. None concerns received bytes.
    case ERR_R_MALLOC_FAILURE:
    case ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED:
    case ERR_R_PASSED_NULL_PARAMETER:
    case ERR_R_INTERNAL_ERROR:
    case ERR_R_OVERFLOW:
      return true;
    case SSL_R_NO_CERTIFICATE_SET:
    case SSL_R_NO_PRIVATE_KEY_ASSIGNED:
    case SSL_R_PRIVATE_KEY_OPERATION_FAILED:
      return ERR_GET_LIB(packed_error) == ERR_LIB_SSL;
    default:
      return false;
  }
}

ErrorCode CodeFor(uint32_t packed_error, const FailureScene& scene) {
  const int reason = ERR_GET_REASON(packed_error);
  if (IsOwnFailure(packed_error)) return ErrorCode::kInternal;
  if (ERR_GET_LIB(packed_error) == ERR_LIB_SSL) {
    if (IsAboutNegotiation(reason)) return ErrorCode::kNoCommonParameters;
    if (reason == SSL_R_NO_APPLICATION_PROTOCOL || reason == SSL_R_INVALID_ALPN_PROTOCOL) {
      return ErrorCode::kAlpnMismatch;
    }
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) return ErrorCode::kCertificateUntrusted;
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE && scene.is_server) {
      return ErrorCode::kClientCertificateMissing;
    }
  }
  const bool in_hello = scene.is_server && !scene.hello_answered;
  if (!in_hello) return ErrorCode::kProtocol;
  return reason == SSL_R_EXCESSIVE_MESSAGE_SIZE ? ErrorCode::kHelloTooLarge
                                                : ErrorCode::kMalformedHello;
}

std::string DetailFor(uint32_t packed_error, ErrorCode code, const FailureScene& scene) {
  const std::string reason = ReasonText(packed_error);
  switch (code) {
    case ErrorCode::kInternal:
    case ErrorCode::kNoCommonParameters:
    case ErrorCode::kAlpnMismatch:
      return reason;
    case ErrorCode::kMalformedHello:
    case ErrorCode::kHelloTooLarge:
      return absl::StrCat("the ClientHello is refused: ", reason);
    case ErrorCode::kClientCertificateMissing:
      return "the client showed no certificate, and one is required";
    default:
      return absl::StrCat(
          scene.handshake_done ? "the peer broke the protocol: " : "the peer broke the handshake: ",
          reason);
  }
}

}  // namespace

std::string PeerAlertText(uint8_t alert) {
  if (alert == SSL_AD_CLOSE_NOTIFY) return "the peer closed the connection";
  return absl::StrCat("the peer sent the alert ", AlertName(alert));
}

TlsError ExplainSslError(uint32_t packed_error, const ConnectionRecord& record,
                         const FailureScene& scene) {
  TlsError error;
  const bool refused = record.handshake != nullptr && record.handshake->refusal.has_value();
  if (refused || record.signing_failure != nullptr) {
    error = refused ? *record.handshake->refusal : *record.signing_failure;
    error.alert = record.alert_sent;
    return error;
  }
  if (std::optional<uint8_t> alert = PeerAlert(packed_error, record); alert.has_value()) {
    error.code = ErrorCode::kPeerAlert;
    error.alert = alert;
    error.detail = PeerAlertText(*alert);
    return error;
  }
  error.code = CodeFor(packed_error, scene);
  error.alert = record.alert_sent;
  error.detail = DetailFor(packed_error, error.code, scene);
  return error;
}

}  // namespace trestle
