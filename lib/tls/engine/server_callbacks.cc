#include "lib/tls/engine/server_callbacks.h"

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/sha2.h>
#include <openssl/stack.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/pki/pki_internals.h"
#include "lib/pki/x509_certificate.h"
#include "lib/tls/client_auth/client_auth_rules.h"
#include "lib/tls/engine/connection_state.h"
#include "lib/tls/engine/hello_answer.h"
#include "lib/tls/engine/peer_chain.h"
#include "lib/tls/engine/tls_context.h"
#include "lib/tls/engine/tls_internals.h"
#include "lib/tls/engine/verifier_question.h"
#include "lib/wire/hidden_name.h"
#include "trestle/base/bytes.h"
#include "trestle/tls/key_log.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

// The most client protocols that an error quotes.
constexpr size_t kMaxQuotedProtocols = 8;

std::string Sha256(absl::string_view text) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(),
         reinterpret_cast<uint8_t*>(&digest[0]));
  return digest;
}

Error MakeRefusal(ErrorCode code, std::string detail) {
  Error refusal;
  refusal.code = code;
  refusal.detail = std::move(detail);
  return refusal;
}

// Reads the server name into the record. Returns false and records a refusal for an invalid name.
// An address, which RFC 6066 3 forbids there, counts as no name.
bool ReadServerName(const SSL* ssl, ConnectionState& record) {
  const char* raw = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (raw == nullptr || ParseIp(raw).has_value()) return true;
  absl::StatusOr<std::string> name = NormalizeServerName(raw);
  if (name.ok()) {
    record.info.server_name = *std::move(name);
    return true;
  }
  const std::string quoted =
      record.info.ech_accepted ? std::string(wire_internal::kHiddenName) : EscapeForLog(raw);
  record.handshake->refusal = MakeRefusal(
      ErrorCode::kMalformedHello,
      absl::StrCat("the hello's server name \"", quoted, "\": ", name.status().message()));
  return false;
}

enum class Choice : uint8_t { kMade, kWaits, kNone };

// Calls the host's selector, or takes its answer. kNone without a recorded refusal: no certificate.
Choice AskSelector(const CredentialSelector& selector, ConnectionState& record) {
  HandshakeState& handshake = *record.handshake;
  if (!handshake.selection.asked()) {
    std::unique_ptr<PendingCall> call = selector.Select(record.info.server_name, record.scheduler,
                                                        handshake.selection.Ask(record.wait));
    if (!handshake.selection.answered()) {
      record.wait.Keep("the selector of certificates", std::move(call));
    }
  }
  if (!handshake.selection.answered()) return Choice::kWaits;
  const CredentialSelector::Answer& answer = handshake.selection.answer();
  if (!answer.ok()) {
    handshake.refusal = GetError(answer.status())
                            .value_or(MakeRefusal(ErrorCode::kNoCertificate,
                                                  std::string(answer.status().message())));
    handshake.refusal->detail =
        absl::StrCat("the selector has no certificate for \"", record.info.server_name,
                     "\": ", handshake.refusal->detail);
    return Choice::kNone;
  }
  const absl::Time now = record.scheduler.Now();
  for (const bool valid : {true, false}) {
    for (const std::shared_ptr<const Credential>& credential : *answer) {
      if (handshake.offered.size() == CredentialSelector::kMaxOffered) break;
      if (credential->ValidAt(now) == valid) handshake.offered.push_back(credential);
    }
    if (!handshake.offered.empty()) return Choice::kMade;
  }
  return Choice::kNone;
}

// Records the credentials for the server name: the valid ones, or if none is, the others, so that
// the client reports the reason. kNone comes with a recorded refusal.
Choice ChooseCredentials(ConnectionState& record) {
  HandshakeState& handshake = *record.handshake;
  const ServerTlsOptions& options = handshake.server->options();
  const std::shared_ptr<const CertificateSet> set = options.certificates->current();
  record.info.certificate_generation = set->generation();
  const absl::Time now = record.scheduler.Now();
  const std::string& name = record.info.server_name;
  if (!name.empty()) handshake.offered = set->Choose(name, now);
  handshake.name_recognized = !handshake.offered.empty();
  if (handshake.name_recognized) return Choice::kMade;
  if (!name.empty() && options.selector != nullptr) {
    const Choice choice = AskSelector(*options.selector, record);
    handshake.name_recognized = choice == Choice::kMade;
    if (choice != Choice::kNone || handshake.refusal.has_value()) return choice;
  }
  if (name.empty()) {
    handshake.offered = set->ChooseByAddress(handshake.local_address.address(), now);
  } else {
    handshake.offered = set->ChooseNameless(now);
  }
  if (!handshake.offered.empty()) return Choice::kMade;
  if (name.empty() || options.unknown_name == UnknownName::kFallback) {
    handshake.offered = set->ChooseFallback(now);
    return Choice::kMade;
  }
  handshake.refusal =
      MakeRefusal(ErrorCode::kNoCertificate, absl::StrCat("no certificate for \"", name, "\""));
  return Choice::kNone;
}

bool OfferCredentials(SSL* ssl, const ConnectionState& record) {
  const absl::Time now = record.scheduler.Now();
  SSL_certs_clear(ssl);
  for (const auto& credential : record.handshake->offered) {
    if (!SSL_add1_credential(ssl, TlsInternals::NativeAt(*credential, now))) return false;
  }
  return true;
}

// A challenge offers this protocol only (RFC 8737 3).
bool OffersChallenge(const SSL_CLIENT_HELLO* hello) {
  static constexpr absl::string_view kOffer(
      "\x00\x0b\x0a"
      "acme-tls/1",
      13);
  const uint8_t* data = nullptr;
  size_t bytes = 0;
  return SSL_early_callback_ctx_extension_get(
             hello, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &bytes) == 1 &&
         AsText(ByteView(data, bytes)) == kOffer;
}

// Records the client's identity once the host's verifier accepts it.
ssl_verify_result_t HearAboutClient(ConnectionState& record, uint8_t* out_alert) {
  const ssl_verify_result_t result = HearVerifier(record, out_alert);
  if (result == ssl_verify_ok) {
    record.info.peer_identity = std::move(record.handshake->shown_identity);
  }
  return result;
}

ssl_verify_result_t VerifyClient(SSL* ssl, uint8_t* out_alert) {
  ConnectionState& record = ConnectionState::Of(ssl);
  HandshakeState& handshake = *record.handshake;
  if (handshake.verdict.asked()) return HearAboutClient(record, out_alert);
  CertificateChain chain;
  std::string unreadable =
      ReadChain(SSL_get0_peer_certificates(ssl), chain, record.info.peer_chain);
  if (!unreadable.empty()) {
    handshake.refusal = MakeRefusal(ErrorCode::kCertificateUntrusted, std::move(unreadable));
    *out_alert = SSL_AD_BAD_CERTIFICATE;
    return ssl_verify_invalid;
  }
  PeerIdentity identity;
  std::optional<ChainFailure> failure = handshake.client_rule->Judge(
      chain, handshake.server->options().parameters, record.scheduler.Now(), identity);
  if (failure.has_value()) {
    *out_alert = AlertFor(*failure);
    handshake.refusal = std::move(failure->error);
    return ssl_verify_invalid;
  }
  identity.certificates = CopyChain(SSL_get0_peer_certificates(ssl));
  handshake.shown_identity = std::make_shared<const PeerIdentity>(std::move(identity));
  if (const PeerVerifier* verifier = handshake.server->options().client_verifier.get()) {
    AskVerifier(*verifier, record.info.server_name, record.info.peer_chain,
                SSL_get0_peer_certificates(ssl), /*resumed=*/false, record, handshake.verdict);
    return HearAboutClient(record, out_alert);
  }
  record.info.peer_identity = std::move(handshake.shown_identity);
  return ssl_verify_ok;
}

// Requests a certificate if the policy for the server name does.
bool AskForCertificate(SSL* ssl, ConnectionState& record) {
  HandshakeState& handshake = *record.handshake;
  const std::shared_ptr<ClientAuthentication>& authentication =
      handshake.server->options().client_authentication;
  if (authentication == nullptr) return true;
  handshake.client_rules = TlsInternals::Current(*authentication);
  handshake.client_rule = &handshake.client_rules->Find(record.info.server_name);
  const ClientAuthRule& rule = *handshake.client_rule;
  if (rule.certificate() == ClientCertificate::kNone) return true;
  bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> names(sk_CRYPTO_BUFFER_new_null());
  if (names == nullptr) return false;
  if (rule.trust().ca_names_fit()) {
    for (CRYPTO_BUFFER* name : PkiInternals::CaNames(rule.trust())) {
      if (!bssl::PushToStack(names.get(), bssl::UpRef(name))) return false;
    }
  }
  SSL_set0_client_CAs(ssl, names.release());
  const bool required = rule.certificate() == ClientCertificate::kRequired;
  SSL_set_custom_verify(
      ssl, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE),
      VerifyClient);
  return true;
}

// Binds sessions to the server name (RFC 6066 3) and the policy: the first handshake verified the
// client under these.
bool IsolateSession(SSL* ssl, const ConnectionState& record) {
  const ClientAuthRule* rule = record.handshake->client_rule;
  const std::string context =
      Sha256(absl::StrCat(record.handshake->server->policy(),
                          Sha256(rule == nullptr ? "" : rule->digest()), record.info.server_name));
  static_assert(SHA256_DIGEST_LENGTH <= SSL_MAX_SID_CTX_LENGTH, "the context must fit");
  return SSL_set_session_id_context(ssl, reinterpret_cast<const uint8_t*>(context.data()),
                                    context.size()) == 1;
}

ssl_select_cert_result_t Refuse(SSL* ssl, uint8_t alert) {
  // The first alert is sent: BoringSSL's own alert for this result is handshake_failure.
  SSL_send_fatal_alert(ssl, alert);
  ERR_clear_error();
  return ssl_select_cert_error;
}

// Presents the answer to an ACME challenge. Makes and resumes no session: the connection is not a
// client's.
ssl_select_cert_result_t AnswerChallenge(SSL* ssl, ConnectionState& record, AcmeTokens& tokens) {
  const std::string& name = record.info.server_name;
  absl::StatusOr<std::shared_ptr<SSL_CREDENTIAL>> answer =
      TlsInternals::AnswerFor(tokens, name, record.scheduler.Now());
  if (!answer.ok() || *answer == nullptr) {
    record.handshake->refusal = answer.ok()
                                    ? MakeRefusal(ErrorCode::kNoCertificate,
                                                  absl::StrCat("no ACME token for \"", name, "\""))
                                    : GetError(answer.status());
    return Refuse(ssl, SSL_AD_UNRECOGNIZED_NAME);
  }
  record.info.acme_challenge = true;
  SSL_certs_clear(ssl);
  SSL_set_options(ssl, SSL_OP_NO_TICKET);
  static constexpr uint8_t kSessionContext[] = "acme-tls/1";
  if (!SSL_add1_credential(ssl, answer->get()) ||
      !SSL_set_session_id_context(ssl, kSessionContext, sizeof(kSessionContext) - 1)) {
    return Refuse(ssl, SSL_AD_INTERNAL_ERROR);
  }
  return ssl_select_cert_success;
}

ssl_select_cert_result_t SelectCertificate(const SSL_CLIENT_HELLO* hello) {
  SSL* ssl = hello->ssl;
  ConnectionState& record = ConnectionState::Of(ssl);
  record.hello_received = true;
  record.info.ech_accepted = SSL_ech_accepted(ssl) == 1;
  // Runs again after a HelloRetryRequest. BoringSSL passes the hello without its header.
  if (record.info.hello_bytes == 0) {
    record.info.hello_bytes =
        static_cast<uint32_t>(SSL3_HM_HEADER_LENGTH + hello->client_hello_len);
  }
  if (!ReadServerName(ssl, record)) return Refuse(ssl, SSL_AD_UNRECOGNIZED_NAME);
  if (CheckHello(hello, record) == ssl_select_cert_error) return ssl_select_cert_error;
  AcmeTokens* const acme_tokens = record.handshake->server->options().acme_tokens.get();
  if (acme_tokens != nullptr && OffersChallenge(hello)) {
    return AnswerChallenge(ssl, record, *acme_tokens);
  }
  record.handshake->offered.clear();
  switch (ChooseCredentials(record)) {
    case Choice::kMade:
      break;
    case Choice::kWaits:
      return ssl_select_cert_retry;
    case Choice::kNone:
      return Refuse(ssl, SSL_AD_UNRECOGNIZED_NAME);
  }
  if (!OfferCredentials(ssl, record) || !AskForCertificate(ssl, record) ||
      !IsolateSession(ssl, record)) {
    return Refuse(ssl, SSL_AD_INTERNAL_ERROR);
  }
  return AskHelloHook(hello, record);
}

// RFC 6066 3: a server that uses the name acknowledges it. BoringSSL does only with this callback,
// which it calls after `SelectCertificate`, and never for a resumed session.
int AcknowledgeName(SSL* ssl, int* /*out_alert*/, void* /*unused*/) {
  const ConnectionState& record = ConnectionState::Of(ssl);
  const bool used = record.info.acme_challenge || record.handshake->name_recognized;
  return used ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

// Splits the protocol list of RFC 7301 3.1. BoringSSL checked its form.
std::vector<absl::string_view> SplitAlpn(const uint8_t* in, size_t in_bytes) {
  std::vector<absl::string_view> protocols;
  CBS list;
  CBS protocol;
  CBS_init(&list, in, in_bytes);
  while (CBS_get_u8_length_prefixed(&list, &protocol)) {
    protocols.push_back(AsText(ByteView(CBS_data(&protocol), CBS_len(&protocol))));
  }
  return protocols;
}

std::string AlpnMismatchText(std::vector<absl::string_view> offered,
                             const std::vector<std::string>& spoken) {
  const size_t more = offered.size() - std::min(offered.size(), kMaxQuotedProtocols);
  offered.resize(offered.size() - more);
  const auto quote = [](std::string* out, absl::string_view name) {
    absl::StrAppend(out, "\"", EscapeForLog(name), "\"");
  };
  return absl::StrCat("the client offers ", absl::StrJoin(offered, ", ", quote),
                      more == 0 ? "" : " and more",
                      "; served here: ", absl::StrJoin(spoken, ", ", quote));
}

int SelectAlpn(SSL* ssl, const uint8_t** out, uint8_t* out_bytes, const uint8_t* in,
               unsigned in_bytes, void* /*unused*/) {
  ConnectionState& record = ConnectionState::Of(ssl);
  if (record.info.acme_challenge) {
    *out = in + 1;  // The only protocol offered.
    *out_bytes = in[0];
    return SSL_TLSEXT_ERR_OK;
  }
  int answered = SSL_TLSEXT_ERR_NOACK;
  if (SelectAnsweredAlpn(record, out, out_bytes, in, in_bytes, answered)) return answered;
  HandshakeState& handshake = *record.handshake;
  const std::vector<std::string>& spoken = handshake.server->options().alpn;
  if (spoken.empty()) return SSL_TLSEXT_ERR_NOACK;
  std::vector<absl::string_view> offered = SplitAlpn(in, in_bytes);
  for (const std::string& protocol : spoken) {
    for (absl::string_view candidate : offered) {
      if (candidate != protocol) continue;
      *out = reinterpret_cast<const uint8_t*>(candidate.data());
      *out_bytes = static_cast<uint8_t>(candidate.size());
      return SSL_TLSEXT_ERR_OK;
    }
  }
  if (handshake.server->options().alpn_mismatch == AlpnMismatch::kServeWithout) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  handshake.refusal =
      MakeRefusal(ErrorCode::kAlpnMismatch, AlpnMismatchText(std::move(offered), spoken));
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// Returns 1 to continue. BoringSSL calls it after it decided about resumption.
int AdmitHandshake(const SSL_CLIENT_HELLO* hello) {
  HandshakeState& handshake = *ConnectionState::Of(hello->ssl).handshake;
  if (handshake.admit == nullptr || SSL_session_reused(hello->ssl)) return 1;
  const absl::Status admitted = std::exchange(handshake.admit, nullptr)();
  if (admitted.ok()) return 1;
  handshake.refusal = GetError(admitted).value_or(
      MakeRefusal(ErrorCode::kOverLimit, std::string(admitted.message())));
  return 0;
}

void LogKeys(const SSL* ssl, const char* line) {
  static_cast<const KeyLog*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->OnLine(line);
}

}  // namespace

std::string PolicyDigest(absl::string_view alpn, AlpnMismatch mismatch) {
  return Sha256(absl::StrCat("trestle session policy 3\nwithout alpn: ",
                             mismatch == AlpnMismatch::kRefuse ? "refused" : "served",
                             "\nalpn: ", alpn));
}

void InstallServerCallbacks(SSL_CTX* context) {
  SSL_CTX_set_select_certificate_cb(context, SelectCertificate);
  SSL_CTX_set_tlsext_servername_callback(context, AcknowledgeName);
  SSL_CTX_set_alpn_select_cb(context, SelectAlpn, nullptr);
  SSL_CTX_set_dos_protection_cb(context, AdmitHandshake);
  SetPeerSignatureAlgorithms(context);
}

void InstallKeyLog(SSL_CTX* context, const KeyLog& key_log) {
  SSL_CTX_set_app_data(context, const_cast<KeyLog*>(&key_log));
  SSL_CTX_set_keylog_callback(context, LogKeys);
}

}  // namespace trestle
