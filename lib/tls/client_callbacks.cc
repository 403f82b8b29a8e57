#include "lib/tls/client_callbacks.h"

#include <openssl/pool.h>
#include <openssl/stack.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "lib/tls/certificate_info.h"
#include "lib/tls/certificate_verifier.h"
#include "lib/tls/connection_record.h"
#include "trestle/tls/tls_config.h"

namespace trestle {
namespace {

// BoringSSL's default without SHA-1, and with Ed25519.
constexpr uint16_t kSignatureAlgorithms[] = {
    SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ED25519,
    SSL_SIGN_RSA_PSS_RSAE_SHA256,    SSL_SIGN_RSA_PKCS1_SHA256,
    SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_RSA_PKCS1_SHA384,       SSL_SIGN_RSA_PSS_RSAE_SHA512,
    SSL_SIGN_RSA_PKCS1_SHA512,
};

// False when a certificate doesn't parse.
bool ReadPeerChain(const SSL* ssl, CertificateChain& chain, TlsInfo& info) {
  const STACK_OF(CRYPTO_BUFFER)* buffers = SSL_get0_peer_certificates(ssl);
  std::vector<CertificateInfo> described;
  for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(buffers); ++i) {
    chain.push_back(ParseCertificate(sk_CRYPTO_BUFFER_value(buffers, i)));
    if (chain.back() == nullptr) break;
    described.push_back(DescribeCertificate(chain.back().get()));
  }
  info.peer_chain = ChainInfo(std::move(described));
  return !chain.empty() && chain.back() != nullptr;
}

ssl_verify_result_t VerifyPeer(SSL* ssl, uint8_t* out_alert) {
  ConnectionRecord& record = ConnectionRecord::Of(ssl);
  HandshakeRecord& handshake = *record.handshake;
  CertificateChain chain;
  const bool parsed = ReadPeerChain(ssl, chain, record.info);
  if (handshake.client->options().dangerous_skip_verify) return ssl_verify_ok;
  if (!parsed) {
    handshake.refusal.emplace();
    handshake.refusal->code = ErrorCode::kCertificateUntrusted;
    handshake.refusal->detail = "a certificate that the peer sent doesn't parse";
    *out_alert = SSL_AD_BAD_CERTIFICATE;
    return ssl_verify_invalid;
  }
  ChainRequirements requirements;
  requirements.roots = handshake.client->roots();
  requirements.name = &handshake.expected_name;
  std::optional<ChainFailure> failure = VerifyChain(chain, requirements, record.scheduler.Now());
  if (!failure.has_value()) return ssl_verify_ok;
  *out_alert = failure->alert;
  handshake.refusal = std::move(failure->error);
  return ssl_verify_invalid;
}

}  // namespace

void InstallClientCallbacks(SSL_CTX* context) {
  SSL_CTX_set_custom_verify(context, SSL_VERIFY_PEER, VerifyPeer);
  SSL_CTX_set_verify_algorithm_prefs(context, kSignatureAlgorithms,
                                     sizeof(kSignatureAlgorithms) / sizeof(uint16_t));
}

}  // namespace trestle
