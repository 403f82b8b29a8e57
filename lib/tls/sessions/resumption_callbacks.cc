#include "lib/tls/sessions/resumption_callbacks.h"

#include <openssl/err.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "lib/tls/client_auth/client_auth_rules.h"
#include "lib/tls/engine/connection_state.h"
#include "lib/tls/engine/peer_chain.h"
#include "lib/tls/engine/tls_internals.h"
#include "lib/tls/engine/verifier_question.h"
#include "lib/tls/sessions/server_session_memory.h"
#include "trestle/base/bytes.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle {
namespace {

// A ticket must fit into the client's next hello, of at most 16 KiB, and contains the client's
// certificates. Clients with longer tickets make full handshakes.
constexpr size_t kMaxTicketBytes = 8 * 1024;

size_t MaxOverhead(SSL* /*ssl*/) { return TicketKeyRing::kOverheadBytes; }

int Seal(SSL* ssl, uint8_t* out, size_t* out_bytes, size_t max_out_bytes, const uint8_t* in,
         size_t in_bytes) {
  const ConnectionState& record = ConnectionState::Of(ssl);
  *out_bytes = 0;  // Sends no ticket.
  if (record.handshake == nullptr || max_out_bytes > kMaxTicketBytes) return 1;
  *out_bytes = record.handshake->server->options().ticket_keys->Seal(
      ByteView(in, in_bytes), MutableByteView(out, max_out_bytes), record.scheduler.Now());
  return 1;
}

// Returns whether the client of `session` is still accepted. BoringSSL does not verify resumed
// clients.
bool ClientIsStillWelcome(const SSL_SESSION* session, ConnectionState& record) {
  HandshakeState& handshake = *record.handshake;
  const ClientAuthRule* rule = handshake.client_rule;
  if (rule == nullptr || rule->certificate() == ClientCertificate::kNone) return true;
  const STACK_OF(CRYPTO_BUFFER)* buffers = SSL_SESSION_get0_peer_certificates(session);
  if (buffers == nullptr || sk_CRYPTO_BUFFER_num(buffers) == 0) {
    return rule->certificate() == ClientCertificate::kOptional;
  }
  CertificateChain chain;
  PeerIdentity identity;
  if (!ReadChain(buffers, chain, handshake.resumed_chain).empty()) return false;
  const TlsParameters& parameters = handshake.server->options().parameters;
  if (rule->Judge(chain, parameters, record.scheduler.Now(), identity).has_value()) return false;
  const CRYPTO_BUFFER* leaf = sk_CRYPTO_BUFFER_value(buffers, 0);
  const absl::string_view leaf_der =
      AsText(ByteView(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf)));
  const PeerVerifier* verifier = handshake.server->options().client_verifier.get();
  if (verifier != nullptr && !handshake.resumed_verdict.asked()) {
    handshake.resumed_leaf = std::string(leaf_der);
    AskVerifier(*verifier, record.info.server_name, handshake.resumed_chain, buffers,
                /*resumed=*/true, record, handshake.resumed_verdict);
  }
  // After a HelloRetryRequest a client may send another ticket.
  if (verifier != nullptr && handshake.resumed_leaf != leaf_der) return false;
  identity.resumed = true;
  identity.certificates = CopyChain(buffers);
  handshake.resumed_identity = std::make_shared<const PeerIdentity>(std::move(identity));
  return true;
}

enum class Judgement { kResume, kRefuse, kWait };

// A refused resumption becomes a full handshake, which tells the client the reason.
Judgement Judge(const SSL_SESSION* session, ConnectionState& record) {
  HandshakeState& handshake = *record.handshake;
  if (handshake.client_rule == nullptr) return Judgement::kResume;
  const bool welcome = session != nullptr && ClientIsStillWelcome(session, record);
  ERR_clear_error();
  if (!welcome) return Judgement::kRefuse;
  PendingAnswer<absl::Status>& verdict = handshake.resumed_verdict;
  if (handshake.resumed_identity == nullptr || !verdict.asked()) return Judgement::kResume;
  if (!verdict.answered()) return Judgement::kWait;
  return verdict.answer().ok() ? Judgement::kResume : Judgement::kRefuse;
}

ssl_ticket_aead_result_t Open(SSL* ssl, uint8_t* out, size_t* out_bytes, size_t max_out_bytes,
                              const uint8_t* in, size_t in_bytes) {
  ConnectionState& record = ConnectionState::Of(ssl);
  if (record.handshake == nullptr) return ssl_ticket_aead_ignore_ticket;
  HandshakeState& handshake = *record.handshake;
  handshake.resumed_chain = ChainInfo();
  handshake.resumed_identity = nullptr;
  if (!handshake.server->options().ticket_keys->Open(ByteView(in, in_bytes),
                                                     MutableByteView(out, max_out_bytes),
                                                     *out_bytes, record.scheduler.Now())) {
    return ssl_ticket_aead_ignore_ticket;
  }
  bssl::UniquePtr<SSL_SESSION> session;
  if (handshake.client_rule != nullptr) {
    session.reset(SSL_SESSION_from_bytes(out, *out_bytes, SSL_get_SSL_CTX(ssl)));
  }
  switch (Judge(session.get(), record)) {
    case Judgement::kResume:
      return ssl_ticket_aead_success;
    case Judgement::kRefuse:
      return ssl_ticket_aead_ignore_ticket;
    case Judgement::kWait:
      return ssl_ticket_aead_retry;
  }
  return ssl_ticket_aead_ignore_ticket;
}

constexpr SSL_TICKET_AEAD_METHOD kTickets = {MaxOverhead, Seal, Open};

// Returns null if the connection must not use the cache.
ServerSessionMemory* MemoryFor(const ConnectionState& record) {
  if (record.handshake == nullptr || record.info.acme_challenge) return nullptr;
  return &TlsInternals::Memory(*record.handshake->server->options().session_cache);
}

// BoringSSL checks the session's name, policy and age.
SSL_SESSION* Find(SSL* ssl, const uint8_t* id, int id_bytes, int* copy) {
  *copy = 0;  // The caller receives a reference.
  ConnectionState& record = ConnectionState::Of(ssl);
  ServerSessionMemory* const memory = MemoryFor(record);
  if (memory == nullptr) return nullptr;
  bssl::UniquePtr<SSL_SESSION> session =
      memory->Find(AsText(ByteView(id, static_cast<size_t>(id_bytes))));
  if (session == nullptr) return nullptr;
  switch (Judge(session.get(), record)) {
    case Judgement::kResume:
      return session.release();
    case Judgement::kRefuse:
      return nullptr;
    case Judgement::kWait:
      return SSL_magic_pending_session_ptr();
  }
  return nullptr;
}

// Returns 1 if it took the session.
int Keep(SSL* ssl, SSL_SESSION* session) {
  ServerSessionMemory* const memory = MemoryFor(ConnectionState::Of(ssl));
  if (memory == nullptr) return 0;
  memory->Put(bssl::UniquePtr<SSL_SESSION>(session));
  return 1;
}

}  // namespace

void InstallResumptionCallbacks(SSL_CTX* context, bool has_cache) {
  SSL_CTX_set_ticket_aead_method(context, &kTickets);
  if (!has_cache) return;
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_get_cb(context, Find);
  SSL_CTX_sess_set_new_cb(context, Keep);
}

}  // namespace trestle
