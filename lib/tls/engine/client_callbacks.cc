#include "lib/tls/engine/client_callbacks.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/pki/certificate_verifier.h"
#include "lib/tls/engine/connection_state.h"
#include "lib/tls/engine/peer_chain.h"
#include "lib/tls/engine/tls_context.h"
#include "lib/tls/engine/verifier_question.h"
#include "lib/tls/sessions/session_memory.h"
#include "trestle/pki/sha256.h"

namespace trestle {
namespace {

ssl_verify_result_t Refuse(ConnectionState& record, Error why, uint8_t alert, uint8_t* out_alert) {
  record.handshake->refusal = std::move(why);
  *out_alert = alert;
  return ssl_verify_invalid;
}

Error Refusal(ErrorCode code, absl::string_view detail) {
  Error refusal;
  refusal.code = code;
  refusal.detail = std::string(detail);
  return refusal;
}

// Records the verification that this connection's sessions depend on.
void NoteVerified(ConnectionState& record, absl::Time valid_until) {
  if (record.resumption == nullptr) return;
  record.resumption->peer = std::make_shared<const VerifiedPeer>(
      VerifiedPeer{record.handshake->client->policy(), record.scheduler.MonotonicNow(), valid_until,
                   record.info.peer_chain});
}

absl::Time NotePathEnd(const ChainVerdict& verdict, ChainInfo& chain) {
  if (verdict.path.empty()) return absl::InfinitePast();
  PathEnd end = EndOfPath(verdict.path, verdict.anchored);
  const absl::Time when = end.when;
  chain.NotePathEnd(std::move(end));
  return when;
}

// Equal certificates, name and policy give an equal verdict, except for dates. The client checked
// these before it offered the session, but the server's answer may take long.
ssl_verify_result_t VerifyResumed(ConnectionState& record, uint8_t* out_alert) {
  const VerifiedPeer* peer = record.resumption == nullptr ? nullptr : record.resumption->peer.get();
  const absl::string_view objection =
      peer == nullptr ? "a session was resumed whose peer was never verified"
                      : peer->Objection(record.handshake->client->policy(), record.scheduler.Now());
  if (!objection.empty()) {
    return Refuse(record, Refusal(ErrorCode::kCertificateExpired, objection),
                  SSL_AD_CERTIFICATE_EXPIRED, out_alert);
  }
  record.info.peer_chain = peer->chain;
  return ssl_verify_ok;
}

ssl_verify_result_t VerifyShown(const SSL* ssl, ConnectionState& record, uint8_t* out_alert) {
  const HandshakeState& handshake = *record.handshake;
  CertificateChain chain;
  const std::string unreadable =
      ReadChain(SSL_get0_peer_certificates(ssl), chain, record.info.peer_chain);
  const ClientTlsOptions& options = handshake.client->options();
  if (options.dangerous_skip_verify) {
    NoteVerified(record, absl::InfiniteFuture());
    return ssl_verify_ok;
  }
  if (!unreadable.empty()) {
    return Refuse(record, Refusal(ErrorCode::kCertificateUntrusted, unreadable),
                  SSL_AD_BAD_CERTIFICATE, out_alert);
  }
  ChainRequirements requirements;
  requirements.trust = handshake.client->trust().get();
  requirements.name = options.peer_uris.empty() ? &handshake.expected_name : nullptr;
  requirements.uris = options.peer_uris;
  requirements.min_rsa_bits = options.parameters.min_rsa_bits;
  requirements.min_ec_bits = options.parameters.min_ec_bits;
  requirements.pins = handshake.client->pins();
  requirements.check_crls = !options.crl_pem.empty();
  ChainVerdict verdict = VerifyChain(chain, requirements, record.scheduler.Now());
  const absl::Time path_end = NotePathEnd(verdict, record.info.peer_chain);
  if (verdict.failure.has_value()) {
    const uint8_t alert = AlertFor(*verdict.failure);
    return Refuse(record, std::move(verdict.failure->error), alert, out_alert);
  }
  NoteVerified(record, std::min(path_end, handshake.client->trust()->crls_end()));
  return ssl_verify_ok;
}

ssl_verify_result_t VerifyPeer(SSL* ssl, uint8_t* out_alert) {
  ConnectionState& record = ConnectionState::Of(ssl);
  HandshakeState& handshake = *record.handshake;
  if (handshake.verdict.asked()) return HearVerifier(record, out_alert);
  const ssl_verify_result_t result = SSL_session_reused(ssl) ? VerifyResumed(record, out_alert)
                                                             : VerifyShown(ssl, record, out_alert);
  const PeerVerifier* verifier = handshake.client->options().verifier.get();
  if (result != ssl_verify_ok || verifier == nullptr) return result;
  AskVerifier(*verifier, handshake.expected_name.ToString(), record.info.peer_chain,
              SSL_get0_peer_certificates(ssl), SSL_session_reused(ssl) == 1, record,
              handshake.verdict);
  return HearVerifier(record, out_alert);
}

int KeepSession(SSL* ssl, SSL_SESSION* session) {
  const ConnectionState& record = ConnectionState::Of(ssl);
  if (record.resumption == nullptr) return 0;
  ResumptionState& resumption = *record.resumption;
  resumption.memory.Put(resumption.target,
                        {bssl::UniquePtr<SSL_SESSION>(session), resumption.peer});
  return 1;
}

// Lengths keep adjacent fields apart.
void AppendField(std::string& text, absl::string_view name, absl::string_view value) {
  absl::StrAppend(&text, name, " ", value.size(), " ", value, "\n");
}

}  // namespace

std::string ClientPolicyDigest(const ClientTlsOptions& options) {
  std::string groups;
  for (const TlsGroup group : options.parameters.groups) {
    absl::StrAppend(&groups, static_cast<int>(group), ",");
  }
  std::string text = "trestle client policy 1\n";
  AppendField(text, "min_version", absl::StrCat(static_cast<int>(options.parameters.min_version)));
  AppendField(text, "max_version", absl::StrCat(static_cast<int>(options.parameters.max_version)));
  AppendField(text, "groups", groups);
  AppendField(text, "ca", options.ca_pem);
  AppendField(text, "crl", options.crl_pem);
  for (const std::string& pin : options.pins) AppendField(text, "pin", pin);
  AppendField(text, "min_rsa_bits", absl::StrCat(options.parameters.min_rsa_bits));
  AppendField(text, "min_ec_bits", absl::StrCat(options.parameters.min_ec_bits));
  if (options.peer_key_type.has_value()) {
    AppendField(text, "peer_key_type", absl::StrCat(static_cast<int>(*options.peer_key_type)));
  }
  AppendField(text, "verify", options.dangerous_skip_verify ? "no" : "yes");
  if (options.credential != nullptr) {
    const CertificateInfo& leaf = options.credential->chain().front();
    AppendField(text, "credential", leaf.issuer);
    AppendField(text, "serial", leaf.serial);
    AppendField(text, "spki", AsText(leaf.spki_sha256));
  }
  for (const TrustDomainCas& domain : options.trust_domains) {
    AppendField(text, "trust_domain", domain.trust_domain);
    AppendField(text, "bundle", domain.ca_pem);
  }
  for (const std::string& uri : options.peer_uris) AppendField(text, "uri", uri);
  AppendField(text, "staple", options.request_staple ? "yes" : "no");
  AppendField(text, "verifier", options.verifier == nullptr ? "no" : "asked each time");
  const std::array<uint8_t, 32> digest = Sha256(AsBytes(text));
  return std::string(AsText(digest));
}

void InstallClientCallbacks(SSL_CTX* context) {
  SSL_CTX_set_custom_verify(context, SSL_VERIFY_PEER, VerifyPeer);
  // With this, BoringSSL resumes a session only if the callback accepts it.
  SSL_CTX_set_reverify_on_resume(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT);
  SSL_CTX_sess_set_new_cb(context, KeepSession);
  SetPeerSignatureAlgorithms(context);
}

}  // namespace trestle
