#include "lib/tls/ticket_callbacks.h"

#include <openssl/err.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "lib/tls/client_auth_rules.h"
#include "lib/tls/connection_record.h"
#include "lib/tls/peer_chain.h"
#include "lib/tls/verifier_question.h"
#include "trestle/base/bytes.h"
#include "trestle/tls/tls_config.h"

namespace trestle {
namespace {

// A client's ticket has to fit into its next hello, of 16 KiB at most, and tickets hold the
// client's certificates. A client with a longer one makes full handshakes.
constexpr size_t kMaxTicketBytes = 8 * 1024;

size_t MaxOverhead(SSL* /*ssl*/) { return TicketKeyRing::kOverheadBytes; }

int Seal(SSL* ssl, uint8_t* out, size_t* out_bytes, size_t max_out_bytes, const uint8_t* in,
         size_t in_bytes) {
  const ConnectionRecord& record = ConnectionRecord::Of(ssl);
  *out_bytes = 0;  // Means: no ticket.
  if (record.handshake == nullptr || max_out_bytes > kMaxTicketBytes) return 1;
  *out_bytes = record.handshake->server->options().ticket_keys->Seal(
      ByteView(in, in_bytes), MutableByteView(out, max_out_bytes), record.scheduler.Now());
  return 1;
}

// Whether the client of `session` would be let in today. What BoringSSL resumes it doesn't verify.
bool ClientIsStillWelcome(const SSL_SESSION* session, ConnectionRecord& record) {
  HandshakeRecord& handshake = *record.handshake;
  const ClientAuthRule* rule = handshake.client_rule;
  if (rule == nullptr || rule->certificate() == ClientCertificate::kNone) return true;
  const STACK_OF(CRYPTO_BUFFER)* buffers = SSL_SESSION_get0_peer_certificates(session);
  if (buffers == nullptr || sk_CRYPTO_BUFFER_num(buffers) == 0) {
    return rule->certificate() == ClientCertificate::kOptional;
  }
  CertificateChain chain;
  PeerIdentity identity;
  if (!ReadChain(buffers, chain, handshake.ticket_chain)) return false;
  if (rule->Judge(chain, record.scheduler.Now(), identity).has_value()) return false;
  const CRYPTO_BUFFER* leaf = sk_CRYPTO_BUFFER_value(buffers, 0);
  const absl::string_view leaf_der =
      AsText(ByteView(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf)));
  const PeerVerifier* verifier = handshake.server->options().client_verifier.get();
  if (verifier != nullptr && !handshake.ticket_verdict.asked()) {
    handshake.ticket_leaf = std::string(leaf_der);
    AskVerifier(*verifier, record.info.server_name, handshake.ticket_chain, buffers,
                /*resumed=*/true, record, handshake.ticket_verdict);
  }
  // After a HelloRetryRequest a client could come with another ticket.
  if (verifier != nullptr && handshake.ticket_leaf != leaf_der) return false;
  identity.resumed = true;
  handshake.ticket_identity = std::make_shared<const PeerIdentity>(std::move(identity));
  return true;
}

// What can't be resumed becomes a full handshake, in which the client is told what is wrong.
ssl_ticket_aead_result_t Open(SSL* ssl, uint8_t* out, size_t* out_bytes, size_t max_out_bytes,
                              const uint8_t* in, size_t in_bytes) {
  ConnectionRecord& record = ConnectionRecord::Of(ssl);
  if (record.handshake == nullptr) return ssl_ticket_aead_ignore_ticket;
  HandshakeRecord& handshake = *record.handshake;
  handshake.ticket_chain = ChainInfo();
  handshake.ticket_identity = nullptr;
  if (!handshake.server->options().ticket_keys->Open(ByteView(in, in_bytes),
                                                     MutableByteView(out, max_out_bytes),
                                                     *out_bytes, record.scheduler.Now())) {
    return ssl_ticket_aead_ignore_ticket;
  }
  if (handshake.client_rule == nullptr) return ssl_ticket_aead_success;
  bssl::UniquePtr<SSL_SESSION> session(
      SSL_SESSION_from_bytes(out, *out_bytes, SSL_get_SSL_CTX(ssl)));
  const bool welcome = session != nullptr && ClientIsStillWelcome(session.get(), record);
  ERR_clear_error();
  if (!welcome) return ssl_ticket_aead_ignore_ticket;
  PendingAnswer<absl::Status>& verdict = handshake.ticket_verdict;
  if (handshake.ticket_identity == nullptr || !verdict.asked()) return ssl_ticket_aead_success;
  if (!verdict.answered()) return ssl_ticket_aead_retry;
  return verdict.answer().ok() ? ssl_ticket_aead_success : ssl_ticket_aead_ignore_ticket;
}

constexpr SSL_TICKET_AEAD_METHOD kMethod = {MaxOverhead, Seal, Open};

}  // namespace

void InstallTicketCallbacks(SSL_CTX* context) { SSL_CTX_set_ticket_aead_method(context, &kMethod); }

}  // namespace trestle
