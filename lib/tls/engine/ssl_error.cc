#include "lib/tls/engine/ssl_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "lib/tls/engine/connection_state.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/tls_parameters.h"

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
std::optional<uint8_t> PeerAlert(uint32_t packed_error, const ConnectionState& record) {
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
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED || reason == SSL_R_KEY_USAGE_BIT_INCORRECT) {
      return ErrorCode::kCertificateUntrusted;
    }
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE && scene.is_server) {
      return ErrorCode::kClientCertificateMissing;
    }
  }
  const bool in_hello = scene.is_server && !scene.hello_answered;
  if (!in_hello) return ErrorCode::kProtocol;
  return reason == SSL_R_EXCESSIVE_MESSAGE_SIZE ? ErrorCode::kHelloTooLarge
                                                : ErrorCode::kMalformedHello;
}

// Returns text for failures that aren't the peer's breach of TLS; empty for all others.
std::string SpecialDetail(uint32_t packed_error, const FailureScene& scene) {
  if (ERR_GET_LIB(packed_error) != ERR_LIB_SSL) return "";
  switch (ERR_GET_REASON(packed_error)) {
    case SSL_R_KEY_USAGE_BIT_INCORRECT:
      return absl::StrCat("the ", scene.is_server ? "client" : "server",
                          "'s certificate can't be used: its key usage allows no signatures, which "
                          "TLS 1.3 and ECDHE need; issue it again with digitalSignature");
    case SSL_R_NO_RENEGOTIATION:
      return scene.is_server
                 ? "the client asked for a new handshake, which is refused (no renegotiation)"
                 : "the server asked for a new handshake, which is refused (no renegotiation): it "
                   "usually wants a client certificate for some paths; have it ask for one in the "
                   "first handshake";
    default:
      return "";
  }
}

// Returns what a server that closes with `alert` may require.
std::string OfferText(uint8_t alert, const TlsParameters& offered) {
  const bool new_only = offered.min_version == TlsVersion::kTls13;
  switch (alert) {
    case SSL_AD_PROTOCOL_VERSION:
      return new_only ? "; only TLS 1.3 is offered" : "; only TLS 1.2 and 1.3 are offered";
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_INSUFFICIENT_SECURITY:
      return absl::StrCat("; not offered are TLS ", new_only ? "1.2" : "1.1",
                          " and older, key exchange without ECDHE (RSA, DHE), ciphers without AEAD "
                          "(CBC), and signatures with SHA-1; the server may also insist on a "
                          "client certificate");
    default:
      return "";
  }
}

std::string DetailFor(const ErrorCause& cause, ErrorCode code, const FailureScene& scene) {
  std::string special = SpecialDetail(cause.packed, scene);
  if (!special.empty()) return special;
  std::string reason = ReasonText(cause.packed);
  if (cause.below != 0) absl::StrAppend(&reason, " (", ReasonText(cause.below), ")");
  switch (code) {
    case ErrorCode::kInternal:
    case ErrorCode::kNoCommonParameters:
    case ErrorCode::kAlpnMismatch:
      return reason;
    case ErrorCode::kMalformedHello:
    case ErrorCode::kHelloTooLarge:
      return absl::StrCat("the ClientHello is refused: ", reason);
    case ErrorCode::kClientCertificateMissing:
      return "the client sent no certificate, and one is required";
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

ErrorCause TakeErrorCause() {
  const uint32_t first = ERR_get_error();
  if (IsOwnFailure(first)) return {first};
  for (uint32_t error = first; error != 0; error = ERR_get_error()) {
    if (ERR_GET_LIB(error) == ERR_LIB_SSL) return {error, error == first ? 0 : first};
  }
  return {first};
}

Error ExplainSslError(const ErrorCause& cause, const ConnectionState& record,
                      const FailureScene& scene) {
  const uint32_t packed_error = cause.packed;
  Error error;
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
    if (record.handshake != nullptr && record.handshake->client != nullptr) {
      const ClientTlsOptions& options = record.handshake->client->options();
      absl::StrAppend(&error.detail, OfferText(*alert, options.parameters));
    }
    return error;
  }
  error.code = CodeFor(packed_error, scene);
  error.alert = record.alert_sent;
  error.detail = DetailFor(cause, error.code, scene);
  return error;
}

}  // namespace trestle
