#include "lib/tls/engine/verifier_question.h"

#include <openssl/pool.h>
#include <openssl/stack.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace trestle {

void AskVerifier(const PeerVerifier& verifier, absl::string_view name, const ChainInfo& chain,
                 const STACK_OF(CRYPTO_BUFFER) * certificates, bool resumed,
                 ConnectionState& record, PendingAnswer<absl::Status>& verdict) {
  PeerToVerify peer{name, chain, {}, resumed};
  for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(certificates); ++i) {
    const CRYPTO_BUFFER* der = sk_CRYPTO_BUFFER_value(certificates, i);
    peer.chain_der.emplace_back(CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der));
  }
  std::unique_ptr<PendingCall> call =
      verifier.Verify(peer, record.scheduler, verdict.Ask(record.wait));
  if (!verdict.answered()) record.wait.Keep("the verifier", std::move(call));
}

ssl_verify_result_t HearVerifier(ConnectionState& record, uint8_t* out_alert) {
  HandshakeState& handshake = *record.handshake;
  if (!handshake.verdict.answered()) return ssl_verify_retry;
  const absl::Status& verdict = handshake.verdict.answer();
  if (verdict.ok()) return ssl_verify_ok;
  std::optional<Error> why = GetError(verdict);
  if (!why.has_value()) {
    why.emplace();
    why->code = ErrorCode::kCertificateUntrusted;
    why->detail = std::string(verdict.message());
  }
  why->detail = absl::StrCat("the verifier refuses the peer: ", why->detail);
  handshake.refusal = *std::move(why);
  *out_alert = SSL_AD_CERTIFICATE_UNKNOWN;
  return ssl_verify_invalid;
}

}  // namespace trestle
