#include "lib/tls/engine/hello_answer.h"

#include <openssl/bytestring.h>
#include <openssl/err.h>

#include <string>
#include <utility>

#include "lib/tls/engine/connection_state.h"
#include "trestle/base/bytes.h"
#include "trestle/tls/hello_hook.h"

namespace trestle {
namespace {

// BoringSSL refuses a malformed extension later.
std::vector<std::string> OfferedAlpn(const SSL_CLIENT_HELLO* hello) {
  std::vector<std::string> offered;
  const uint8_t* data = nullptr;
  size_t bytes = 0;
  if (!SSL_early_callback_ctx_extension_get(
          hello, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &bytes)) {
    return offered;
  }
  CBS extension;
  CBS list;
  CBS protocol;
  CBS_init(&extension, data, bytes);
  if (!CBS_get_u16_length_prefixed(&extension, &list)) return offered;
  while (CBS_get_u8_length_prefixed(&list, &protocol)) {
    offered.emplace_back(AsText(ByteView(CBS_data(&protocol), CBS_len(&protocol))));
  }
  return offered;
}

uint8_t AlertFor(const Error& error) {
  switch (error.code) {
    case ErrorCode::kAlpnMismatch:
      return SSL_AD_NO_APPLICATION_PROTOCOL;
    case ErrorCode::kNoRoute:
    case ErrorCode::kNoCertificate:
      return SSL_AD_UNRECOGNIZED_NAME;
    case ErrorCode::kNoCommonParameters:
      return SSL_AD_HANDSHAKE_FAILURE;
    case ErrorCode::kPeerAlert:
      // Passes on a backend's alert about the client's name or protocols. Other failures are the
      // proxy's.
      if (error.alert == SSL_AD_NO_APPLICATION_PROTOCOL ||
          error.alert == SSL_AD_UNRECOGNIZED_NAME) {
        return *error.alert;
      }
      return SSL_AD_INTERNAL_ERROR;
    default:
      return SSL_AD_INTERNAL_ERROR;
  }
}

ssl_select_cert_result_t RefuseHello(SSL* ssl, const absl::Status& why, ConnectionState& record) {
  Error refusal;
  if (std::optional<Error> error = GetError(why); error.has_value()) {
    refusal = *std::move(error);
  } else {
    refusal.detail = std::string(why.message());
  }
  // The first alert is sent: BoringSSL's own alert for this result is handshake_failure.
  SSL_send_fatal_alert(ssl, AlertFor(refusal));
  ERR_clear_error();
  refusal.alert.reset();
  record.handshake->refusal = std::move(refusal);
  return ssl_select_cert_error;
}

HelloToAnswer Describe(const SSL_CLIENT_HELLO* hello, const ConnectionState& record) {
  return {record.info.server_name, OfferedAlpn(hello), record.info.ech_accepted};
}

}  // namespace

ssl_select_cert_result_t CheckHello(const SSL_CLIENT_HELLO* hello, ConnectionState& record) {
  if (record.handshake->check_hello == nullptr) return ssl_select_cert_success;
  const absl::Status checked =
      std::exchange(record.handshake->check_hello, nullptr)(Describe(hello, record));
  return checked.ok() ? ssl_select_cert_success : RefuseHello(hello->ssl, checked, record);
}

ssl_select_cert_result_t AskHelloHook(const SSL_CLIENT_HELLO* hello, ConnectionState& record) {
  HandshakeState& handshake = *record.handshake;
  if (handshake.hook == nullptr) return ssl_select_cert_success;
  if (!handshake.hello_answer.asked()) {
    handshake.hook->OnHello(Describe(hello, record), handshake.hello_answer.Ask(record.wait));
  }
  if (!handshake.hello_answer.answered()) return ssl_select_cert_retry;
  const absl::StatusOr<HelloAnswer>& answer = handshake.hello_answer.answer();
  return answer.ok() ? ssl_select_cert_success : RefuseHello(hello->ssl, answer.status(), record);
}

bool SelectAnsweredAlpn(ConnectionState& record, const uint8_t** out, uint8_t* out_bytes,
                        const uint8_t* in, unsigned in_bytes, int& result) {
  HandshakeState& handshake = *record.handshake;
  if (!handshake.hello_answer.answered()) return false;
  const std::string& chosen = handshake.hello_answer.answer()->alpn;
  result = SSL_TLSEXT_ERR_NOACK;
  CBS list;
  CBS protocol;
  CBS_init(&list, in, in_bytes);
  while (!chosen.empty() && CBS_get_u8_length_prefixed(&list, &protocol)) {
    if (AsText(ByteView(CBS_data(&protocol), CBS_len(&protocol))) != chosen) continue;
    *out = CBS_data(&protocol);
    *out_bytes = static_cast<uint8_t>(CBS_len(&protocol));
    result = SSL_TLSEXT_ERR_OK;
    break;
  }
  return true;
}

}  // namespace trestle
