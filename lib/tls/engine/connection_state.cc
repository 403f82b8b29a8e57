#include "lib/tls/engine/connection_state.h"

#include <utility>

#include "lib/tls/engine/tls_internals.h"

namespace trestle {
namespace {

void NoteChains(const SSL* ssl, ConnectionState& record) {
  if (record.handshake == nullptr) return;
  const CertificateSet::Credentials& offers = record.handshake->offered;
  if (SSL_session_reused(ssl)) {
    if (record.handshake->server == nullptr) return;
    if (!offers.empty()) record.info.certificate_expires = offers[0]->chain().front().not_after;
    record.info.peer_chain = std::move(record.handshake->resumed_chain);
    record.info.peer_identity = std::move(record.handshake->resumed_identity);
    return;
  }
  const SSL_CREDENTIAL* selected = SSL_get0_selected_credential(ssl);
  for (const std::shared_ptr<const Credential>& offered : offers) {
    if (!TlsInternals::Owns(*offered, selected)) continue;
    record.info.local_chain = offered->chain();
    record.info.certificate_expires = offered->chain().front().not_after;
  }
}

void OnEvent(const SSL* ssl, int event, int value) {
  ConnectionState& record = ConnectionState::Of(ssl);
  const auto alert = static_cast<uint8_t>(value & 0xff);
  const bool fatal = (value >> 8) == SSL3_AL_FATAL;
  switch (event) {
    case SSL_CB_READ_ALERT:
      if (fatal || alert != SSL_AD_CLOSE_NOTIFY) record.alert_received = alert;
      break;
    case SSL_CB_WRITE_ALERT:
      if (fatal) record.alert_sent = alert;
      break;
    case SSL_CB_HANDSHAKE_DONE:
      NoteChains(ssl, record);
      break;
    default:
      break;
  }
}

void OnMessage(int is_write, int /*version*/, int content_type, const void* bytes, size_t size,
               SSL* ssl, void* /*unused*/) {
  if (content_type != SSL3_RT_HANDSHAKE || is_write != 0 || size == 0) return;
  if (*static_cast<const uint8_t*>(bytes) != SSL3_MT_KEY_UPDATE) return;
  ConnectionState& record = ConnectionState::Of(ssl);
  record.key_updates.Add(record.scheduler.MonotonicNow());
}

}  // namespace

void InstallRecordCallbacks(SSL_CTX* context) {
  SSL_CTX_set_info_callback(context, OnEvent);
  SSL_CTX_set_msg_callback(context, OnMessage);
}

}  // namespace trestle
